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

from ..endpoints.sources import Source, open_source
from ..errors import EdgeRnnError
from . import config
from .backoff import Backoff
from .ring import Ring

log = logging.getLogger("edge_rnn")

FIRST_SECONDS, MOST_SECONDS = 0.02, 5.0
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

    def __init__(
        self, source: config.Source, channels: tuple[str, ...], rate_hz: float, open_: Open = open_configured
    ) -> None:
        self.source = source
        self.up = False
        self.reconnects = 0
        self.error: str | None = None
        self._channels = channels
        self._rate_hz = rate_hz
        self._open = open_
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
        if close is not None:
            with contextlib.suppress(Exception):
                close()

    def join(self, seconds: float) -> bool:
        """Wait for its end."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        backoff = Backoff(FIRST_SECONDS, MOST_SECONDS)
        down_since: float | None = None
        final = self.source.url == "-" or replayable(self.source.url)
        while not self._stop.is_set():
            try:
                self._current = self._open(self.source, self._channels)
                missed = 0 if down_since is None else round((time.monotonic() - down_since) * self._rate_hz)
                for ring in self._rings:
                    ring.reopened(missed)
                came = self._read(self._current, backoff, down_since)
                self.error = None if final else "the peer closed it"
                if final and came is not None:
                    break
            except EdgeRnnError as error:
                self._say(str(error))
            except Exception as error:
                log.exception("source %s broke", self.source.id)
                self.error = repr(error)
            if self.up or down_since is None:
                down_since = time.monotonic()
                if not self._stop.is_set():
                    log.warning("source %s is down: %s", self.source.id, self.error)
            self.up = False
            self._stop.wait(backoff.wait())
        self.up = False
        if not self._stop.is_set():
            for ring in self._rings:
                ring.end()

    def _read(self, source: Source, backoff: Backoff, down_since: float | None) -> int | None:
        """Read until it ends; None when it was stopped."""
        came = 0
        for chunk in source:
            if self._stop.is_set():
                return None
            if not self.up:
                self.up, self.error = True, None
                backoff.success()
                if down_since is not None:
                    self.reconnects += 1
                    log.warning("source %s is back after %.2f s", self.source.id, time.monotonic() - down_since)
            came += len(chunk.samples)
            wanted = [ring.put(chunk) for ring in self._rings]
            if not any(wanted):
                return None
        return None if self._stop.is_set() else came

    def _say(self, error: str) -> None:
        self.error = error
