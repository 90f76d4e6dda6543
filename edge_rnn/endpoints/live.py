"""A source that a thread reads into a bounded queue, so that its samples are taken when they come.

The queue's bound is in samples. When its reader is too slow, the oldest samples go (a source that cannot wait), or the
source waits (`drop` False: a file, a peer with flow control). What was dropped is counted, and becomes a gap: samples
without times or numbers of their own get numbers here, in the order they came.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..errors import SourceError
from ..recording import Chunk
from .wrapped import Wrapped

if TYPE_CHECKING:
    from .sources import Source

LIMIT_SAMPLES = 1 << 16


class Live(Wrapped):
    """Wraps a source; iterate it from one thread."""

    def __init__(self, source: Source, limit: int = LIMIT_SAMPLES, *, drop: bool = True) -> None:
        super().__init__(source)
        self._limit, self._drop = limit, drop
        self._queue: deque[Chunk] = deque()
        self._waiting = 0
        self._came = 0
        self._error: BaseException | None = None
        self._closed = False
        self._changed = threading.Condition()
        self._dropped = 0

    @property
    def dropped(self) -> int:
        """Samples that nobody had time for."""
        return self._dropped + getattr(self._source, "dropped", 0)

    def __iter__(self) -> Iterator[Chunk]:
        """Chunks as they come, until the source ends or `close`."""
        threading.Thread(target=self._read, name="edge-rnn source", daemon=True).start()
        while True:
            with self._changed:
                while not self._queue and not self._closed:
                    self._changed.wait()
                if not self._queue:
                    break
                chunk = self._queue.popleft()
                self._waiting -= len(chunk.samples)
                self._changed.notify_all()
            yield chunk
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Take no more: the iteration ends after what is in the queue, and the source lets go."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        close = getattr(self._source, "close", None)
        if close is not None:
            close()

    def put(self, chunk: Chunk) -> None:
        """A chunk came."""
        rows = len(chunk.samples)
        if self._drop and chunk.t_ns is None and chunk.seq is None:
            chunk = replace(chunk, seq=np.arange(self._came, self._came + rows))
        self._came += rows
        with self._changed:
            while not self._drop and self._waiting > self._limit and not self._closed:
                self._changed.wait()
            self._queue.append(chunk)
            self._waiting += rows
            while self._drop and self._waiting > self._limit:
                self._drop_oldest(self._waiting - self._limit)
            self._changed.notify_all()

    def _drop_oldest(self, rows: int) -> None:
        oldest = self._queue.popleft()
        gone = min(rows, len(oldest.samples))
        self._dropped += gone
        self._waiting -= gone
        if gone < len(oldest.samples):
            self._queue.appendleft(replace(oldest.part(gone), restart=oldest.restart))
        elif oldest.restart and self._queue:
            self._queue[0] = replace(self._queue[0], restart=True)

    def _read(self) -> None:
        try:
            for chunk in self._source:
                if self._closed:
                    return
                self.put(chunk)
        except SourceError as error:
            self._error = error
        except Exception as error:  # whatever it is, the reader of the queue must hear of it
            self._error = SourceError(f"the source broke: {error!r}")
        self.close()
