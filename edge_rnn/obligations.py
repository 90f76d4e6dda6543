"""What an int8 graph owes so that 32-bit machines give the exact integers (docs/numeric.md, "Obligations").

Checked wherever an int8 `Graph` is made, at export and at load alike: no engine meets weights that overflow.
A message names the layer, the matrix, the row and, in a cell, its gate and unit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from .arrays import Array, NDArray
from .errors import BundleError

if TYPE_CHECKING:
    from .graph import Layer

GATE_NAMES: Mapping[str, str] = {"rnn": "h", "gru": "rzn", "lstm": "ifgo"}
PRE_ACTIVATION_LIMIT = 1 << 29
"""|ax|, |ah|, |b| and |ah_n + b_hn| stay below this (8192 in Q16), so that the sum of any three fits int32."""
SMALLEST_SX, LARGEST_SX = 1e-30, 1e30
"""Beyond, x / sx may meet subnormal numbers, which some machines flush to zero."""

I64 = NDArray[np.int64]


def check_obligations(layers: tuple[Layer, ...], arrays: Mapping[str, Array]) -> None:
    """Raise BundleError at the first obligation that an int8 graph's arrays break."""
    sx = arrays["sx"]
    for channel in np.flatnonzero(~((sx >= SMALLEST_SX) & (sx <= LARGEST_SX))):
        raise BundleError(f"sx of channel {channel} is {sx[channel]}, expected {SMALLEST_SX}..{LARGEST_SX}")
    for index, layer in enumerate(layers):
        _check_layer(index, layer, arrays)


def _check_layer(index: int, layer: Layer, arrays: Mapping[str, Array]) -> None:
    prefix = f"l{index}."
    for name in ("b", "b_z", "b_h"):
        if prefix + name in arrays:
            b = np.abs(arrays[prefix + name].astype(np.int64))
            _all_below(b, PRE_ACTIVATION_LIMIT, f"|{name}| in Q16", index, layer, name)
    if layer.kind == "statistics":
        _check_statistics(prefix, index, layer, arrays)
    bound = {head: _check_matrix(prefix + head, index, layer, arrays) for head in layer.exact_matrices}
    if layer.kind == "gru":
        bn = np.abs(arrays[prefix + "bn"].astype(np.int64))
        ah = bound["hh_"] + np.concatenate([np.zeros(2 * layer.units, np.int64), bn])
        _all_below(ah, PRE_ACTIVATION_LIMIT, "|ah_n + b_hn| in Q16", index, layer, "hh and bn")


def _check_matrix(prefix: str, index: int, layer: Layer, arrays: Mapping[str, Array]) -> I64:
    """Check one matrix; returns the largest |rq(Wq v)| of each row over all int16 v."""
    name = prefix.split(".")[1].rstrip("_") or "w"
    m, S, k = _check_multipliers(prefix, index, layer, arrays, name)
    w = np.abs(arrays[prefix + "w"].astype(np.int64))
    largest = 7 if layer.bits == 4 else 127
    _all_below(w.max(axis=1), largest + 1, "|Wq|", index, layer, name)
    total = w.sum(axis=1)
    # k comes from the row of the largest multiplier, so that row is as much to blame as the one that overflows.
    widest = f"{name} (k = {k}, from the large weights of {row_name(layer, int(m.argmax()))})"
    _all_below(total, -(-65536 >> k), "sum |Wq| (32768 * sum|Wq| * 2^k < 2^31)", index, layer, widest)
    # Below 2^29 by what was just checked: 32768 * sum|Wq| < 2^(31-k), m < 2^31 and S + k >= 33.
    bound: I64 = (32768 * total * m + (1 << (S - 1))) >> S
    return bound


def _check_statistics(prefix: str, index: int, layer: Layer, arrays: Mapping[str, Array]) -> None:
    """Its sums lie within +-65536 W, shifted by k too, and what stands under a root is not negative."""
    window, (_, _, k) = layer.size("window"), _check_multipliers(prefix, index, layer, arrays, "m")
    if 65536 * window << k >= 1 << 31:
        raise BundleError(f"layer {index} (statistics): 65536 * {window} * 2^{k}, expected less than 2^31")
    if np.any(arrays[prefix + "floor"] < 0):
        raise BundleError(f"layer {index} (statistics): floor is negative, expected 0..2^31 - 1 in every channel")


def _check_multipliers(
    prefix: str, index: int, layer: Layer, arrays: Mapping[str, Array], name: str
) -> tuple[I64, int, int]:
    """m, S and k."""
    S, k = (int(v) for v in arrays[prefix + "S_k"])
    if not 1 <= S <= 62 or k != max(0, 33 - S):
        raise BundleError(f"layer {index} ({layer.kind}) {name}: S = {S}, k = {k}, expected 1..62 and max(0, 33 - S)")
    m = arrays[prefix + "m"].astype(np.int64)
    for row in np.flatnonzero(m <= 0):
        raise BundleError(
            f"layer {index} ({layer.kind}) {name}, {row_name(layer, int(row))}: m is {m[row]}, expected > 0"
        )
    return m, S, k


def _all_below(values: I64, limit: int, what: str, index: int, layer: Layer, name: str) -> None:
    for row in np.flatnonzero(values >= limit):
        raise BundleError(
            f"layer {index} ({layer.kind}) {name}, {row_name(layer, int(row))}: {what} is {values[row]}, "
            f"expected less than {limit}: this model does not fit the int8 arithmetic"
        )


def row_name(layer: Layer, row: int) -> str:
    """`row 37 (gate z of unit 5)`, or `row 3` where a layer has no gates."""
    if layer.kind not in GATE_NAMES:
        return f"row {row}"
    return f"row {row} (gate {GATE_NAMES[layer.kind][row // layer.units]} of unit {row % layer.units})"
