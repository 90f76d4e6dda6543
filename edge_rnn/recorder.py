"""Writes a recording: a file that grows block by block.

What has been flushed survives a crash, and on a disk that keeps its word a power cut. Memory is bounded by one block.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from .errors import SourceError, UsageError
from .recording import Chunk, Header, continues, encode_chunk, encode_event, encode_header, joined

BLOCK_SAMPLES = 4096


class Recorder:
    """One .ernrec file. `add` gathers samples, `flush` makes them durable; a full block is flushed at once."""

    def __init__(self, path: str | Path, header: Header, *, durable: bool = True) -> None:
        self.path = Path(path)
        self.samples = 0
        self._durable = durable
        self._header = header
        self._pending: list[Chunk] = []
        self._rows = 0
        try:
            self._file = self.path.open("xb")
        except FileExistsError as error:
            raise UsageError(f"{path} exists already: give another name, recordings are never overwritten") from error
        except OSError as error:
            raise UsageError(f"cannot write the recording {path}: {error.strerror}") from error
        self._write(encode_header(header))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def add(self, chunk: Chunk) -> None:
        """Record samples as they came."""
        if chunk.samples.shape[1] != len(self._header.channels):
            raise UsageError(f"samples of {len(self._header.channels)} channels go here, got {chunk.samples.shape}")
        if self._pending and not continues(self._pending[-1], chunk):
            self.flush()
        self._pending.append(chunk)
        self._rows += len(chunk.samples)
        self.samples += len(chunk.samples)
        if self._rows >= BLOCK_SAMPLES:
            self.flush()

    def event(self, line: dict[str, Any]) -> None:
        """Record a decision."""
        self.flush()
        self._write(encode_event(line))

    def flush(self) -> None:
        """Write what was gathered; raises SourceError when the disk does not take it."""
        if self._pending:
            for chunk in joined(self._pending):  # one: `add` flushes what does not continue
                self._write(encode_chunk(chunk))
            self._pending, self._rows = [], 0

    def close(self) -> None:
        """Flush and close."""
        if not self._file.closed:
            self.flush()
            self._file.close()

    def _write(self, block: bytes) -> None:
        try:
            self._file.write(block)
            self._file.flush()
            if self._durable:
                os.fsync(self._file.fileno())
        except OSError as error:
            raise SourceError(f"the recording {self.path} cannot be written: {error.strerror}") from error
