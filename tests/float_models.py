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
CONV = {"kernel": 3, "dilation": 2}
RIVALS = {
    "fastgrnn": [("fastgrnn", 6, "tanh"), ("fastgrnn", 5, "tanh")],
    "windowed": [("window", 27, "none", {"window": 9}), ("dense", 7, "relu")],
    "statistics": [
        ("window", 21, "none", {"window": 7}),
        ("statistics", 15, "none", {"window": 7}),
        ("dense", 8, "relu"),
    ],
    "cnn": [
        ("conv", 6, "relu", CONV),
        ("conv", 6, "relu", {"kernel": 3, "dilation": 4}),
        ("conv", 5, "none", {"kernel": 1, "dilation": 1}),
    ],
    "transformer": [
        ("dense", 8, "none"),
        ("attention", 8, "none", {"window": 6, "heads": 2}),
        ("feedforward", 8, "relu", {"hidden": 12}),
        ("attention", 8, "none", {"window": 11, "heads": 4}),
        ("feedforward", 8, "relu", {"hidden": 5}),
        ("norm", 8, "none"),
    ],
    "crossed": [
        ("conv", 4, "relu", CONV),
        ("gru", 6, "tanh"),
        ("window", 18, "none", {"window": 3}),
        ("fastgrnn", 4, "tanh"),
        ("attention", 4, "none", {"window": 5, "heads": 1}),
    ],
}
"""The layers beside dense, rnn, gru and lstm: float32 alone, and not in every engine."""


def float_graph(stack: str, inputs: int = 3, classes: int = 4, seed: int = 0) -> Graph:
    """A graph of STACKS or RIVALS with uniform weights as torch initialises them."""
    rng = np.random.default_rng(seed)
    layers, width = [], inputs
    for kind, units, activation, *sizes in [*{**STACKS, **RIVALS}[stack], ("dense", classes, "none")]:
        layers.append(Layer(kind, width, units, activation, **(sizes[0] if sizes else {})))
        width = units
    arrays = {"mean": rng.normal(0, 2, inputs).astype(np.float32)}
    arrays["std"] = rng.uniform(0.5, 5, inputs).astype(np.float32)
    for index, layer in enumerate(layers):
        bound = (layer.inputs if layer.kind == "dense" else layer.units) ** -0.5
        if layer.activation == "relu" and layer.kind == "rnn":
            bound /= 3  # a ReLU RNN must forget, or it grows without end
        for name, (dtype, shape) in layer.arrays(index, "float32").items():
            low = 0.0 if name.endswith(("zeta", "nu")) else -bound
            arrays[name] = rng.uniform(low, bound, shape).astype(dtype)
            if name.endswith(".nu"):
                arrays[name] *= 0.1  # h may reach nu / (1 - z): near 1 it grows without end
    return Graph("float32", tuple(layers), arrays)


def facts_of(graph: Graph, **more) -> Facts:
    """Facts that fit a graph: standard normal channels, labels a, b, c ..., the first one background."""
    rng = np.random.default_rng(1)
    channels = tuple(Channel(f"ch{i}", "g", 0.5, 1.5, -4.0, 5.0) for i in range(graph.inputs))
    labels = tuple("abcdefghijkl"[: graph.outputs])
    golden = rng.normal(0.5, 1.5, (200, graph.inputs)).astype(np.float32)
    return Facts(channels, labels, 50.0, 128, golden, **{"background": "a", **more})
