"""A source under supervision: its own thread opens it, reads it, and opens it again, each with its own patience.

It must never end because its source did; one log line tells of an outage, one of its end.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ..backoff import Backoff
from ..endpoints.sockets import SocketSource
from ..endpoints.sources import Source, open_source
from ..errors import EdgeRnnError
from ..recording import Chunk
from . import config
from .hub import Hub
from .ring import Ring
from .seat import Seat

log = logging.getLogger("edge_rnn")

FIRST_SECONDS, MOST_SECONDS = 0.02, 1.0
Open = Callable[[config.Source, tuple[str, ...]], Source]


def replayable(url: str) -> bool:
    """Whether the source gives the same samples again from its beginning: files and recordings do, pipes do not."""
    parts = urlsplit(url)
    if url == "-" or parts.scheme not in ("", "file"):
        return False
    path = Path(unquote(parts.path) if parts.scheme else url)
    return path.is_file() or not path.exists()


def open_configured(source: config.Source, channels: tuple[str, ...]) -> Source:
    """Open a source as its table says."""
    url = source.url
    if source.baud is not None and "baud=" not in url:
        url += ("&" if "?" in url else "?") + f"baud={source.baud}"
    return open_source(url, channels)


class Feed:
    """Feeds the rings of the pipelines on one source."""

    def __init__(self, source: config.Source, channels: tuple[str, ...], rate_hz: float, open_: Open, hub: Hub) -> None:
        self.source = source
        self.up = False
        self.reconnects = 0
        self.error: str | None = None
        self._channels = channels
        self._rate_hz = rate_hz
        self._open = open_
        self._hub = hub
        self._seat: Seat | None = None
        self._backoff = Backoff(FIRST_SECONDS, MOST_SECONDS)
        self._down_since: float | None = None
        self._rings: tuple[Ring, ...] = ()
        self._stop = threading.Event()
        self._current: Source | None = None
        self._thread = threading.Thread(target=self._run, name=f"edge-rnn source {source.id}", daemon=True)

    def start(self, rings: list[Ring]) -> None:
        """Begin to feed."""
        self._rings = tuple(rings)
        self._thread.start()

    def stop(self) -> None:
        """Ask it to end; a source that is stuck in a read is left behind."""
        self._stop.set()
        for ring in self._rings:
            ring.close()
        close = getattr(self._current, "close", None)
        if self._seat is not None:
            self._seat.leave()
        elif close is not None:
            with contextlib.suppress(Exception):
                close()

    def join(self, seconds: float) -> bool:
        """Wait for its end."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        final = self.source.url == "-" or replayable(self.source.url)
        while not self._stop.is_set():
            try:
                self._current = self._open(self.source, self._channels)
                away = 0.0 if self._down_since is None else time.monotonic() - self._down_since
                for ring in self._rings:
                    ring.reopened(round(away * self._rate_hz))
                self._read(self._current)
                self.error = None if final else "the peer closed it"
                if final:
                    break
            except EdgeRnnError as error:
                self.error = str(error)
            except Exception as error:
                log.exception("source %s broke", self.source.id)
                self.error = repr(error)
            if self.up or self._down_since is None:
                self._down_since = time.monotonic()
                if not self._stop.is_set():
                    log.warning("source %s is down: %s", self.source.id, self.error)
            self.up = False
            self._stop.wait(self._backoff.wait())
        self.up = False
        if not self._stop.is_set():
            for ring in self._rings:
                ring.end()
            self._hub.wake()

    def _read(self, source: Source) -> None:
        """Read until it ends or is stopped; a socket is read by the hub, with all the others."""
        if isinstance(source, SocketSource):
            self._seat = self._hub.seat(source, self._took, self._rings[0] if len(self._rings) == 1 else None)
            if self._stop.is_set():
                self._seat.leave()
            self._seat.wait()
            self._seat = None
            return
        for chunk in source:
            if self._stop.is_set() or not self._took(chunk):
                return
            self._hub.wake()

    def _took(self, chunk: Chunk) -> bool:
        """Give a chunk to the rings; False when nobody wants more."""
        if not self.up:
            self.up, self.error = True, None
            self._backoff.success()
            if self._down_since is not None:
                self.reconnects += 1
                log.warning("source %s is back after %.2f s", self.source.id, time.monotonic() - self._down_since)
        wanted = False
        for ring in self._rings:
            wanted = ring.put(chunk) or wanted
        return wanted
