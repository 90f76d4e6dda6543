"""Recordings as sources: .ernrec (docs/ernrec.md) and .npz (docs/recordings.md)."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from ..arrays import Array
from ..errors import DataError, SourceError
from ..recording import Chunk, Damage, Header, decode

BLOCK_SAMPLES = 4096


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
