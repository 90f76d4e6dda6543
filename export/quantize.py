"""float32 graph -> int8 graph, exactly as docs/numeric.md says; never in place.

All arithmetic here is float64 from the float32 parameters. What one layer needs is in `_recurrent` and `_dense`;
how the input scales are chosen is input_scale.py; what is told about it is quantize_report.py.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from edge_rnn.arrays import Array
from edge_rnn.errors import BundleError, UsageError
from edge_rnn.graph import Graph, Layer
from edge_rnn.layer import INT8_KINDS

from .calibration import F64, HEADROOM, Calibration, trace
from .exact_statistics import Codes, Unit, choices, exact_statistics
from .input_scale import InputScale, choose_input_scale
from .quantize_report import QuantizeReport, measure
from .rounding import input_moments, round_together

Q15 = 2.0**-15
LARGEST_WEIGHT = {8: 127, 4: 7}
ON_GRID = 1e-3
"""float32 weights are on a grid when they lie so near to it, in codes."""
COARSEST = 4.0
"""A row's scale grows at most by this to fit the accumulator: two of its eight bits."""


class Quantized(NamedTuple):
    """The int8 graph and what was done to get it."""

    graph: Graph
    report: QuantizeReport


def quantize(
    graph: Graph,
    calibration: Calibration,
    *,
    bits: int = 8,
    input_scale: str = "auto",
    rounding: str = "together",
) -> Quantized:
    """Post-training quantization of a float32 graph; `bits` is 8 or 4 (weights), `input_scale` auto, range or lsb.

    `rounding` "together" lets the errors of a row cancel on the calibration samples (rounding.py), "nearest" does not.

    Raises UsageError where the network does not fit the arithmetic, with the layer's and the row's name.
    """
    if graph.precision != "float32":
        raise UsageError(f"quantize expects a float32 graph, got {graph.precision}: start from the checkpoint")
    if bits not in LARGEST_WEIGHT:
        raise UsageError(f"quantize expects 8 or 4 bits, got {bits}")
    if calibration.samples.shape[1] != graph.inputs:
        raise UsageError(f"the network has {graph.inputs} inputs, calibration {calibration.samples.shape[1]} channels")
    if rounding not in ("together", "nearest"):
        raise UsageError(f"rounding is {rounding!r}, expected together or nearest")
    strange = [layer.kind for layer in graph.layers if layer.kind not in INT8_KINDS]
    if strange:
        raise UsageError(
            f"the {strange[0]} layers of this network have no exact int8 form (docs/numeric.md): "
            "export it with --precision float32"
        )
    exponents = choose_exponents(graph, calibration)
    tries = choices(graph, calibration)
    moments = input_moments(graph, calibration) if rounding == "together" else None

    def made(codes: Codes) -> Quantized:
        def build(sx: Array) -> Graph:
            return quantize_with(graph, sx, exponents, bits, moments, codes)

        scale: InputScale = choose_input_scale(graph, calibration, input_scale, build)
        try:
            result = build(scale.sx)
        except BundleError as error:
            hint = "" if input_scale == "auto" else "; --input-scale auto may find scales that fit"
            raise UsageError(f"this network cannot be int8: {error}{hint}") from error
        return Quantized(result, measure(graph, result, calibration, scale))

    return min(map(made, tries), key=lambda quantized: quantized.report.rmse)


