"""Where bytes come from: a pipe, a file that grows, sockets. Blocks of bytes as they come; what they mean is not known.

Every generator ends when its peer does, and raises SourceError when it breaks. Sockets listen on nothing: they connect
(tcp, unix), or bind and take datagrams (udp), each of which is whole lines.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO
from urllib.parse import SplitResult, unquote

from ..errors import SourceError, UsageError

BLOCK_BYTES = 1 << 18
FOLLOW_SECONDS = 0.1
CONNECT_SECONDS = 10.0


def read_pipe(file: BinaryIO) -> Iterator[bytes]:
    """A file or pipe until its end; what has come is given at once, so a slow sensor is not held back."""
    with file:
        try:
            while block := os.read(file.fileno(), BLOCK_BYTES):
                yield block
        except OSError as error:
            raise SourceError(f"the source broke: {error.strerror}") from error


def follow(path: Path, sleep: Callable[[float], None] = time.sleep) -> Iterator[bytes]:
    """A file that grows, for ever: one that was cut is read from its start, one that was replaced is opened anew."""
    file = _open(path)
    identity = os.fstat(file.fileno()).st_ino
    while True:
        block = file.read(BLOCK_BYTES)
        if block:
            yield block
            continue
        sleep(FOLLOW_SECONDS)
        try:
            now = os.stat(path)
        except OSError:
            continue  # between a rename and its successor
        if now.st_ino != identity:
            file.close()
            file = _open(path)
            identity = os.fstat(file.fileno()).st_ino
            yield b"\n"  # a line never runs from one file into the next
        elif now.st_size < file.tell():
            file.seek(0)
            yield b"\n"


def datagrams(url: str, parts: SplitResult) -> Iterator[bytes]:
    """What comes to a udp port, for ever; a datagram is whole lines."""
    host, port = address(url, parts)
    try:
        family, kind, _, _, where = socket.getaddrinfo(host or "127.0.0.1", port, type=socket.SOCK_DGRAM)[0]
        bound = socket.socket(family, kind)
        bound.bind(where)
    except OSError as error:
        raise SourceError(f"cannot bind {url}: {error.strerror or error}") from error
    with bound:
        while True:
            block = bound.recv(1 << 16)
            yield block if block.endswith(b"\n") else block + b"\n"


def dial(url: str, parts: SplitResult, family: str) -> socket.socket:
    """A connected tcp or unix socket; raises SourceError when nobody answers."""
    try:
        if family == "tcp":
            peer = socket.create_connection(address(url, parts), timeout=CONNECT_SECONDS)
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return peer
        peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        peer.settimeout(CONNECT_SECONDS)
        peer.connect(unquote(parts.path))
        return peer
    except OSError as error:
        raise SourceError(f"cannot connect to {url}: {error.strerror or error}") from error


def address(url: str, parts: SplitResult) -> tuple[str, int]:
    """Host and port of a URL; raises UsageError without a port."""
    try:
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise UsageError(f"{url!r} has no port that can be one: expected {parts.scheme}://HOST:PORT") from error
    if port is None:
        raise UsageError(f"{url!r} names no port: expected {parts.scheme}://HOST:PORT")
    return host, port


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise SourceError(f"cannot open the source {path}: {error.strerror}") from error
