"""Where lines go, by URL: `-` (standard output), a file that is appended to, tcp:// unix:// udp:// mqtt://."""

from __future__ import annotations

import contextlib
import socket
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol, TextIO
from urllib.parse import unquote, urlsplit

from ..backoff import Backoff
from ..errors import SinkError, SourceError, UsageError
from . import blocks

FIRST_SECONDS, MOST_SECONDS = 0.05, 5.0


class Sink(Protocol):
    """Takes lines; what `write` has taken is out when it returns."""

    def write(self, lines: Iterable[str]) -> None:
        """Write whole lines."""
        ...

    def close(self) -> None:
        """No more lines."""
        ...


def open_sink(url: str, patience_s: float = 0.0) -> Sink:
    """Open a sink by URL; raises UsageError for one that cannot be opened.

    A tcp or unix peer that goes away is dialled again for `patience_s`, while the source waits.
    """
    parts = urlsplit(url)
    if url == "-":
        return TextSink(sys.stdout)
    if parts.scheme in ("tcp", "unix"):
        return StreamSink(url, lambda: blocks.dial(url, parts, parts.scheme), patience_s)
    if parts.scheme == "udp":
        return DatagramSink(url)
    if parts.scheme in ("mqtt", "mqtts"):
        from .mqtt import MqttSink

        return MqttSink(url)
    if parts.scheme in ("serial", "socket"):
        from .serial import SerialSink

        return SerialSink(url)
    if parts.scheme not in ("", "file"):
        raise UsageError(
            f"sink {url!r} is of kind {parts.scheme}:, expected a file, -, tcp: unix: udp: mqtt: or serial:"
        )
    path = Path(unquote(parts.path) if parts.scheme == "file" else url)
    try:
        return TextSink(path.open("a", encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot write to {path}: {error.strerror}") from error


class TextSink:
    """Lines to a text file."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, lines: Iterable[str]) -> None:
        """Write and flush, so that a reader of the pipe sees an event when it happens."""
        text = "".join(f"{line}\n" for line in lines)
        if text:
            try:
                self._file.write(text)
                self._file.flush()
            except BrokenPipeError:
                raise  # the reader left, as `head` does
            except OSError as error:
                raise SinkError(f"cannot write to {self._file.name}: {error.strerror}") from error

    def close(self) -> None:
        """Close a file; the standard output stays open."""
        if self._file is not sys.stdout:
            self._file.close()


class StreamSink:
    """Lines to a connected socket."""

    def __init__(self, url: str, dial: Callable[[], socket.socket], patience_s: float = 0.0) -> None:
        self._url, self._dial, self._patience_s = url, dial, patience_s
        self._peer: socket.socket | None = None
        self._connected()

    def write(self, lines: Iterable[str]) -> None:
        """Send; raises SinkError when the peer is gone or takes nothing for ten seconds, and does not come back.

        A peer that came back gets the lines of this call from the first; what the old one had not read is lost.
        """
        text = "".join(f"{line}\n" for line in lines).encode()
        while True:
            try:
                self._connected().sendall(text)
                return
            except OSError as error:
                self.close()
                if not self._patience_s:
                    raise SinkError(f"cannot send to {self._url}: {error.strerror or error}") from error
                time.sleep(FIRST_SECONDS)  # a peer that takes and drops us at once is not hurried

    def _connected(self) -> socket.socket:
        """The peer; dialled until somebody answers or the patience is out, then what the last try said is raised."""
        backoff, since = Backoff(FIRST_SECONDS, MOST_SECONDS), time.monotonic()
        while self._peer is None:
            try:
                self._peer = self._dial()
            except SourceError:
                left = since + self._patience_s - time.monotonic()
                if left <= 0:
                    raise
                time.sleep(min(backoff.wait(), left))
        return self._peer

    def close(self) -> None:
        """Close the connection."""
        if self._peer is not None:
            self._peer.close()
            self._peer = None


class DatagramSink:
    """A datagram a line; nobody may be there."""

    def __init__(self, url: str) -> None:
        host, port = blocks.address(url, urlsplit(url))
        try:
            family, kind, _, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        except OSError as error:
            raise UsageError(f"{url} cannot be resolved: {error.strerror or error}") from error
        self._where: tuple[Any, ...] = where
        self._socket = socket.socket(family, kind)

    def write(self, lines: Iterable[str]) -> None:
        """Send each line; a port that nobody listens on is no error."""
        for line in lines:
            with contextlib.suppress(ConnectionRefusedError):
                self._socket.sendto(f"{line}\n".encode(), self._where)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
