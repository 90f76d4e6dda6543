"""The networks of docs/performance.md: random weights of the size PyTorch starts with, a head of six classes."""

from __future__ import annotations

import numpy as np
from edge_rnn.export.quantize import quantize_with

from edge_rnn.graph import Graph, Layer

CLASSES = 6
NETWORKS = {
    "gru32": ("gru", 6, 32, 1),
    "lstm32": ("lstm", 6, 32, 1),
    "gru64x2": ("gru", 6, 64, 2),
    "lstm128": ("lstm", 9, 128, 1),
    "rnn32": ("rnn", 6, 32, 1),
}
"""Name -> kind, inputs, units, layers."""


def float_network(name: str) -> Graph:
    """The float32 graph; its input is standard normal."""
    kind, inputs, units, depth = NETWORKS[name]
    rng = np.random.default_rng(0)
    layers = [Layer(kind, units if index else inputs, units, "tanh") for index in range(depth)]  # type: ignore[arg-type]
    layers.append(Layer("dense", units, CLASSES, "none"))
    arrays = {"mean": np.zeros(inputs, np.float32), "std": np.ones(inputs, np.float32)}
    for index, layer in enumerate(layers):
        for array, (_, shape) in layer.arrays(index, "float32").items():
            arrays[array] = rng.uniform(-1, 1, shape).astype(np.float32) / np.float32(np.sqrt(units))
    return Graph("float32", tuple(layers), arrays)


def int8_network(graph: Graph) -> Graph:
    """The same network in the exact integers, one input scale for all channels: what is timed is not accuracy."""
    reach = np.full(graph.inputs, 5.0 * 1.25 / 32767, np.float32)
    return quantize_with(graph, reach, [None] * len(graph.layers))


def sensor(inputs: int, steps: int, seed: int = 1) -> np.ndarray:
    """(steps, inputs) float32, standard normal."""
    return np.random.default_rng(seed).standard_normal((steps, inputs)).astype(np.float32)


__all__ = ["CLASSES", "NETWORKS", "float_network", "int8_network", "sensor"]
