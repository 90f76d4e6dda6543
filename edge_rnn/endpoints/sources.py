"""Where samples come from, by URL: a file (CSV, JSON lines, npz recordings) or `-`, the standard input.

A source is an iterable of chunks. It raises SourceError when it cannot be opened or breaks.
"""

from __future__ import annotations

import dataclasses
import os
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, Protocol
from urllib.parse import unquote, urlsplit
from zipfile import BadZipFile

import numpy as np

from ..arrays import Array
from ..errors import DataError, SourceError, UsageError
from ..recording import Chunk, Damage, Header, decode
from .lines import LineDecoder

BLOCK_BYTES = 1 << 18
BLOCK_SAMPLES = 4096


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


def open_source(url: str, channels: tuple[str, ...], *, strict: bool = False) -> Source:
    """Open a source by URL; raises UsageError for a kind that is unknown, SourceError when it is not there."""
    parts = urlsplit(url)
    if url == "-":
        return LineSource(sys.stdin.buffer, channels, strict)
    if parts.scheme not in ("", "file"):
        raise UsageError(f"source {url!r} is of kind {parts.scheme}://, expected a file or - for standard input")
    path = Path(unquote(parts.path) if parts.scheme == "file" else url)
    if path.suffix == ".npz":
        return RecordingSource(path, channels)
    if path.suffix == ".ernrec":
        return BlockSource(path, channels)
    try:
        return LineSource(path.open("rb"), channels, strict)
    except OSError as error:
        raise SourceError(f"cannot open the source {path}: {error.strerror}") from error


class LineSource:
    """Lines of a file or pipe; what has come is given at once, so a slow sensor is not held back."""

    rate_hz = 0.0

    def __init__(self, file: BinaryIO, channels: tuple[str, ...], strict: bool) -> None:
        self._file = file
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
        with self._file:
            while block := self._read():
                chunk = self._decoder.feed(block)
                if chunk is not None:
                    yield chunk
            chunk = self._decoder.close()
            if chunk is not None:
                yield chunk

    def _read(self) -> bytes:
        try:
            return os.read(self._file.fileno(), BLOCK_BYTES)
        except OSError as error:
            raise SourceError(f"the source broke: {error.strerror}") from error


@dataclass
class BlockSource:
    """A recording of ours (.ernrec); damaged blocks are left out and reported."""

    path: Path
    channels: tuple[str, ...]
    header: Header = field(default_factory=lambda: Header(()))
    malformed: int = 0
    reports: list[str] = field(default_factory=list)
    rate_hz: float = 0.0

    def __iter__(self) -> Iterator[Chunk]:
        """Chunks as they were recorded."""
        damage = Damage()
        columns: list[int] = []
        try:
            blob = self.path.read_bytes()
            for block in decode(blob, damage):
                if isinstance(block, Header):
                    columns = self._columns(block)
                elif isinstance(block, Chunk):
                    samples = np.ascontiguousarray(block.samples[:, columns])
                    yield dataclasses.replace(block, samples=samples, name=block.name or self.path.stem)
        except (OSError, DataError) as error:
            raise SourceError(f"cannot read the recording {self.path}: {error}") from error
        if damage.places:
            self.malformed = damage.places
            self.reports.append(f"{damage.places} damaged places, {damage.bytes} bytes, of {self.path}")

    def _columns(self, header: Header) -> list[int]:
        self.channels = self.channels or header.channels
        self.header, self.rate_hz = header, header.rate_hz
        missing = [name for name in self.channels if name not in header.channels]
        if missing:
            raise SourceError(f"{self.path} lacks {', '.join(missing)}: its channels are {', '.join(header.channels)}")
        return [header.channels.index(name) for name in self.channels]


@dataclass
class RecordingSource:
    """Recordings of an .npz (docs/recordings.md), one after the other; each begins with a fresh state."""

    path: Path
    channels: tuple[str, ...]
    malformed: int = 0
    reports: list[str] = field(default_factory=list)
    rate_hz: float = 0.0

    def __iter__(self) -> Iterator[Chunk]:
        """Chunks, recording by recording."""
        arrays = self._load()
        names = [str(name) for name in arrays.get("channels", self.channels)]
        self.channels = self.channels or tuple(names)
        self.rate_hz = float(arrays["fs"]) if "fs" in arrays and arrays["fs"].shape == () else 0.0
        missing = [name for name in self.channels if name not in names]
        if "x" not in arrays or missing:
            raise SourceError(f"{self.path} lacks {', '.join(missing) or 'x'}: its channels are {', '.join(names)}")
        columns = [names.index(name) for name in self.channels]
        x, starts = arrays["x"], arrays.get("rec_start", np.array([0, len(arrays["x"])]))
        scale = np.asarray(arrays.get("scale", np.ones(len(names))))
        if x.ndim != 2 or x.shape[1] != len(names) or x.dtype.kind not in "iuf" or scale.shape != (len(names),):
            raise SourceError(f"{self.path} has x {x.dtype} {x.shape}, expected numbers (N, {len(names)}) and a scale")
        if starts.dtype.kind not in "iu" or starts.ndim != 1 or np.any(np.diff([0, *starts, len(x)]) < 0):
            raise SourceError(f"{self.path} has rec_start that does not rise from 0 to {len(x)}: write it again")
        scale = scale.astype(np.float64)[columns]
        for number, (first, last) in enumerate(pairwise(starts.tolist())):
            for at in range(first, last, BLOCK_SAMPLES):
                rows = x[at : min(at + BLOCK_SAMPLES, last)][:, columns]
                with np.errstate(over="ignore"):
                    samples = np.ascontiguousarray(rows * scale, np.float32)
                yield Chunk(samples, restart=at == first, name=f"{self.path.stem}/{number}")

    def _load(self) -> dict[str, Array]:
        try:
            with np.load(self.path, allow_pickle=False) as file:
                return {name: file[name] for name in ("x", "rec_start", "channels", "scale", "fs") if name in file}
        except (OSError, ValueError, EOFError, KeyError, TypeError, AttributeError, BadZipFile, zlib.error) as error:
            raise SourceError(f"cannot read the recordings {self.path}: {error}") from error
