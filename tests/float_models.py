"""float32 graphs for the tests: any stack of layers, random weights of trained size, and the facts of a bundle."""

from __future__ import annotations

import numpy as np
from edge_rnn.export.bundle_writer import Facts

from edge_rnn.graph import Graph, Layer
from edge_rnn.manifest import Channel

STACKS = {
    "perceptron": [],
    "mlp": [("dense", 7, "relu")],
    "rnn": [("rnn", 5, "tanh")],
    "rnn-relu": [("rnn", 5, "relu")],
    "gru": [("gru", 6, "tanh")],
    "lstm": [("lstm", 6, "tanh")],
    "mixed": [("dense", 4, "relu"), ("gru", 6, "tanh"), ("dense", 5, "none"), ("lstm", 3, "tanh"), ("rnn", 4, "tanh")],
}


def float_graph(stack: str, inputs: int = 3, classes: int = 4, seed: int = 0) -> Graph:
    """A graph of STACKS with uniform weights as torch initialises them."""
    rng = np.random.default_rng(seed)
    layers, width = [], inputs
    for kind, units, activation in [*STACKS[stack], ("dense", classes, "none")]:
        layers.append(Layer(kind, width, units, activation))
        width = units
    arrays = {"mean": rng.normal(0, 2, inputs).astype(np.float32)}
    arrays["std"] = rng.uniform(0.5, 5, inputs).astype(np.float32)
    for index, layer in enumerate(layers):
        bound = (layer.inputs if layer.kind == "dense" else layer.units) ** -0.5
        if layer.activation == "relu" and layer.kind == "rnn":
            bound /= 3  # a ReLU RNN must forget, or it grows without end
        for name, (dtype, shape) in layer.arrays(index, "float32").items():
            arrays[name] = rng.uniform(-bound, bound, shape).astype(dtype)
    return Graph("float32", tuple(layers), arrays)


def facts_of(graph: Graph, **more) -> Facts:
    """Facts that fit a graph: standard normal channels, labels a, b, c ..., the first one background."""
    rng = np.random.default_rng(1)
    channels = tuple(Channel(f"ch{i}", "g", 0.5, 1.5, -4.0, 5.0) for i in range(graph.inputs))
    labels = tuple("abcdefghijkl"[: graph.outputs])
    golden = rng.normal(0.5, 1.5, (200, graph.inputs)).astype(np.float32)
    return Facts(channels, labels, 50.0, 128, golden, **{"background": "a", **more})
