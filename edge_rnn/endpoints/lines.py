"""Lines of text to samples: CSV with or without a header, JSON lines. Bytes in, chunks out; no I/O here.

A malformed line is counted and reported with its number, and skipped; `strict` makes it an error.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..engine import F32
from ..errors import SourceError
from ..gaps import I64

MAX_LINE_BYTES = 1 << 16
KEPT_REPORTS = 5


@dataclass(frozen=True, slots=True)
class Chunk:
    """Samples (T, I) in a row, with their times or sequence numbers (T,) where the source has them.

    `restart` says that these samples do not follow the ones before: another recording begins.
    """

    samples: F32
    t_ns: I64 | None = None
    seq: I64 | None = None
    restart: bool = False
    name: str = ""


@dataclass
class LineDecoder:
    """Decodes one source's lines; the first line decides the format."""

    channels: tuple[str, ...]
    strict: bool = False
    malformed: int = 0
    reports: list[str] = field(default_factory=list)
    _tail: bytes = b""
    _line: int = 0
    _columns: list[str] | None = None  # names of the columns of a CSV; [] for JSON lines

    def feed(self, data: bytes) -> Chunk | None:
        """Take bytes as they come; give the samples of the lines that are whole."""
        block = self._tail + data
        cut = block.rfind(b"\n") + 1
        block, self._tail = block[:cut], block[cut:]
        if len(self._tail) > MAX_LINE_BYTES:
            self._tail = b""
            self._bad("", f"is longer than {MAX_LINE_BYTES} bytes")
        return self._decode(block)

    def close(self) -> Chunk | None:
        """The source ended: a last line without newline still counts."""
        block, self._tail = self._tail, b""
        return self._decode(block)

    def _decode(self, block: bytes) -> Chunk | None:
        if self._columns is None:
            block = self._open(block)
        if not block.strip():
            self._line += block.count(b"\n")
            return None
        assert self._columns is not None
        rows = self._fast(block) if self._columns else None
        if rows is None:
            decode = self._csv if self._columns else self._json
            found = [row for row in map(decode, self._numbered(block)) if row is not None]
            rows = np.array(found, np.float64).reshape(len(found), len(self._names()))
        return self._chunk(rows) if len(rows) else None

    def _open(self, block: bytes) -> bytes:
        """Find the format in the first line that is not blank; give what is left to decode."""
        while block:
            first, _, rest = block.partition(b"\n")
            text = first.decode("utf-8", "replace").strip().lstrip("\ufeff")
            if text:
                break
            self._line, block = self._line + 1, rest
        else:
            return b""
        if text.startswith("{"):
            self._columns = []
            return block
        cells = [cell.strip() for cell in text.split(",")]
        if _is_header(cells):
            self._line += 1
            self._columns = cells
            missing = [name for name in self.channels if name not in cells]
            if missing:
                raise SourceError(f"the header lacks {', '.join(missing)}, it has {', '.join(cells)}: rename them")
            return rest
        self._columns = list(self.channels)
        return block

    def _names(self) -> list[str]:
        """Names of the numbers of a decoded row."""
        return self._columns or ["t", "seq", *self.channels]

    def _fast(self, block: bytes) -> Any:
        """Parse a block of well-formed CSV in one call, or None when any line is not."""
        columns = len(self._columns or ())
        body = block.replace(b"\r\n", b"\n") if block.endswith(b"\n") else block + b"\n"
        codes = np.frombuffer(body, np.uint8)
        ends = np.flatnonzero(codes == 10)
        commas = np.searchsorted(np.flatnonzero(codes == 44), ends)
        if np.any(np.diff(commas, prepend=0) != columns - 1):
            return None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # numpy only warns when it stops at a letter
                numbers = np.fromstring(body.replace(b"\n", b",").decode("ascii"), np.float64, sep=",")
        except (ValueError, DeprecationWarning):
            return None
        if numbers.size != len(ends) * columns:
            return None
        self._line += len(ends)
        return numbers.reshape(len(ends), columns)

    def _numbered(self, block: bytes) -> Iterator[str]:
        for line in block.splitlines():
            self._line += 1
            text = line.decode("utf-8", "replace").strip()
            if text:
                yield text

    def _csv(self, text: str) -> list[float] | None:
        cells = text.split(",")
        if len(cells) != len(self._columns or ()):
            self._bad(text, f"has {len(cells)} columns, expected {len(self._columns or ())}")
            return None
        try:
            return [float(cell) if cell.strip() else math.nan for cell in cells]
        except ValueError:
            self._bad(text, "is not a row of numbers")
            return None

    def _json(self, text: str) -> list[float] | None:
        try:
            value = json.loads(text)
            sample = value["v"]
            if len(sample) != len(self.channels):
                self._bad(text, f"has {len(sample)} values, expected {len(self.channels)}")
                return None
            numbers = [math.nan if v is None else float(v) for v in sample]
            return [float(value.get("t", math.nan)), float(value.get("seq", math.nan)), *numbers]
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
            self._bad(text, 'is not an object like {"t":12.34,"seq":617,"v":[0.1,9.7]}')
            return None

    def _bad(self, text: str, why: str) -> None:
        self.malformed += 1
        message = f"line {self._line} {why}: {text[:60]!r}"
        if self.strict:
            raise SourceError(message)
        if len(self.reports) < KEPT_REPORTS:
            self.reports.append(message)

    def _chunk(self, rows: Any) -> Chunk:
        names = self._names()
        with np.errstate(over="ignore"):
            samples = np.ascontiguousarray(rows[:, [names.index(c) for c in self.channels]], np.float32)
        t_ns = _times(rows, names)
        return Chunk(samples, t_ns, _integers(rows[:, names.index("seq")]) if "seq" in names else None)


def _is_header(cells: list[str]) -> bool:
    for cell in cells:
        try:
            float(cell or "nan")
        except ValueError:
            return True
    return False


def _times(rows: Any, names: list[str]) -> I64 | None:
    for name, scale in (("t_us", 1e3), ("t", 1e9)):
        if name in names:
            return _integers(rows[:, names.index(name)] * scale)
    return None


def _integers(column: Any) -> I64 | None:
    """A column of whole numbers, or None where any is missing or absurd."""
    if not np.all(np.abs(column) < 2**62):
        return None
    numbers: I64 = np.rint(column).astype(np.int64)
    return numbers
