"""Between a source's thread and the step thread: chunks in order, bounded in samples.

A live source drops its oldest samples when nobody has time for them, and the hole becomes a Gap: samples that carry
no time or number of their own are numbered here. A source that can be read again waits instead.
"""

from __future__ import annotations

import threading
import time
from collections import deque

import numpy as np

from ..recording import Chunk


class Ring:
    """One pipeline's input. `cursor` is how many samples of the source were taken before."""

    def __init__(self, limit: int, live: bool, cursor: int = 0) -> None:
        self.live = live
        self.dropped = 0
        self.came = cursor
        self.ended = False
        self.since_ns = 0
        """When the oldest of what waits came (time.monotonic_ns)."""
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
            else:
                self._skip = self.came

    def put(self, chunk: Chunk) -> bool:
        """Take a chunk; False when nobody wants more. Who puts tells the step thread."""
        rows = len(chunk.samples)
        with self._lock:
            if self._skip:
                known = min(self._skip, rows)
                self._skip -= known
                chunk, rows = _from(chunk, known), rows - known
            if not rows:
                return not self._closed
            if self.live and chunk.t_ns is None and chunk.seq is None:
                seq = np.arange(self.came, self.came + rows)
                chunk = Chunk(chunk.samples, None, seq, chunk.restart, chunk.name)
            self.came += rows
            if not self.live:
                self._changed.wait_for(lambda: self._closed or self._waiting < self._limit)
            if self._closed:
                return False
            if not self._queue:
                self.since_ns = time.monotonic_ns()
            self._queue.append(chunk)
            self._waiting += rows
            while self._waiting > self._limit and self.live:
                self._drop_oldest()
        return True

    def end(self) -> None:
        """The source has no more samples, ever."""
        with self._lock:
            self.ended = True

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

    def _drop_oldest(self) -> None:
        oldest = self._queue.popleft()
        gone = min(self._waiting - self._limit, len(oldest.samples))
        self.dropped += gone
        self._waiting -= gone
        rest = _from(oldest, gone)
        if len(rest.samples):
            self._queue.appendleft(Chunk(rest.samples, rest.t_ns, rest.seq, oldest.restart, rest.name))
        elif oldest.restart and self._queue:
            after = self._queue[0]
            self._queue[0] = Chunk(after.samples, after.t_ns, after.seq, True, after.name)


def joined(chunks: list[Chunk]) -> list[Chunk]:
    """The same samples in fewer chunks: neighbours with keys of the same kind become one."""
    if len(chunks) < 2:
        return chunks
    groups: list[list[Chunk]] = []
    for chunk in chunks:
        last = groups[-1][-1] if groups else None
        if last is None or chunk.restart or _kind(last) != _kind(chunk):
            groups.append([chunk])
        else:
            groups[-1].append(chunk)
    return [_concatenated(group) for group in groups]


def _concatenated(group: list[Chunk]) -> Chunk:
    if len(group) == 1:
        return group[0]
    t_ns = None if group[0].t_ns is None else np.concatenate([c.t_ns for c in group if c.t_ns is not None])
    seq = None if group[0].seq is None else np.concatenate([c.seq for c in group if c.seq is not None])
    return Chunk(np.concatenate([c.samples for c in group]), t_ns, seq, group[0].restart, group[0].name)


def _kind(chunk: Chunk) -> tuple[bool, bool]:
    return chunk.t_ns is None, chunk.seq is None


def _from(chunk: Chunk, row: int) -> Chunk:
    """The chunk without its first rows."""
    if not row:
        return chunk
    t_ns, seq = (None if keys is None else keys[row:] for keys in (chunk.t_ns, chunk.seq))
    return Chunk(chunk.samples[row:], t_ns, seq, False, chunk.name)
