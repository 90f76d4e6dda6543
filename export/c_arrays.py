"""Arrays as C text: matrices in the kernel's tiles, numbers a line of bounded width. The same input, the same bytes.

The order of tiles and rows is `edge_rnn/kernel/ernn.h`'s (ernn_int8_matrix); it must not be defined anew here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edge_rnn.arrays import Array

LINE = 116


def pad(n: int, step: int) -> int:
    """The next multiple of `step`."""
    return -(-n // step) * step


def tile_rows(rows: Array, gates: int, missing: int = 0) -> Array:
    """(gates * units,) -> (gates * padded units,): four units at a time, and of these gate by gate."""
    units = len(rows) // gates
    padded = np.full((gates, pad(units, 4)), missing, rows.dtype)
    padded[:, :units] = rows.reshape(gates, units)
    return np.ascontiguousarray(padded.reshape(gates, -1, 4).transpose(1, 0, 2)).reshape(-1)


def tile_matrix(w: Array, gates: int) -> Array:
    """(gates * units, columns) -> (tiles, 32): rows in the order of `tile_rows`, a line for 4 rows x 8 columns."""
    units, columns = len(w) // gates, w.shape[1]
    padded = np.zeros((gates, pad(units, 4), pad(columns, 8)), w.dtype)
    padded[:, :units, :columns] = w.reshape(gates, units, columns)
    tiles = padded.reshape(gates, -1, 4, padded.shape[2] // 8, 8)  # gate, group, row, tile, column
    return np.ascontiguousarray(tiles.transpose(1, 0, 3, 2, 4)).reshape(-1, 32)


def integers(ctype: str, name: str, values: Array) -> str:
    """A const array of integers; the rows of a matrix begin a line."""
    return _array(ctype, name, values.size, lines(values))


def floats(name: str, values: Array) -> str:
    """A const array of float32, each with the digits that give the same float32 back."""
    return _array("float", name, values.size, lines(values))


def lines(values: Array) -> list[str]:
    """The numbers between the braces."""
    word = str if values.dtype.kind in "iu" else float_literal
    rows = values.tolist() if values.dtype.kind in "iu" else values
    return [line for row in (rows if values.ndim > 1 else [rows]) for line in _wrap([word(v) for v in row])]


def float_literal(value: np.float32) -> str:
    """The shortest decimal that reads back as this float32, as a C literal of type float."""
    text = np.format_float_scientific(np.float32(value), unique=True, trim="0")
    return f"{text}f"


def _array(ctype: str, name: str, size: int, text: Sequence[str]) -> str:
    body = "\n".join(f"    {line}" for line in text)
    return f"static const {ctype} {name}[{size}] ERNN_ALIGNED = {{\n{body}\n}};\n"


def _wrap(words: Sequence[str]) -> list[str]:
    full, line = [], ""
    for word in words:
        if line and len(line) + len(word) + 2 > LINE:
            full.append(line)
            line = ""
        line += f"{' ' if line else ''}{word},"
    return [*full, line]
