"""Lines of text to samples: CSV with or without a header, JSON lines. Bytes in, chunks out; no I/O here.

A malformed line is counted and reported with its number, and skipped; `strict` makes it an error. Plain lines of CSV
are read by the native extension where it was built; every other line, and all without it, by the same few lines of
Python. Both give the same floats: those of float().
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..engine import in_c
from ..errors import SourceError
from ..recording import Chunk

MAX_LINE_BYTES = 1 << 16
KEPT_REPORTS = 5
KEYS = {"t_us": 1e3, "t": 1e9, "seq": 1.0}
"""Columns that tell when a sample was taken -> what turns them into nanoseconds, or into a sequence number."""
MAX_KEY = 2.0**62
NOT_JSON = 'is not an object like {"t":12.34,"seq":617,"v":[0.1,9.7]}'

PlainCsv = Callable[[bytes, int, Any, int, Any, int], tuple[int, int]]
"""kernel/csv_binding.h: (text, at, limit, longest, out, row) -> (at, row) after the plain lines."""


@dataclass
class LineDecoder:
    """Decodes one source's lines; the first line that can be understood decides the format.

    `channels` are those wanted, mapped by name where the source names them. Empty: all that come; a header names them,
    else they are c0, c1, ...
    """

    channels: tuple[str, ...]
    strict: bool = False
    malformed: int = 0
    reports: list[str] = field(default_factory=list)
    _tail: bytes = b""
    _overlong: bool = False  # inside a line that is too long: its rest is dropped
    _line: int = 0
    _columns: list[str] | None = None  # names of the numbers of a row, once the format is known
    _json_keys: tuple[str, ...] | None = None  # "t" and "seq", those of them that the first JSON line has

    def feed(self, data: bytes) -> Chunk | None:
        """Take bytes as they come; give the samples of the lines that are whole."""
        cut = data.rfind(b"\n") + 1
        if not cut:
            self._keep(data)
            return None
        block, self._tail = self._tail + data[:cut], b""
        if self._overlong:
            self._overlong = False
            self._line += 1
            self._bad("", f"is longer than {MAX_LINE_BYTES} bytes")
            block = block[block.index(b"\n") + 1 :]
        self._keep(data[cut:])
        return self._decode(block)

    def close(self) -> Chunk | None:
        """The source ended: a last line without newline still counts."""
        return self.feed(b"\n") if self._tail or self._overlong else None

    @property
    def head(self) -> bytes | None:
        """What has come of the next line, for whoever reads the next ones elsewhere: one number a channel, in order.

        None where a line is not that, or not known to be.
        """
        if self._json_keys is not None or self._overlong or len(set(self.channels)) < len(self.channels):
            return None
        return self._tail if self._columns == list(self.channels) else None

    def go_on(self, lines: int, tail: bytes) -> None:
        """So many good lines were read elsewhere since `head`, and this has come of the next."""
        self._line += lines
        self._tail = tail

    def _keep(self, data: bytes) -> None:
        if self._overlong or len(self._tail) + len(data) > MAX_LINE_BYTES:
            self._tail, self._overlong = b"", True
        else:
            self._tail += data

    def _decode(self, block: bytes) -> Chunk | None:
        while block and self._columns is None:
            block = self._open(block)
        if not block or self._columns is None:
            return None
        rows = self._csv_rows(block) if self._json_keys is None else self._json_rows(block)
        return self._chunk(rows) if len(rows) else None

    def _open(self, block: bytes) -> bytes:
        """Look for the format in the first line; give what is left to decode."""
        first, _, rest = block.partition(b"\n")
        text = first.decode("utf-8", "replace").strip().lstrip("\ufeff")
        if len(first) > MAX_LINE_BYTES or not text:
            self._line += 1
            if text:
                self._bad("", f"is longer than {MAX_LINE_BYTES} bytes")
            return rest
        if text.startswith("{"):
            keys = _parse_object(text)
            if keys is None or "v" not in keys:  # not the one to learn from: the next may be
                self._line += 1
                self._bad(text, NOT_JSON)
                return rest
            if not self.channels and isinstance(keys["v"], list):
                self.channels = _numbered_channels(len(keys["v"]))
            self._json_keys = tuple(key for key in ("t", "seq") if key in keys)
            self._columns = [*self._json_keys, *self.channels]
            return block
        cells = [cell.strip().strip('"') for cell in text.split(",")]
        if not _is_header(cells):
            self.channels = self.channels or _numbered_channels(len(cells))
            self._columns = list(self.channels)
            return block
        self.channels = self.channels or tuple(cell for cell in cells if cell and cell not in KEYS)
        self._line += 1
        missing = [name for name in self.channels if name not in cells]
        if not missing:
            self._columns = cells
        elif len(cells) >= len(self.channels):
            raise SourceError(f"the header lacks {', '.join(missing)}, it has {', '.join(cells)[:200]}: rename them")
        else:
            self._bad(text, "is neither a header with the model's channels nor numbers")
        return rest

    def _csv_rows(self, block: bytes) -> Any:
        """Rows (T, K) of a block of whole lines."""
        columns = self._columns or []
        limit = np.full(len(columns), -1.0)
        for at, scale in self._keys():
            limit[at] = 0.999 * MAX_KEY / scale  # near the end of what is usable, _usable decides
        rows = np.empty((block.count(b"\n"), len(columns)), np.float64)
        plain, at, row = _plain_csv(), 0, 0
        while at < len(block):
            if plain is not None:
                before = row
                at, row = plain(block, at, limit, MAX_LINE_BYTES, rows, row)
                self._line += row - before
            if at < len(block):
                end = block.index(b"\n", at)
                text = self._text(block[at:end])
                numbers = self._csv(text) if text else None
                if numbers is not None:
                    rows[row] = numbers
                    row += 1
                at = end + 1
        return rows[:row]

    def _json_rows(self, block: bytes) -> Any:
        texts = (self._text(line) for line in block[:-1].split(b"\n"))
        found = [row for text in texts if text and (row := self._json(text)) is not None]
        return np.array(found, np.float64).reshape(len(found), len(self._columns or ()))

    def _keys(self) -> list[tuple[int, float]]:
        """Columns that are times or sequence numbers, and their factors."""
        found = [(at, KEYS[name]) for at, name in enumerate(self._columns or ()) if name in KEYS]
        return [(at, scale) for at, scale in found if (self._columns or [])[at] not in self.channels]

    def _text(self, line: bytes) -> str:
        """The next line's text; "" for one that is blank or too long."""
        self._line += 1
        if len(line) > MAX_LINE_BYTES:
            self._bad("", f"is longer than {MAX_LINE_BYTES} bytes")
            return ""
        return line.decode("utf-8", "replace").strip()

    def _csv(self, text: str) -> list[float] | None:
        cells = text.split(",")
        if len(cells) != len(self._columns or ()):
            self._bad(text, f"has {len(cells)} columns, expected {len(self._columns or ())}")
            return None
        try:
            row = [float(cell) if cell.strip() else math.nan for cell in cells]
        except ValueError:
            self._bad(text, "is not a row of numbers")
            return None
        if not all(_usable(row[at] * scale) for at, scale in self._keys()):
            self._bad(text, "has no time or sequence number that can be used")
            return None
        return row

    def _json(self, text: str) -> list[float] | None:
        value = _parse_object(text)
        sample = None if value is None else value.get("v")
        if value is None or not isinstance(sample, list):
            self._bad(text, NOT_JSON)
            return None
        if len(sample) != len(self.channels):
            self._bad(text, f"has {len(sample)} values, expected {len(self.channels)}")
            return None
        try:
            keys = [_number(value.get(key)) for key in self._json_keys or ()]
            row = [*keys, *(_number(v) for v in sample)]
        except ValueError:
            self._bad(text, NOT_JSON)
            return None
        if not all(_usable(row[at] * scale) for at, scale in self._keys()):
            self._bad(text, f"lacks {' or '.join(self._json_keys or ())}, which the first line had")
            return None
        return row

    def _bad(self, text: str, why: str) -> None:
        self.malformed += 1
        message = f"line {self._line} {why}" + (f": {text[:60]!r}" if text else "")
        if self.strict:
            raise SourceError(message)
        if len(self.reports) < KEPT_REPORTS:
            self.reports.append(message)

    def _chunk(self, rows: Any) -> Chunk:
        names = self._columns or []
        with np.errstate(over="ignore"):
            samples = np.ascontiguousarray(rows[:, [names.index(c) for c in self.channels]], np.float32)
        keys = {names[at]: np.rint(rows[:, at] * scale).astype(np.int64) for at, scale in self._keys()}
        return Chunk(samples, keys.get("t_us", keys.get("t")), keys.get("seq"))


def _plain_csv() -> PlainCsv | None:
    """The extension's reader, or None where it was not built."""
    found: PlainCsv | None = in_c("csv")
    return found


def _numbered_channels(count: int) -> tuple[str, ...]:
    return tuple(f"c{i}" for i in range(count))


def _is_header(cells: list[str]) -> bool:
    for cell in cells:
        try:
            float(cell or "nan")
        except ValueError:
            return True
    return False


def _parse_object(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _number(value: object) -> float:
    """A JSON number, or null for one that is missing; raises ValueError for anything else."""
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(value)
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _usable(key: Any) -> Any:
    """Whether a time or a sequence number can be one; False for NaN."""
    return np.abs(key) < MAX_KEY
