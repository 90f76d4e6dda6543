"""A connected tcp or unix socket as a source. Its bytes may be read here, one socket a thread, or by whoever reads many
sockets at once and gives the bytes to `take`.

The peer sends text (lines.py), or frames (docs/wire.md, one way): these begin with a zero, which text never does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from ..engine import in_c
from ..errors import LinkError, SourceError
from ..outside import outside
from ..recording import Chunk
from . import blocks
from .lines import LineDecoder

Decoder = LineDecoder | Any
Head = tuple[int, float, int, int]
"""Where a connection's frames stand: session, scale, the last frame's first number, what is added to it."""


class SocketSource:
    """Connected from the start; raises SourceError when nobody answers. Iterate it, or read `socket` yourself.

    `last_line` says whether a line that the peer's end cut counts: from a peer that may have died, it may lack digits.
    """

    def __init__(self, url: str, channels: tuple[str, ...], strict: bool = False, *, last_line: bool = True) -> None:
        parts = urlsplit(url)
        self.url = url
        self.socket = blocks.dial(url, parts, parts.scheme)
        self.lines = LineDecoder(channels, strict)
        self.frames: FrameDecoder | None = None
        """Their decoder, once frames came."""
        self._begun = False
        self._last_line = last_line

    @property
    def malformed(self) -> int:
        """Lines or frames that were skipped."""
        return self.lines.malformed if self.frames is None else self.frames.malformed

    @property
    def reports(self) -> list[str]:
        """What was wrong with the first of them."""
        return self.lines.reports if self.frames is None else self.frames.reports

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the columns, known after the first chunk."""
        return self.lines.channels if self.frames is None else self.frames.channels

    @property
    def rate_hz(self) -> float:
        """Samples a second as the sender says, 0 when it does not."""
        return 0.0 if self.frames is None else self.frames.rate_hz

    def take(self, data: bytes) -> Chunk | None:
        """The samples of what came; `data` empty: the peer closed. Raises SourceError for what cannot be read."""
        if not self._begun and data:
            self._begun = True
            if data[:1] == b"\0":
                self.frames = FrameDecoder(self.url, self.lines.channels)
        if self.frames is not None:
            return self.frames.feed(data)
        if data:
            return self.lines.feed(data)
        return self.lines.close() if self._last_line else None

    def __iter__(self) -> Iterator[Chunk]:
        """Chunks as they come, until the peer closes."""
        self.socket.settimeout(None)
        try:
            data = b"?"
            while data:
                data = self.socket.recv(blocks.BLOCK_BYTES)
                chunk = self.take(data)
                if chunk is not None:
                    yield chunk
        except OSError as error:
            raise SourceError(f"{self.url} broke: {error.strerror or error}") from error
        finally:
            self.socket.close()

    def close(self) -> None:
        """Let go."""
        self.socket.close()


class FrameDecoder:
    """Frames of the wire, one way, as chunks of numbered samples."""

    def __init__(self, url: str, channels: tuple[str, ...]) -> None:
        self.channels = channels
        self._url = url
        self._receiver = outside("frames over sockets").Receiver(in_c("frames"))

    @property
    def rate_hz(self) -> float:
        """As INFO says."""
        info = self._receiver.info
        return float(info.rate_hz) if info else 0.0

    @property
    def malformed(self) -> int:
        """Frames that were dropped."""
        return int(self._receiver.damaged)

    @property
    def reports(self) -> list[str]:
        """In one sentence."""
        return [f"{self.malformed} frames from {self._url} were damaged"] if self.malformed else []

    @property
    def head(self) -> Head | None:
        """For whoever decodes the next frames elsewhere; None before INFO, and within a frame."""
        head: Head | None = self._receiver.head
        return head

    def go_on(self, first: int, offset: int) -> None:
        """Frames were decoded elsewhere, up to one whose first number was `first`."""
        self._receiver.go_on(first, offset)

    def feed(self, data: bytes) -> Chunk | None:
        """Take bytes in any cut."""
        try:
            came = self._receiver.feed(data)
        except LinkError as error:
            raise SourceError(f"{self._url}: {error}") from error
        if came is None:
            return None
        samples, seq = came
        if samples.shape[1] != len(self.channels):
            there = samples.shape[1]
            if self.channels:
                wanted = f"{len(self.channels)} ({', '.join(self.channels)})"
                raise SourceError(f"{self._url} sends {there} channels, expected {wanted}")
            self.channels = tuple(f"c{i}" for i in range(there))
        return Chunk(samples, None, seq)
