"""`serial://` and `socket://`: boards as sources, and text sinks. The wire itself lives in the firmware bridge.

A board that speaks the wire gives numbered samples; one that prints lines is read as CSV or JSON lines.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from ..errors import SourceError
from ..outside import outside
from ..recording import Chunk
from .lines import LineDecoder


class SerialSource:
    """An endless iterable of chunks; it raises SourceError when the port cannot be opened at first."""

    def __init__(self, url: str, channels: tuple[str, ...], *, strict: bool = False) -> None:
        self._strict = strict
        self._channels = channels
        port = outside("ports").Port(url)
        self._bridge = outside("boards as sources")
        self.reader: Any = self._bridge.Reader(port)
        self._decoder = LineDecoder(channels, strict)
        self._begun = False

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the columns: those asked for, else those of the header, else c0, c1 ..."""
        return self._decoder.channels or self._channels

    @property
    def rate_hz(self) -> float:
        """Samples a second as the board says, 0 when it does not."""
        info = self.reader.info
        return float(info.rate_hz) if info else 0.0

    @property
    def malformed(self) -> int:
        """Lines that were skipped."""
        return self._decoder.malformed

    @property
    def reports(self) -> list[str]:
        """What was wrong: the first lines, a baud rate."""
        return [*self._decoder.reports, *self.reader.warnings]

    def __iter__(self) -> Iterator[Chunk]:
        """Chunks as they come, until somebody closes it."""
        self._begun = True
        try:
            for piece in self.reader:
                chunk = self._lines(piece) if isinstance(piece, self._bridge.Text) else self._samples(piece)
                if chunk is not None:
                    yield chunk
        finally:
            self.reader.port.close()

    def close(self) -> None:
        """Give the port free: at once, or as soon as who reads it looks up, in a quarter of a second at most."""
        self.reader.stop = True
        if not self._begun:
            self.reader.port.close()

    def _samples(self, piece: Any) -> Chunk:
        self._channels = self._channels or tuple(f"c{i}" for i in range(piece.rows.shape[1]))
        if piece.rows.shape[1] != len(self._channels):
            there, wanted = piece.rows.shape[1], len(self._channels)
            raise SourceError(f"the board has {there} channels, the bundle {wanted} ({', '.join(self._channels)})")
        samples = np.ascontiguousarray(piece.rows * np.float32(piece.scale), np.float32)
        return Chunk(samples, piece.t_ns, piece.seq)

    def _lines(self, piece: Any) -> Chunk | None:
        if not piece.fresh:
            return self._decoder.feed(piece.data)
        before, self._decoder = self._decoder, LineDecoder(self._channels, self._strict)
        self._decoder.malformed, self._decoder.reports = before.malformed, before.reports
        chunk = self._decoder.feed(_from_a_whole_line(piece.data, self._channels))
        # Without times or numbers nobody knows how long the line was out: the stream begins anew.
        known = chunk is None or chunk.seq is not None or chunk.t_ns is not None
        return chunk if known or chunk is None else Chunk(chunk.samples, restart=True)


class SerialSink:
    """Lines to a port, as text; what is written while the line is out is lost and counted."""

    def __init__(self, url: str) -> None:
        self._port: Any = outside("ports").Port(url)
        self.lost = 0

    def write(self, lines: Iterable[str]) -> None:
        """Write whole lines."""
        for line in lines:
            if not self._port.up:
                self._port.read(0)
            self.lost += not self._port.write(f"{line}\n".encode())

    def close(self) -> None:
        """Give the port free."""
        self._port.close()


def _from_a_whole_line(data: bytes, channels: tuple[str, ...]) -> bytes:
    """Drop the half line a port that was opened in the middle begins with: neither a full row nor a header."""
    first, newline, rest = data.partition(b"\n")
    cells = [cell.strip() for cell in first.decode("utf-8", "replace").split(",")]
    whole = (
        not channels or len(cells) == len(channels) or set(channels) <= set(cells) or first.lstrip().startswith(b"{")
    )
    return data if whole or not newline else rest
