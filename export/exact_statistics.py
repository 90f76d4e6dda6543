"""Statistics in integers, at export: which value a code of an output stands for, and the multipliers that follow.

docs/numeric.md, "From floats to integers", step 6. All in float64; it looks at samples and changes no graph.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from edge_rnn.arrays import Array
from edge_rnn.engines.past import VARIANCE_FLOOR
from edge_rnn.errors import UsageError
from edge_rnn.graph import Graph, Layer
from edge_rnn.layer import STATISTICS

from .calibration import F64, HEADROOM, Calibration, trace

COARSEST = 16.0
"""A code may stand for so many times more than its range asks: eleven bits of the fifteen are left."""
FINEST = 1 / 256
"""And for no less than this share of an input's code, beyond which there is nothing to tell."""
MOVES = ("mean", "min", "max")
"""Statistics that move with a channel's mean."""


Codes = Mapping[int, F64]
"""For each statistics layer by its index: what a code of each output (5 C,) is to the float twin."""


class Unit(NamedTuple):
    """What integers stand for: the float twin has (code * sx - mean) / std, each (channels,)."""

    mean: F64
    std: F64
    sx: F64

    @classmethod
    def alike(cls, scale: float) -> Unit:
        """One scale for all, of what has no mean."""
        return cls(np.zeros(1), np.ones(1), np.full(1, scale))

    def over(self, channels: int) -> Unit:
        """The same again and again, for so many channels."""
        return Unit(*(np.tile(values, channels // len(values)) for values in self))


def choices(graph: Graph, calibration: Calibration) -> list[Codes]:
    """The codes worth a try: with the columns of the next matrix made alike, or by the range alone as qat.py has them.

    One that is empty where no layer is of statistics. Raises UsageError for channels that mix inputs of unlike scales.
    """
    by_range = range_codes(graph, calibration)
    return [alike_columns(graph, by_range), by_range] if by_range else [by_range]


def range_codes(graph: Graph, calibration: Calibration) -> Codes:
    """A code for 1 / 32767 of 1.25 times the largest size on calibration samples."""
    if all(layer.kind != "statistics" for layer in graph.layers):
        return {}
    _check_scales(graph)
    x, valid = calibration.blocks(len(calibration.samples))
    activations = {i: a for i, a in enumerate(trace(graph, x).activations) if graph.layers[i].kind == "statistics"}
    return {i: HEADROOM * np.maximum(np.abs(a[valid]).max(axis=0), 1e-9) / 32767 for i, a in activations.items()}


def alike_columns(graph: Graph, by_range: Codes) -> Codes:
    """Coarser where that brings a column of the next matrix no higher than its highest: one scale serves a row."""
    heights = {index: _columns(graph, index) * codes for index, codes in by_range.items()}
    return {i: codes * np.clip(heights[i].max() / heights[i], 1, COARSEST) for i, codes in by_range.items()}


def _columns(graph: Graph, index: int) -> F64:
    """The largest weight that each output of layer `index` meets in the next matrix."""
    above = next(i for i in range(index + 1, len(graph.layers)) if graph.layers[i].exact_matrices)
    w = graph.layer_arrays(above)
    columns = np.abs(w["w"] if "w" in w else w["w_ih"]).reshape(-1, graph.layers[index].units).max(axis=0)
    found: F64 = np.maximum(columns.astype(np.float64), 1e-9)
    return found


def _check_scales(graph: Graph) -> None:
    """Raise UsageError where statistics would mix integers that do not stand for the same."""
    alike_every = graph.inputs  # inputs so far apart stand for the same
    for index, layer in enumerate(graph.layers):
        if layer.exact_matrices:
            alike_every = 1
        if layer.kind == "statistics":
            channels = layer.inputs // layer.size("window")
            if channels % alike_every:
                raise UsageError(
                    f"layer {index} (statistics) takes {alike_every} inputs of unlike scales for {channels} channels, "
                    "which has no exact int8 form: put a window before it, or export with --precision float32"
                )
            alike_every = layer.units


def exact_statistics(layer: Layer, below: Unit, codes: F64) -> tuple[dict[str, Array], Unit]:
    """`floor`, `m` and `S_k` of a statistics layer whose inputs stand for `below`, and what its outputs stand for."""
    window = layer.size("window")
    channels = layer.inputs // window
    below = below.over(channels)
    unit = below.sx / below.std
    t = np.maximum(codes, np.tile(unit, len(STATISTICS)) * FINEST)
    samples = np.repeat([window - (name == "change") for name in STATISTICS], channels)
    f = np.tile(unit, len(STATISTICS)) / (t * samples)
    S = min(62, int(np.floor(30.999 - np.log2(f.max()))))
    floor = np.clip(np.rint(window * VARIANCE_FLOOR / unit**2), 0, 2**31 - 1)
    mean = np.concatenate([below.mean if name in MOVES else np.zeros(channels) for name in STATISTICS])
    std = np.tile(below.std, len(STATISTICS))
    made = {
        "floor": floor.astype(np.int32),
        "m": np.maximum(np.rint(f * 2.0**S), 1).astype(np.int32),
        "S_k": np.array([S, max(0, 33 - S)], np.int32),
    }
    return made, Unit(mean, std, t * std)
