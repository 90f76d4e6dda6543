"""A sink under supervision: its own thread takes lines from the store and gives them away, in order, until they are
acknowledged. At least once; a consumer that keeps ids (dedup.py) makes it exactly once.

It must never hold up anybody: a sink that hangs or is away leaves its lines in the store.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Protocol

from ..backoff import Backoff
from ..errors import EdgeRnnError
from .committer import Committer
from .records import Batch
from .store import Store, Waiting

log = logging.getLogger("edge_rnn")

FIRST_SECONDS, MOST_SECONDS = 0.05, 5.0
IDLE_SECONDS = 1.0


class SinkDown(EdgeRnnError):
    """A sink that takes nothing at the moment."""


class Delivery(Protocol):
    """How lines get out. Owned by one thread; `close` may come from another."""

    def open(self) -> None:
        """Connect; raises SinkDown."""
        ...

    def deliver(self, lines: list[Waiting]) -> int:
        """Give the lines away; the number up to which they arrived for good. Raises SinkDown."""
        ...

    def close(self) -> None:
        """Let go."""
        ...


class Outlet:
    """Pumps one sink. `batch` lines are under way at once."""

    def __init__(self, name: str, delivery: Delivery, store: Store, committer: Committer, batch: int) -> None:
        self.name = name
        self.up = False
        self.error: str | None = None
        self.delivered = 0
        self._delivery = delivery
        self._store = store
        self._committer = committer
        self._batch = batch
        self._news = threading.Event()
        self._stopping = threading.Event()
        self._drained = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"edge-rnn sink {name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """There may be something new."""
        self._drained.clear()
        self._news.set()

    def drain(self, seconds: float) -> bool:
        """Wait until nothing waits for this sink; False when that took too long."""
        self.wake()
        return self._drained.wait(seconds)

    def stop(self) -> None:
        """Ask it to end."""
        self._stopping.set()
        self._news.set()
        self._delivery.close()

    @property
    def wants_scores(self) -> bool:
        """Whether scores go this way, too."""
        return bool(getattr(self._delivery, "wants_scores", False))

    def score(self, pipeline: str, line: str) -> None:
        """The newest probabilities, for a way that wants them; what cannot go now is lost."""
        if self.up and self.wants_scores:
            self._delivery.score(pipeline, line)  # type: ignore[attr-defined]

    def announce(self) -> None:
        """Other pipelines run now."""
        announce = getattr(self._delivery, "announce", None)
        if self.up and announce is not None:
            announce()

    def join(self, seconds: float) -> bool:
        """Wait for its end."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        backoff = Backoff(FIRST_SECONDS, MOST_SECONDS)
        down_since = time.monotonic()
        said = False
        while not self._stopping.is_set():
            try:
                self._delivery.open()
                if said:
                    log.warning("sink %s is back after %.2f s", self.name, time.monotonic() - down_since)
                self.up, self.error, said = True, None, False
                self._pump(backoff)
            except EdgeRnnError as error:
                self.error = str(error)
            except Exception as error:
                log.exception("sink %s broke", self.name)
                self.error = repr(error)
            self._delivery.close()
            if self._stopping.is_set():
                break
            if self.up or not said:
                down_since, said = time.monotonic(), True
                log.warning("sink %s is down, its events wait: %s", self.name, self.error)
            self.up = False
            self._stopping.wait(backoff.wait())
        self.up = False

    def _pump(self, backoff: Backoff) -> None:
        after = self._store.acked(self.name)
        while not self._stopping.is_set():
            self._news.clear()
            lines = self._store.waiting(self.name, after, self._batch)
            if not lines:
                self._drained.set()
                self._news.wait(IDLE_SECONDS)
                continue
            upto = self._delivery.deliver(lines)
            if upto <= after:
                raise SinkDown("nothing was acknowledged in time")
            self.delivered += sum(line.n <= upto for line in lines)
            after = upto
            self._committer.submit(Batch(acked={self.name: after}))
            backoff.success()
