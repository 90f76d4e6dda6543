"""What Prometheus scrapes, over HTTP on the address of `service.metrics`; off where none is given.

It reads counters that others keep and changes nothing; it must never wait on the step thread or make it wait.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ..errors import MissingExtra, UsageError
from ..latency import Histogram
from .unit import Unit

if TYPE_CHECKING:
    from prometheus_client import Metric

    from .lane import Lane
    from .service import Service

log = logging.getLogger("edge_rnn")

STEP_SECONDS = (1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
END_TO_END_SECONDS = (1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1, 0.2, 0.5, 1.0, 5.0)


class Metrics:
    """Serves one address from a thread of its own."""

    def __init__(self, service: Service, address: str) -> None:
        try:
            from prometheus_client import CollectorRegistry, start_http_server
        except ModuleNotFoundError as error:
            raise MissingExtra("prometheus-client", "daemon", "service.metrics") from error
        host, _, port = address.rpartition(":")
        registry = CollectorRegistry()
        registry.register(Readings(service))
        self.address = address
        try:
            self._server, _ = start_http_server(int(port), host.strip("[]"), registry)
        except OSError as error:
            raise UsageError(f"service.metrics cannot listen on {address}: {error.strerror or error}") from error

    def stop(self) -> None:
        """Serve no more, in half a second at most: nobody has to wait for that."""
        threading.Thread(target=self._end, name="edge-rnn metrics", daemon=True).start()

    def _end(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Readings:
    """A collector: every scrape reads the service anew."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def describe(self) -> list[Metric]:
        """Nothing is read before the first scrape."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All families."""
        units = list(self._service.units.values())
        yield from _of_lanes(self._service, [lane for unit in units for lane in unit.lanes])
        yield from _of_sources(units)
        yield from _of_sinks(self._service)
        yield _histogram(
            "edge_rnn_end_to_end_seconds",
            "from a sample's coming to its event being durable",
            {(): self._service.end_to_end},
            END_TO_END_SECONDS,
        )


def _of_lanes(service: Service, lanes: list[Lane]) -> Iterator[Metric]:
    counters = {lane.pipeline: lane.stream.counters for lane in lanes}
    yield _counter("edge_rnn_samples", "samples that came", {(p,): c.received for p, c in counters.items()})
    yield _counter(
        "edge_rnn_samples_lost",
        "samples that never came and were not imputed",
        {(p,): c.lost for p, c in counters.items()},
    )
    yield _counter(
        "edge_rnn_samples_imputed", "samples held over a gap", {(p,): c.imputed for p, c in counters.items()}
    )
    yield _counter("edge_rnn_samples_bad", "NaN, Inf, stuck and the like", {(p,): c.bad for p, c in counters.items()})
    yield _counter("edge_rnn_gaps", "gaps told since the start", {(one.pipeline,): one.events["gap"] for one in lanes})
    kinds = {(one.pipeline, kind): count for one in lanes for kind, count in dict(one.events).items()}
    yield _counter("edge_rnn_events", "events told since the start", kinds, ("pipeline", "type"))
    steps = {(one.pipeline,): one.steps for one in lanes}
    yield _histogram("edge_rnn_step_seconds", "a push's time over its samples", steps, STEP_SECONDS, ("pipeline",))
    switches = {(one.pipeline,): service.assembly.switches[one.pipeline] for one in lanes}
    yield _counter("edge_rnn_model_switches", "changes to another model since the start", switches)
    info = {
        (one.pipeline, one.model.manifest.title, one.model.manifest.model_digest, one.model.engine.name): 1
        for one in lanes
    }
    yield _gauge("edge_rnn_model_info", "the model of each pipeline", info, ("pipeline", "model", "digest", "engine"))


def _of_sources(units: list[Unit]) -> Iterator[Metric]:
    feeds = {(unit.source.id,): unit.feed for unit in units}
    up = {name: int(feed.up) for name, feed in feeds.items()}
    yield _gauge("edge_rnn_source_up", "1 while samples come", up, ("source",))
    again = {name: feed.reconnects for name, feed in feeds.items()}
    yield _counter("edge_rnn_source_reconnects", "times it came back", again, ("source",))


def _of_sinks(service: Service) -> Iterator[Metric]:
    outlets = {(name,): outlet for name, (_, outlet) in list(service.outlets.items())}
    yield _gauge("edge_rnn_sink_up", "1 while it takes events", {n: int(o.up) for n, o in outlets.items()}, ("sink",))
    queued = {(name,): service.store.queued(name) for (name,) in outlets}
    yield _gauge("edge_rnn_sink_queue", "events that wait for it", queued, ("sink",))


Values = Mapping[Any, Any]
"""Label values -> a number or a Histogram."""


def _counter(name: str, what: str, values: Values, labels: tuple[str, ...] = ("pipeline",)) -> Metric:
    from prometheus_client.core import CounterMetricFamily

    return _filled(CounterMetricFamily(name, what, labels=labels), values)


def _gauge(name: str, what: str, values: Values, labels: tuple[str, ...]) -> Metric:
    from prometheus_client.core import GaugeMetricFamily

    return _filled(GaugeMetricFamily(name, what, labels=labels), values)


def _filled(family: Any, values: Values) -> Metric:
    for names, value in values.items():
        family.add_metric(names, value)
    filled: Metric = family
    return filled


def _histogram(name: str, what: str, values: Values, bounds: tuple[float, ...], labels: tuple[str, ...] = ()) -> Metric:
    from prometheus_client.core import HistogramMetricFamily

    family = HistogramMetricFamily(name, what, labels=labels)
    for names, one in values.items():
        assert isinstance(one, Histogram)
        buckets = [(f"{bound:g}", float(one.at_most(bound))) for bound in bounds]
        family.add_metric(names, [*buckets, ("+Inf", float(one.count))], one.total_ns / 1e9)
    return family
