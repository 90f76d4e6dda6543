"""Where samples come from, by URL.

    PATH, file://PATH            CSV or JSON lines; .npz and .ernrec recordings
    -                            the standard input
    follow:PATH                  a file that grows, as `tail -F` reads it
    tcp://HOST:PORT              what a peer sends, lines or frames of the wire; unix:///PATH likewise
    udp://HOST:PORT              datagrams to a port of this machine
    mqtt://HOST[:PORT]/TOPIC     messages of a topic (extra `mqtt`)
    serial:///dev/NAME           a board (extra `serial`); socket://HOST:PORT one behind a serial server: docs/boards.md

A source is an iterable of chunks. It raises SourceError when it cannot be opened or breaks. A source that cannot wait
(udp, mqtt, serial) is `live`: see live.py.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from ..errors import SourceError, UsageError
from ..looks import EMPTY, TEXT, UNKNOWN, kind_of
from ..recording import Chunk
from . import blocks
from .lines import LineDecoder
from .live import Live
from .recordings import BlockSource, RecordingSource
from .sockets import SocketSource


class Source(Protocol):
    """An iterable of chunks that counts the lines it could not read."""

    @property
    def malformed(self) -> int:
        """Lines that were skipped."""
        ...

    @property
    def reports(self) -> list[str]:
        """What was wrong with the first of them."""
        ...

    def __iter__(self) -> Iterator[Chunk]:
        """Chunks in order of time."""
        ...

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the columns; those that were asked for, or, where none were, those the source has."""
        ...

    @property
    def rate_hz(self) -> float:
        """Samples a second as the source says, 0 when it does not; known after the first chunk."""
        ...


def open_source(url: str, channels: tuple[str, ...], *, strict: bool = False, patience_s: float = 0.0) -> Source:
    """Open a source by URL; raises UsageError for a kind that is unknown, SourceError when it is not there.

    `channels` are those wanted, in their order; empty: all that the source has. A tcp or unix peer that goes away is
    dialled again until nothing has come for `patience_s`; 0: its end is the end.
    """
    if url == "-":
        return LineSource(blocks.read_pipe(sys.stdin.buffer), channels, strict)
    scheme = urlsplit(url).scheme
    if scheme in ("", "file"):
        return _open_file(Path(unquote(urlsplit(url).path) if scheme else url), channels, strict)
    if scheme not in KINDS:
        expected = ", ".join(f"{name}:" for name in ("file", *KINDS))
        raise UsageError(f"source {url!r} is of kind {scheme}:, expected a file, - for standard input, or {expected}")
    if patience_s and scheme in ("tcp", "unix"):
        from .reconnecting import Reconnecting

        return Reconnecting(url, lambda: SocketSource(url, channels, strict, last_line=False), patience_s)
    return KINDS[scheme](url, channels, strict)


class LineSource:
    """Lines out of blocks of bytes; what has come is given at once, so a slow sensor is not held back."""

    rate_hz = 0.0

    def __init__(self, blocks: Iterable[bytes], channels: tuple[str, ...], strict: bool) -> None:
        self._blocks = blocks
        self._decoder = LineDecoder(channels, strict)

    @property
    def malformed(self) -> int:
        """Lines that were skipped."""
        return self._decoder.malformed

    @property
    def reports(self) -> list[str]:
        """What was wrong with the first of them."""
        return self._decoder.reports

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the columns, known after the first chunk."""
        return self._decoder.channels

    def __iter__(self) -> Iterator[Chunk]:
        """Chunks as the lines come."""
        for block in self._blocks:
            chunk = self._decoder.feed(block)
            if chunk is not None:
                yield chunk
        chunk = self._decoder.close()
        if chunk is not None:
            yield chunk

    @property
    def dropped(self) -> int:
        """Blocks that were dropped before they were read."""
        return int(getattr(self._blocks, "dropped", 0))


def _open_file(path: Path, channels: tuple[str, ...], strict: bool) -> Source:
    if path.suffix == ".npz":
        return RecordingSource(path, channels)
    if path.suffix == ".ernrec":
        return BlockSource(path, channels)
    try:
        # A pipe cannot be looked into beforehand; text of another encoding is of an unknown kind.
        if path.is_file() and (kind := kind_of(path)) not in (TEXT, EMPTY, UNKNOWN):
            raise SourceError(f"{path} is {kind}, expected lines of samples, X.ernrec or X.npz: check the file's name")
        return LineSource(blocks.read_pipe(path.open("rb")), channels, strict)
    except OSError as error:
        raise SourceError(f"cannot open the source {path}: {error.strerror}") from error


def _follow(url: str, channels: tuple[str, ...], strict: bool) -> Source:
    path = url.removeprefix("follow:").removeprefix("//")
    return LineSource(blocks.follow(Path(unquote(path))), channels, strict)


def _socket(url: str, channels: tuple[str, ...], strict: bool) -> Source:
    return SocketSource(url, channels, strict)


def _udp(url: str, channels: tuple[str, ...], strict: bool) -> Source:
    return Live(LineSource(blocks.datagrams(url, urlsplit(url)), channels, strict))


def _mqtt(url: str, channels: tuple[str, ...], strict: bool) -> Source:
    from .mqtt import Messages

    return Live(LineSource(Messages(url), channels, strict))


def _serial(url: str, channels: tuple[str, ...], strict: bool) -> Source:
    from .serial import SerialSource

    return Live(SerialSource(url, channels, strict=strict))


KINDS: dict[str, Callable[[str, tuple[str, ...], bool], Source]] = {
    "follow": _follow,
    "tcp": _socket,
    "unix": _socket,
    "udp": _udp,
    "mqtt": _mqtt,
    "mqtts": _mqtt,
    "serial": _serial,
    "socket": _serial,
}
"""Scheme -> what opens it."""
