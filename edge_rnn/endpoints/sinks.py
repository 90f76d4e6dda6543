"""Where lines go, by URL: `-` (standard output), a file that is appended to, tcp:// unix:// udp:// mqtt://."""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol, TextIO
from urllib.parse import unquote, urlsplit

from ..errors import SinkError, UsageError
from . import blocks


class Sink(Protocol):
    """Takes lines; what `write` has taken is out when it returns."""

    def write(self, lines: Iterable[str]) -> None:
        """Write whole lines."""
        ...

    def close(self) -> None:
        """No more lines."""
        ...


def open_sink(url: str) -> Sink:
    """Open a sink by URL; raises UsageError for one that cannot be opened."""
    parts = urlsplit(url)
    if url == "-":
        return TextSink(sys.stdout)
    if parts.scheme in ("tcp", "unix"):
        return StreamSink(url, blocks.dial(url, parts, parts.scheme))
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

    def __init__(self, url: str, peer: socket.socket) -> None:
        self._url, self._peer = url, peer

    def write(self, lines: Iterable[str]) -> None:
        """Send; raises SinkError when the peer is gone or takes nothing for ten seconds."""
        try:
            self._peer.sendall("".join(f"{line}\n" for line in lines).encode())
        except OSError as error:
            raise SinkError(f"cannot send to {self._url}: {error.strerror or error}") from error

    def close(self) -> None:
        """Close the connection."""
        self._peer.close()


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
