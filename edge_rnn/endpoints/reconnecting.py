"""A tcp or unix source that is dialled again when its peer goes away, for as long as its patience lasts.

Each connection begins its format anew (a header comes again). Where its first sample's number or time goes on from the
last one's, the hole between is a gap like any other; else the state begins anew. Clock and sleep are arguments.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from ..backoff import Backoff
from ..errors import SourceError
from ..recording import Chunk
from .sources import Source

FIRST_SECONDS, MOST_SECONDS = 0.05, 5.0
log = logging.getLogger("edge_rnn")


class Reconnecting:
    """`dial` opens the source; `patience_s` is how long nothing may come before it is given up.

    It is tried again at least once: a peer that was quiet for longer may only have been started again.
    """

    def __init__(
        self,
        url: str,
        dial: Callable[[], Source],
        patience_s: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._url, self._dial, self._patience_s = url, dial, patience_s
        self._clock, self._sleep = clock, sleep
        self._current: Source | None = None
        self._malformed = 0
        self._reports: list[str] = []
        self._last: Chunk | None = None
        self.reconnects = 0

    @property
    def malformed(self) -> int:
        """Lines that were skipped, over all connections."""
        return self._malformed + (self._current.malformed if self._current else 0)

    @property
    def reports(self) -> list[str]:
        """What was wrong with the first of them."""
        return [*self._reports, *(self._current.reports if self._current else [])]

    @property
    def channels(self) -> tuple[str, ...]:
        """The present connection's."""
        return self._current.channels if self._current else ()

    @property
    def rate_hz(self) -> float:
        """The present connection's."""
        return self._current.rate_hz if self._current else 0.0

    def __iter__(self) -> Iterator[Chunk]:
        """Chunks of one connection after the other; raises SourceError when the patience is out."""
        backoff = Backoff(FIRST_SECONDS, MOST_SECONDS)
        heard, down = self._clock(), False
        while True:
            try:
                self._current = self._dial()
                fresh = True
                for chunk in self._current:
                    if down:
                        log.warning("%s is back after %.1f s", self._url, self._clock() - heard)
                        down, self.reconnects = False, self.reconnects + 1
                    backoff.success()
                    yield replace(chunk, restart=True) if fresh and self._begins_anew(chunk) else chunk
                    heard, fresh, self._last = self._clock(), False, chunk
                why = f"{self._url} was closed by its peer"
            except SourceError as error:
                why = str(error)
            self._leave()
            left = heard + self._patience_s - self._clock()
            if left <= 0 and down:
                raise SourceError(f"{why}; tried again for {self._patience_s:g} s")
            if not down:
                log.warning("%s: trying again for %g s", why, self._patience_s)
            down = True
            self._sleep(max(0.0, min(backoff.wait(), left)))

    def _begins_anew(self, chunk: Chunk) -> bool:
        """Whether nothing tells how much is missing between the last connection's last sample and this one's first."""
        last = self._last
        if last is None or not len(last.samples) or not len(chunk.samples):
            return last is not None
        if chunk.seq is not None and last.seq is not None:
            return int(chunk.seq[0]) <= int(last.seq[-1])
        if chunk.seq is None and last.seq is None and chunk.t_ns is not None and last.t_ns is not None:
            return int(chunk.t_ns[0]) <= int(last.t_ns[-1])
        return True

    def _leave(self) -> None:
        """Keep the sums of a connection that ended."""
        if self._current is not None:
            self._malformed += self._current.malformed
            self._reports = [*self._reports, *self._current.reports][:5]
            self._current = None
