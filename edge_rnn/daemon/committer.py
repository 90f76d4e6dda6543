"""The thread that makes batches durable. Whoever submits never waits; whoever waits for news is woken after a commit.

It must never drop an event silently: what finds no room while the disk is full is counted, and a tombstone tells.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from .records import Batch
from .store import Store
from .storefile import StoreError

log = logging.getLogger("edge_rnn")

MOST_HELD = 10_000
"""Events that wait for a disk that takes nothing; the oldest go beyond."""
RETRY_SECONDS = 0.2
BEAT_SECONDS = 0.2
"""The longest time between two beats when all is well."""
ACK_SECONDS = 0.1
"""For so long acknowledgements wait for something else to be committed with them: a flush to the disk is dear."""


class Committer:
    """Submit batches from any thread; `on_commit` is called on this thread with what has just become durable."""

    def __init__(self, store: Store, on_commit: Callable[[Batch], None], most_held: int = MOST_HELD) -> None:
        self.beats = 0
        self.failing: str | None = None
        self.lost = 0
        self._store = store
        self._on_commit = on_commit
        self._most = most_held
        self._held = Batch()
        self._changed = threading.Condition()
        self._stopping = False
        self._hurry = False
        self._idle = True
        self._thread = threading.Thread(target=self._run, name="edge-rnn store", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def submit(self, batch: Batch) -> None:
        """Take a batch; never blocks."""
        with self._changed:
            self._held.absorb(batch)
            self._held.shed(self._most)
            if not batch.can_wait:
                self._changed.notify_all()

    @property
    def crowded(self) -> bool:
        """Whether a source that can wait should wait."""
        return len(self._held.records) > self._most // 4

    def flush(self, seconds: float) -> bool:
        """Wait until all that was submitted is durable; False when that took too long."""
        with self._changed:
            self._hurry = True
            self._changed.notify_all()
            done = self._changed.wait_for(lambda: self._idle and not self._held, seconds)
            self._hurry = False
            return done

    def stop(self, seconds: float) -> bool:
        """Commit what is left and end; False when that took too long."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            self.beats += 1
            with self._changed:
                if not self._stopping and not self._hurry and self._held.can_wait:
                    self._changed.wait(ACK_SECONDS if self._held else BEAT_SECONDS)
                if self._stopping and not self._held:
                    return
                batch, self._held = self._held, Batch()
                self._idle = not batch
            if batch and not self._commit(batch):
                with self._changed:
                    batch.absorb(self._held)
                    batch.shed(self._most)
                    self._held = batch
                    if self._stopping:
                        return
                    self._changed.wait_for(lambda: self._stopping, RETRY_SECONDS)

    def _commit(self, batch: Batch) -> bool:
        try:
            self._store.commit(batch)
        except StoreError as error:
            if self.failing is None:
                log.error("%s: inference goes on, up to %d events wait", error, self._most)
            self.failing = str(error)
            self._store.reserve.spend()
            return False
        if self.failing is not None:
            log.warning("the store takes events again, %d were lost", batch.lost)
            self.failing = None
        if batch.lost:
            self.lost += batch.lost
        self._on_commit(batch)
        with self._changed:
            self._idle = True
            self._changed.notify_all()
        return True

    def refill_reserve(self) -> None:
        """Take the reserve's room again, when there is some."""
        if self.failing is None:
            self._store.reserve.refill()
