"""The exact sums of a statistics layer in int64 (docs/numeric.md): what its multipliers then bring to int16.

Arrays are (N, rows, channels), for N streams. No float decides anything here: isqrt's guess is corrected.
"""

from __future__ import annotations

import numpy as np

from ..layer import STATISTICS
from .lut import I64


def isqrt(n: I64) -> I64:
    """floor(sqrt(n)) of 0 <= n < 2^58: float64 is off by one at most, which the two comparisons mend."""
    root = np.floor(np.sqrt(n.astype(np.float64))).astype(np.int64)
    mended: I64 = root - 1 + (n >= root * root) + (n >= (root + 1) ** 2)
    return mended


def sums(rows: I64, floor: I64) -> I64:
    """(N, W, C) int16 values and floor (C,) -> (N, 5 C), within +-65536 W, in the order of STATISTICS."""
    window = rows.shape[1]
    total = rows.sum(axis=1)
    spread = window * (floor + (rows * rows).sum(axis=1)) - total * total
    found = {
        "mean": total,
        "sd": (isqrt(4 * spread) + 1) >> 1,
        "min": window * rows.min(axis=1),
        "max": window * rows.max(axis=1),
        "change": np.abs(np.diff(rows, axis=1)).sum(axis=1),
    }
    return np.concatenate([found[name] for name in STATISTICS], axis=1)
