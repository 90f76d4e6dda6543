"""How large a sample a float32 network can take: beyond it, a sum could leave float32 and turn the state NaN.

A property of the weights alone, computed once a model; engines refuse samples beyond it, streams call them a fault.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .arrays import NDArray
from .graph import Graph

F64 = NDArray[np.floating[Any]]
LARGEST = float(np.finfo(np.float32).max)
SUM = LARGEST / 8
"""What any sum of a step may reach: a gate adds the input's part, the state's part and two biases."""


def reach(graph: Graph) -> float:
    """The largest |x| for which no sum of a step exceeds SUM, whatever the other channels are; at least 0.

    An int8 model saturates its input: every finite sample will do. A layer's inputs are bounded by gain * |x| + rest,
    row by row; behind tanh they are within 1. What a ReLU RNN adds up over the steps is its own and not counted.
    """
    if graph.precision == "int8":
        return LARGEST
    std = graph.arrays["std"].astype(np.float64)
    gain, rest = 1 / std, np.abs(graph.arrays["mean"].astype(np.float64)) / std
    largest = _within(gain, rest)
    for index, layer in enumerate(graph.layers):
        if layer.kind not in ("dense", "rnn", "gru", "lstm"):
            break  # a kind whose sums are bounded elsewhere, or not at all
        w = {name: np.abs(a.astype(np.float64)) for name, a in graph.layer_arrays(index).items()}
        if layer.kind == "dense":
            gain, rest = w["w"] @ gain, w["w"] @ rest + w["b"]
        else:
            gain, rest = w["w_ih"] @ gain, w["w_ih"] @ rest + w["b_ih"] + w["b_hh"] + w["w_hh"].sum(axis=1)
        largest = min(largest, _within(gain, rest))
        if layer.kind != "dense" and layer.activation == "tanh":
            gain, rest = np.zeros(layer.units), np.ones(layer.units)
    return float(np.nextafter(np.float32(largest), np.float32(0)))


def _within(gain: F64, rest: F64) -> float:
    with np.errstate(divide="ignore"):
        return max(0.0, min(LARGEST, float(((SUM - rest) / gain).min())))
