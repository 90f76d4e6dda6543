"""int4 weights as weights.npz keeps them: two in a byte, the low nibble first, each row on its own.

Only storage: a `Graph` always holds them widened to int8, so no engine knows of nibbles.
"""

from __future__ import annotations

import numpy as np

from .arrays import Array
from .errors import BundleError


def pack_nibbles(w: Array) -> Array:
    """(rows, columns) int8 in [-7, 7] -> (rows, ceil(columns / 2)) uint8; an odd row ends with a zero nibble."""
    even = np.pad(w, ((0, 0), (0, w.shape[1] % 2))).astype(np.uint8) & 15
    return np.ascontiguousarray(even[:, 0::2] | (even[:, 1::2] << 4))


def unpack_nibbles(packed: Array, rows: int, columns: int, name: str) -> Array:
    """The inverse; raises BundleError for another shape, or a nibble that `pack_nibbles` does not write."""
    shape = (rows, (columns + 1) // 2)
    if packed.dtype != np.uint8 or packed.shape != shape:
        raise BundleError(f"array {name!r} is {packed.dtype} {packed.shape}, expected pairs of int4 in uint8 {shape}")
    pairs = np.stack([packed & 15, packed >> 4], axis=2).reshape(rows, -1).astype(np.int8)
    w = ((pairs ^ 8) - 8).astype(np.int8)
    if (w == -8).any() or w[:, columns:].any():
        raise BundleError(f"array {name!r} holds a nibble of -8 or a padding nibble that is not 0: it is damaged")
    return np.ascontiguousarray(w[:, :columns])
