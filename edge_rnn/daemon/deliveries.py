"""Ways out that need no package: a file, a Unix socket, a webhook. MQTT has its own page."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import unquote, urlsplit

from . import config
from .commands import Desk
from .outlet import Delivery, SinkDown
from .store import Waiting

if TYPE_CHECKING:
    from http.client import HTTPConnection

TIMEOUT_SECONDS = 10.0


def numbered(line: Waiting) -> str:
    """The line with the number that acknowledges it."""
    return f'{line.line[:-1]},"n":{line.n}}}'


def open_delivery(sink: config.Sink, device: str, desk: Desk | None = None) -> Delivery:
    """The way out for a sink's table; raises UsageError for a URL that cannot be one, opens nothing.

    `desk` answers what comes in by a way out: commands over MQTT.
    """
    parts = urlsplit(sink.url)
    if parts.scheme == "mqtt":
        from .mqtt import MqttDelivery

        return MqttDelivery(sink, device, desk)
    if parts.scheme in ("http", "https"):
        return Webhook(sink.url)
    if parts.scheme == "unix":
        return UnixDelivery(unquote(parts.path), sink.delivery == "app-ack", sink.ack_timeout_s)
    return FileDelivery(Path(unquote(parts.path) if parts.scheme else sink.url))


class FileDelivery:
    """Appends lines to a file; they arrived when they are flushed to the disk. A pipe or device has no such flush."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._plain = True
        self._file: BinaryIO | None = None

    def open(self) -> None:
        """Open for appending; a line that a crash cut off gets its newline."""
        try:
            self._plain = self._path.is_file() or not self._path.exists()
            self._file = self._path.open("ab+" if self._plain else "wb", buffering=0)
            if self._plain and self._file.seek(0, os.SEEK_END):
                self._file.seek(-1, os.SEEK_END)
                if self._file.read(1) != b"\n":
                    self._file.write(b"\n")
        except OSError as error:
            raise SinkDown(f"cannot write to {self._path}: {error.strerror}") from error

    def deliver(self, lines: list[Waiting]) -> int:
        """Write and flush."""
        assert self._file is not None
        try:
            rest = memoryview("".join(f"{line.line}\n" for line in lines).encode())
            while rest:
                rest = rest[self._file.write(rest) or 0 :]
            if self._plain:
                os.fdatasync(self._file.fileno())
        except (OSError, ValueError) as error:
            raise SinkDown(f"cannot write to {self._path}: {error}") from error
        return lines[-1].n

    def close(self) -> None:
        """Close."""
        if self._file is not None:
            self._file.close()


class UnixDelivery:
    """Lines to a consumer that listens on a Unix socket.

    Without `app_ack` a line arrived when the kernel took it, and a consumer that dies loses what it had not read.
    With it the consumer answers with the number `n` of the last line that is safe, and a newline.
    """

    def __init__(self, path: str, app_ack: bool, timeout_s: float) -> None:
        self._path, self._app_ack, self._timeout_s = path, app_ack, timeout_s
        self._peer: socket.socket | None = None
        self._heard = b""

    def open(self) -> None:
        """Connect."""
        self._peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._peer.settimeout(TIMEOUT_SECONDS)
        self._heard = b""
        try:
            self._peer.connect(self._path)
        except OSError as error:
            raise SinkDown(f"cannot connect to {self._path}: {error.strerror or error}") from error

    def deliver(self, lines: list[Waiting]) -> int:
        """Send, and wait for the answer where one is due."""
        assert self._peer is not None
        try:
            self._peer.sendall("".join(f"{numbered(line)}\n" for line in lines).encode())
            return self._answer(lines[-1].n) if self._app_ack else lines[-1].n
        except OSError as error:
            raise SinkDown(f"{self._path} is gone: {error.strerror or error}") from error

    def _answer(self, last: int) -> int:
        assert self._peer is not None
        acked, deadline = 0, time.monotonic() + self._timeout_s
        while acked < last and (left := deadline - time.monotonic()) > 0:
            self._peer.settimeout(left)
            try:
                data = self._peer.recv(4096)
            except TimeoutError:
                break
            if not data:
                raise SinkDown(f"{self._path} closed the connection")
            *answers, self._heard = (self._heard + data).split(b"\n")
            self._heard = self._heard[-32:]
            acked = max([acked, *(int(n) for n in answers if n.isdigit() and int(n) <= last)])
        return acked

    def close(self) -> None:
        """Disconnect."""
        if self._peer is not None:
            self._peer.close()


class Webhook:
    """POSTs lines (application/x-ndjson); they arrived when the answer is 2xx."""

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)
        self._target = (self._parts.path or "/") + (f"?{self._parts.query}" if self._parts.query else "")
        self._peer: HTTPConnection | None = None

    def open(self) -> None:
        """Make a connection; it connects at the first request, so that an idle hook costs nothing."""
        import http.client  # with TLS a noticeable part of a start, which most daemons need not make

        secure = self._parts.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        self._peer = kind(self._parts.hostname or "", self._parts.port, timeout=TIMEOUT_SECONDS)

    def deliver(self, lines: list[Waiting]) -> int:
        """One request for all lines."""
        from http.client import HTTPException

        assert self._peer is not None
        body = "".join(f"{numbered(line)}\n" for line in lines).encode()
        try:
            self._peer.request("POST", self._target, body, {"Content-Type": "application/x-ndjson"})
            answer = self._peer.getresponse()
            answer.read(1 << 16)
        except (OSError, HTTPException) as error:
            raise SinkDown(f"{self._parts.hostname} did not answer: {error}") from error
        if not 200 <= answer.status < 300:
            raise SinkDown(f"{self._parts.hostname} answered {answer.status} {answer.reason}")
        return lines[-1].n

    def close(self) -> None:
        """Disconnect."""
        if self._peer is not None:
            self._peer.close()
