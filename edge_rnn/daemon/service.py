"""The daemon: sources -> rings -> step thread -> committer -> outlets, each on its own thread; sockets the step thread
reads itself.

It must never wait for a disk or a peer on the step thread, and never acknowledge what is not durable.
"""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from ..latency import Histogram
from ..model import Model, load
from .assembly import Assembly
from .clients import Clients
from .committer import Committer
from .config import Config
from .deliveries import open_delivery
from .desk import FrontDesk
from .feed import Open, open_configured
from .hub import Hub
from .lane import Lane
from .lock import only_one
from .march import March
from .outlet import Outlet
from .records import Batch
from .store import Store
from .unit import Unit

if TYPE_CHECKING:
    from .metrics import Metrics

log = logging.getLogger("edge_rnn")

BEAT_SECONDS = 0.2


class Service:
    """Everything that runs. `apply` starts it and changes it; `stop` ends it within `stop_s`."""

    def __init__(self, config: Config, open_source: Open = open_configured, store: Store | None = None) -> None:
        self.config = config
        self.beats = 0
        self.began_ns = time.monotonic_ns()
        self.first_step_ns: int | None = None
        self.end_to_end = Histogram()
        """From a sample's coming to its event being durable."""
        self._lock_file = only_one(Path(config.service.state_dir))
        self.store = store or Store(config.service.state_dir)
        self.committer = Committer(self.store, self._committed)
        self.units: dict[str, Unit] = {}
        self._lanes: list[Lane] = []  # all of theirs
        self.outlets: dict[str, tuple[Any, Outlet]] = {}
        self.clients = Clients(config.service.socket) if config.service.socket else None
        self.metrics: Metrics | None = None
        self.desk = FrontDesk(self)
        self._hub = Hub(config.service.tick_ms / 1e3)
        self._march = March(time.perf_counter_ns)
        self.assembly = Assembly(self.store, self._hub, self._march, open_source)
        self._stopping = threading.Event()
        self._units_lock = threading.Lock()
        self._steps = threading.Thread(target=self._run, name="edge-rnn step", daemon=True)

    def start(self) -> None:
        """Load the models and begin; raises what is wrong with the first of them."""
        models = self._models(self.config)
        self.committer.start()
        self._set_outlets(self.config)
        self._set_units(self.config, models)
        self._steps.start()
        if self.clients is not None:
            self.clients.start()
        self._set_metrics(self.config.service.metrics)

    def apply(self, config: Config) -> None:
        """Change to another configuration; raises when it cannot be, and then the old one runs on untouched.

        What stands in both is not interrupted; clients stay connected. `state_dir` and `socket` need a restart.
        """
        for key in ("state_dir", "socket"):
            if getattr(config.service, key) != getattr(self.config.service, key):
                raise UsageError(f"service.{key} changes only with a restart of the daemon")
        models = self._models(config)
        for sink in config.sink:
            open_delivery(sink, config.device.name).close()
        self._set_metrics(config.service.metrics)
        self._set_outlets(config)
        self._set_units(config, models)
        self._hub.tick_s = config.service.tick_ms / 1e3
        self.config = config

    @property
    def finished(self) -> bool:
        """Whether every source has ended for good and its last events are durable."""
        with self._units_lock:
            return all(lane.finished for lane in self._lanes)

    @property
    def broken(self) -> bool:
        """Whether no pipeline works any more."""
        with self._units_lock:
            return bool(self._lanes) and all(lane.failed for lane in self._lanes)

    def beat(self) -> tuple[int, int]:
        """Two counters that both grow as long as steps are made and events become durable."""
        return self.beats, self.committer.beats

    def drain(self, seconds: float) -> bool:
        """Wait until what was told is durable and every sink has it; False when that took too long."""
        deadline = time.monotonic() + seconds
        done = self.committer.flush(seconds)
        for _, outlet in self.outlets.values():
            done = outlet.drain(max(deadline - time.monotonic(), 0.0)) and done
        return done and self.committer.flush(max(deadline - time.monotonic(), 0.0))

    def stop(self) -> bool:
        """End cleanly: step what has come, make it durable, let sinks finish. False when the time did not suffice."""
        deadline = time.monotonic() + self.config.service.stop_s

        def left(share: float = 1.0) -> float:
            return max((deadline - time.monotonic()) * share, 0.0)

        for unit in self.units.values():
            unit.feed.stop()
        self._stopping.set()
        self._hub.wake()
        self._steps.join(left(0.5))
        clean = not self._steps.is_alive() and self.drain(left(0.6))
        for _, outlet in self.outlets.values():
            outlet.stop()
        for _, outlet in self.outlets.values():
            clean = outlet.join(left(0.5)) and clean
        clean = self.committer.stop(left()) and clean
        if self.clients is not None:
            self.clients.stop()
        self._set_metrics(None)
        if clean:
            self.store.close()
        self._lock_file.close()
        return clean

    def status(self) -> dict[str, Any]:
        """For `status`, `--json` and tests."""
        with self._units_lock:
            units = [unit.status() for unit in self.units.values()]
        sinks = {
            name: {"up": o.up, "error": o.error, "delivered": o.delivered, "spooled_bytes": self.store.spooled(name)}
            for name, (_, o) in self.outlets.items()
        }
        return {
            "device": self.config.device.name,
            "sources": {key: value for unit in units for key, value in unit["source"].items()},
            "pipelines": {key: value for unit in units for key, value in unit["pipelines"].items()},
            "sinks": sinks,
            "store": {"failing": self.committer.failing, "lost": self.committer.lost},
        }

    def wake(self) -> None:
        """There is something to do for the step thread."""
        self._hub.wake()

    # the step thread

    def _run(self) -> None:
        due = 0.0
        while not self._stopping.is_set():
            self.beats += 1
            self._hub.wait(BEAT_SECONDS)
            self._step(read=True)
            now = time.monotonic()
            if now >= due:
                self._checkpoint()
                due = now + self.config.service.checkpoint_ms / 1e3
        self._hub.wait(0)
        self._step(read=True)
        self._checkpoint()
        self._hub.close()

    def _step(self, read: bool = False) -> None:
        """Step all that waits, after reading the sockets: that is the step thread's alone."""
        with self._units_lock:
            sheaves = self._hub.read() if read else []
            lanes = self._lanes
            if self.committer.crowded:  # then a source that can wait has to
                lanes = [lane for unit in self.units.values() if not unit.replayable for lane in unit.lanes]
                if len(lanes) < len(self._lanes):
                    self._hub.wake()
            batch = self._march.step(lanes, sheaves)
        if batch:
            self.committer.submit(batch)
        if self.first_step_ns is None and any(lane.steps.count for lane in lanes):
            self.first_step_ns = time.monotonic_ns()
            log.info("first inference %.0f ms after the start", (self.first_step_ns - self.began_ns) / 1e6)

    def _checkpoint(self) -> None:
        whole = Batch()
        with self._units_lock:
            for lane in self._lanes:
                batch = lane.checkpoint() if lane.failed is None else None
                if batch is not None:
                    whole.absorb(batch)
        if whole:
            self.committer.submit(whole)

    def _committed(self, batch: Batch) -> None:
        """On the committer's thread: these are durable now."""
        now = time.monotonic_ns()
        for came in batch.came_ns:
            self.end_to_end.add(now - came)
        if batch.records or batch.lost:
            for _, outlet in list(self.outlets.values()):
                outlet.wake()
            if self.clients is not None:
                self.clients.tell([record.line for record in batch.records])

    # what runs

    def _models(self, config: Config) -> dict[str, Model]:
        """A model for each pipeline; those of the same file share one."""
        loaded = {key: load(*key) for key in dict.fromkeys((one.model, one.engine) for one in config.pipeline)}
        return {one.id: loaded[one.model, one.engine] for one in config.pipeline}

    def _set_metrics(self, address: str | None) -> None:
        old = self.metrics
        if address == (None if old is None else old.address):
            return
        if address is None:
            self.metrics = None
        else:
            from .metrics import Metrics

            self.metrics = Metrics(self, address)
        if old is not None:
            old.stop()

    def _set_outlets(self, config: Config) -> None:
        wanted = {sink.name: (config.device.name, sink) for sink in config.sink}
        for name in [name for name, (was, _) in self.outlets.items() if wanted.get(name) != was]:
            _, outlet = self.outlets.pop(name)
            outlet.stop()
            outlet.join(1.0)
        self.store.keep_for({name: int(sink.spool_mb * (1 << 20)) for name, (_, sink) in wanted.items()})
        for name, (device, sink) in wanted.items():
            if name not in self.outlets:
                delivery = open_delivery(sink, device, self.desk)
                outlet = Outlet(name, delivery, self.store, self.committer, sink.window)
                self.outlets[name] = ((device, sink), outlet)
                outlet.start()

    def _set_units(self, config: Config, models: dict[str, Model]) -> None:
        wanted = {
            source.id: (source, [one for one in config.pipeline if one.source == source.id]) for source in config.source
        }
        same = {key: unit for key, unit in self.units.items() if key in wanted and unit.same(*wanted[key], models)}
        leaving = [unit for key, unit in self.units.items() if key not in same]
        for unit in leaving:
            unit.feed.stop()
            unit.feed.join(1.0)
        if leaving:  # what they had taken is stepped and durable before another takes their place
            self._step()
            self._checkpoint()
            self.committer.flush(self.config.service.stop_s)
        fresh = {key: self.assembly.unit(*wanted[key], models) for key in wanted if key not in same and wanted[key][1]}
        with self._units_lock:
            self.units = same | fresh
            self._lanes = [lane for unit in self.units.values() for lane in unit.lanes]
        for unit in fresh.values():
            unit.start()
        for _, outlet in self.outlets.values():
            outlet.announce()
