"""Between a source's thread and the step thread: chunks in order, bounded in samples.

A live source drops its oldest samples when nobody has time for them, and the hole becomes a Gap: samples that carry
no time or number of their own are numbered here. A source that can be read again waits instead.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import replace

import numpy as np

from ..recording import Chunk


class Ring:
    """One pipeline's input. `cursor` is how many samples of the source were taken before.

    `news` is shared by many: a ring enters itself when its pipeline has something to do, once while samples wait.
    """

    def __init__(self, limit: int, live: bool, cursor: int = 0, news: deque[Ring] | None = None) -> None:
        self.live = live
        self.dropped = 0
        self.came = cursor
        self.number = cursor
        """The next sample's, where samples carry none; whoever numbers them elsewhere gives it back."""
        self.ended = False
        self.since_ns = 0
        """When the oldest of what waits came (time.monotonic_ns)."""
        self._news: deque[Ring] = deque() if news is None else news
        self._limit = limit
        self._skip = 0
        self._waiting = 0
        self._queue: deque[Chunk] = deque()
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._closed = False

    def reopened(self, missed: int = 0) -> None:
        """The source begins anew: from its first sample when it can be read again, else after `missed` samples."""
        with self._lock:
            if self.live:
                self.came += missed
                self.number += missed
            else:
                self._skip = self.came

    def put(self, chunk: Chunk) -> bool:
        """Take a chunk; False when nobody wants more. Who puts tells the step thread."""
        rows = len(chunk.samples)
        with self._lock:
            if self._skip:
                known = min(self._skip, rows)
                self._skip -= known
                chunk, rows = replace(chunk.part(known), restart=False), rows - known
            if not rows:
                return not self._closed
            if self.live and chunk.t_ns is None and chunk.seq is None:
                chunk = replace(chunk, seq=np.arange(self.number, self.number + rows))
            self.came += rows
            self.number += rows
            if not self.live:
                self._changed.wait_for(lambda: self._closed or self._waiting < self._limit)
            if self._closed:
                return False
            first = not self._queue
            if first:
                self.since_ns = time.monotonic_ns()
            self._queue.append(chunk)
            self._waiting += rows
            self._keep_limit()
            if first:
                self.tell()
        return True

    def put_back(self, chunk: Chunk, came_ns: int) -> None:
        """Take a live source's numbered samples that came before all that waits, at `came_ns`."""
        with self._lock:
            if self._closed:
                return
            self.came += len(chunk.samples)
            self.since_ns = came_ns
            self._queue.appendleft(chunk)
            self._waiting += len(chunk.samples)
            self._keep_limit()
            self.tell()

    def passed(self, rows: int) -> int:
        """So many samples of a live source went another way; the cursor after them."""
        with self._lock:
            self.came += rows
            self.number = max(self.number, self.came)
            return self.came

    def end(self) -> None:
        """The source has no more samples, ever."""
        with self._lock:
            self.ended = True
            self.tell()

    def tell(self) -> None:
        """From any thread, after whatever it is: its pipeline has something to do in the next round."""
        self._news.append(self)

    def take(self) -> tuple[list[Chunk], bool]:
        """All that waits, and whether it is the end."""
        if not self._queue and not self.ended:
            return [], False  # what comes at this moment is news again
        with self._lock:
            chunks = list(self._queue)
            self._queue.clear()
            self._waiting = 0
            if not self.live:
                self._changed.notify_all()
            return chunks, self.ended

    def close(self) -> None:
        """Want no more; a waiting `put` returns."""
        with self._lock:
            self._closed = True
            self._changed.notify_all()

    def _keep_limit(self) -> None:
        while self._waiting > self._limit and self.live:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        oldest = self._queue.popleft()
        gone = min(self._waiting - self._limit, len(oldest.samples))
        self.dropped += gone
        self._waiting -= gone
        if gone < len(oldest.samples):
            self._queue.appendleft(replace(oldest.part(gone), restart=oldest.restart))
        elif oldest.restart and self._queue:
            self._queue[0] = replace(self._queue[0], restart=True)
