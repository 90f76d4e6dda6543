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

COARSEST = 64.0
"""A code may stand for so many times more than its range asks: nine bits of the fifteen are left."""
FINEST = 1 / 256
"""And for no less than this share of an input's code, beyond which there is nothing to tell."""
MOVES = ("mean", "min", "max")
"""Statistics that move with a channel's mean."""


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


def choose_codes(graph: Graph, calibration: Calibration) -> Mapping[int, F64]:
    """For each statistics layer by its index: what a code of each output (5 C,) is to the float twin.

    Raises UsageError for statistics of channels that mix inputs of unlike scales.
    """
    found: dict[int, F64] = {}
    if all(layer.kind != "statistics" for layer in graph.layers):
        return found
    _check_scales(graph)
    x, valid = calibration.blocks(len(calibration.samples))
    for index, activation in enumerate(trace(graph, x).activations):
        if graph.layers[index].kind == "statistics":
            largest = np.maximum(np.abs(activation[valid]).max(axis=0), 1e-9)
            heights = _columns(graph, index) * largest
            found[index] = HEADROOM * largest / 32767 * np.clip(heights.max() / heights, 1, COARSEST)
    return found


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