def quantize_with(
    graph: Graph,
    sx: Array,
    exponents: Sequence[int | None],
    bits: int = 8,
    moments: Sequence[F64] | None = None,
    codes: Codes | None = None,
) -> Graph:
    """The int8 graph for given input scales (I,) float32 and activation exponents, one for each layer.

    With `moments` of each layer's inputs (rounding.py) the weights of a row are rounded together. `codes`: for each
    statistics layer by its index, what an output's code is to the float twin (exact_statistics.py).

    Raises BundleError at the first broken obligation.
    """
    mean, std = (graph.arrays[name].astype(np.float64) for name in ("mean", "std"))
    layers: list[Layer] = []
    arrays: dict[str, Array] = {"sx": sx}
    if graph.layers[0].kind in ("window", "conv"):
        arrays["l0.o"] = np.clip(np.rint(mean / sx), -32768, 32767).astype(np.int16)
        mean = mean - arrays["l0.o"] * sx.astype(np.float64)
    s_in = Q15
    unit: Unit | None = Unit(mean, std, sx.astype(np.float64))  # of integers that no matrix has met yet
    for index, (layer, exponent) in enumerate(zip(graph.layers, exponents, strict=True)):
        if layer.kind == "window":
            layers.append(layer)
            continue
        if layer.kind == "statistics":
            made, unit = exact_statistics(layer, unit or Unit.alike(s_in), (codes or {})[index])
            arrays.update({f"l{index}.{name}": array for name, array in made.items()})
            layers.append(layer)
            s_in = Q15
            continue
        w = {name: a.astype(np.float64) for name, a in graph.layer_arrays(index).items()}
        if unit is not None:
            w = fold_input(w, unit.mean, unit.std, unit.sx)
        if moments is not None:
            a = moments[index]
            if unit is not None:
                per_code = np.ones(len(a))
                columns = layer.inputs * (layer.kernel or 1)
                per_code[:columns] = np.tile(1 / (unit.sx * 2.0**15), columns // len(unit.sx))
                a = a * per_code[:, None] * per_code
            w = round_together(layer, w, a, LARGEST_WEIGHT[bits])
        s_out = Q15 if exponent is None else 2.0 ** -(16 - exponent)
        made = _dense(w, s_in, bits) if layer.kind in ("dense", "conv") else _recurrent(layer, w, s_in, s_out, bits)
        arrays.update({f"l{index}.{name}": array for name, array in made.items()})
        layers.append(dataclasses.replace(layer, exponent=exponent, bits=None if bits == 8 else bits))
        s_in, unit = s_out, None
    return Graph("int8", tuple(layers), arrays)


def fold_input(w: dict[str, Array], mean: F64, std: F64, sx: Array) -> dict[str, Array]:
    """Normalisation, then the input scales, into the first matrix: it then takes integers of scale 2^-15.

    A matrix over several samples (behind a window, of a convolution) has the channels of each, one after the other.
    """
    matrix = "w" if "w" in w else "w_ih"
    samples = w[matrix].shape[1] // len(mean)
    scaled = w[matrix] / np.tile(std, samples)
    shift = (scaled * np.tile(mean, samples)).sum(axis=1)
    biases = [name for name in ("b", "b_ih", "b_z", "b_h") if name in w]
    made = {**w, matrix: scaled * np.tile(sx.astype(np.float64), samples) * 2.0**15}
    return made | {name: w[name] - shift for name in biases}


def quantize_matrix(w: F64, s_in: float, bits: int = 8) -> dict[str, Array]:
    """`w` (rows, columns) -> int8 `w`, int32 `m` (rows,) and `S_k`; the product with s_in-scaled integers is Q16.

    A row whose integers add up to too much for the accumulator gets a coarser scale, if that helps: its own, where its
    weights are on a coarser grid already.
    """
    scales = row_scales(w, s_in, bits)
    kept = scales.copy()
    for row in np.flatnonzero(scales > 1.001 * _finest(w, bits)):
        kept[row] = _own_grid(w[row], LARGEST_WEIGHT[bits]) or scales[row]
    made = _with_row_scales(w, kept, s_in, bits)
    return made if np.all(_over(made) <= 1) else _with_row_scales(w, scales, s_in, bits)


def row_scales(w: F64, s_in: float, bits: int) -> F64:
    """What a code of each row of `w` (rows, columns) stands for, where no row is on a grid yet."""
    finest = s = _finest(w, bits)
    while np.all(s <= COARSEST * finest):
        over = _over(_with_row_scales(w, s, s_in, bits))
        if np.all(over <= 1):
            return s
        s = s * np.where(over > 1, 1.01 * over, 1.0)
    return finest


def _finest(w: F64, bits: int) -> F64:
    finest: F64 = np.maximum(np.abs(w).max(axis=1) / LARGEST_WEIGHT[bits], 1e-9)
    return finest


def _over(made: dict[str, Array]) -> F64:
    """How many times what the accumulator takes each row adds up to."""
    found: F64 = np.abs(made["w"].astype(np.int64)).sum(axis=1) / max((65536 >> int(made["S_k"][1])) - 1, 1)
    return found


def _own_grid(row: F64, most: int) -> float | None:
    """The finest grid of fewer codes than `most` that a row's weights lie on: training rounded them so (qat.py)."""
    largest = np.abs(row).max()
    codes = row / largest * np.arange(most - 1, 0, -1)[:, None]
    on = np.flatnonzero(np.abs(codes - np.rint(codes)).max(axis=1) < ON_GRID)
    return float(largest / (most - 1 - on[0])) if len(on) else None


def _with_row_scales(w: F64, s: F64, s_in: float, bits: int) -> dict[str, Array]:
    largest = LARGEST_WEIGHT[bits]
    wq = np.clip(np.rint(w / s[:, None]), -largest, largest)
    f = s * s_in * 2.0**16
    S = min(62, int(np.floor(30.999 - np.log2(f.max()))))
    m = np.maximum(np.rint(f * 2.0**S), 1)
    return {"w": wq.astype(np.int8), "m": m.astype(np.int32), "S_k": np.array([S, max(0, 33 - S)], np.int32)}


def choose_exponents(graph: Graph, calibration: Calibration) -> list[int | None]:
    """The smallest e >= 1 of each hidden layer that is `scaled` for which its activations fit, None elsewhere."""
    scaled = [layer.scaled for layer in graph.layers[:-1]]
    if not any(scaled):
        return [None] * len(graph.layers)
    x, valid = calibration.blocks(len(calibration.samples))
    found: list[int | None] = []
    for index, (activation, needed) in enumerate(zip(trace(graph, x).activations, [*scaled, False], strict=True)):
        largest = float(np.abs(activation[valid]).max())
        found.append(_exponent(largest, f"layer {index} ({graph.layers[index].kind})") if needed else None)
    return found


def _exponent(largest: float, where: str) -> int:
    for e in range(1, 17):
        if HEADROOM * largest * 2.0 ** (16 - e) <= 32767:
            return e
    raise UsageError(f"{where}: activations reach {largest:g} on calibration, int16 ends at 26213: scale its weights")


def _dense(w: dict[str, Array], s_in: float, bits: int) -> dict[str, Array]:
    return {**quantize_matrix(w["w"], s_in, bits), "b": _q16(w["b"])}


def _recurrent(layer: Layer, w: dict[str, Array], s_in: float, s_state: float, bits: int) -> dict[str, Array]:
    made = {f"ih_{name}": array for name, array in quantize_matrix(w["w_ih"], s_in, bits).items()}
    made.update({f"hh_{name}": array for name, array in quantize_matrix(w["w_hh"], s_state, bits).items()})
    if layer.kind == "fastgrnn":
        made.update({name: _q16(w[name]) for name in ("b_z", "b_h")})
        made.update({name: np.rint(w[name] * 2.0**24).astype(np.int32) for name in ("zeta", "nu")})
        return made
    merged = w["b_ih"] + w["b_hh"]
    if layer.kind == "gru":
        apart = slice(2 * layer.units, None)  # r multiplies ah_n + b_hn, so b_hn cannot join b_in
        merged[apart] = w["b_ih"][apart]
        made["bn"] = _q16(w["b_hh"][apart])
    return {**made, "b": _q16(merged)}


def _q16(b: F64) -> Array:
    """Q16; beyond int32 clipped, which the obligations then refuse by name."""
    return np.clip(np.rint(b * 2.0**16), -(2.0**31) + 1, 2.0**31 - 1).astype(np.int32)
