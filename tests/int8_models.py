"""int8 graphs for the tests: the golden vectors as graphs, and random ones anywhere within the obligations."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from edge_rnn.graph import Graph, Layer

GOLDEN = Path(__file__).parent / "golden"
GOLDEN_NAMES = ["GRU", "GRU_wide_input", "GRU2", "GRU5_normalised", "LSTM", "RNN"]
RECURRENT = ["gru", "lstm", "rnn", "relu", "dense", "linear"]
KINDS = [*RECURRENT, "fastgrnn", "window", "conv", "conv_linear", "statistics"]
"""Hidden layers for `random_layers`."""


def golden_graph(golden) -> Graph:
    """The int8 graph of a golden .npz: `l0_ih_w` there is `l0.ih_w` here, its `head_w` the last layer's `w`."""
    kind = {"GRU": "gru", "LSTM": "lstm", "RNN": "rnn"}[str(golden["kind"])]
    depth = sum(name.endswith("_ih_w") and name.startswith("l") for name in golden)
    layers, inputs = [], golden["xq"].shape[1]
    for _ in range(depth):
        layers.append(Layer(kind, inputs, int(golden["hidden"]), "tanh"))
        inputs = int(golden["hidden"])
    layers.append(Layer("dense", inputs, len(golden["head_b"]), "none"))
    arrays = {"sx": golden["sx"]}
    for name in golden:
        head, _, rest = name.partition("_")
        place = f"l{depth}" if head == "head" else head
        if place in {f"l{i}" for i in range(depth + 1)} and rest:
            arrays[f"{place}.{rest}"] = golden[name].astype(np.int32 if rest.endswith("S_k") else golden[name].dtype)
    return Graph("int8", tuple(layers), arrays)


def read_golden(name: str) -> dict:
    with np.load(GOLDEN / f"{name}.npz") as file:
        return {key: file[key] for key in file.files}


def random_graph(rng, layers: list[Layer], gain_bits: tuple[float, float] = (14, 27)) -> Graph:
    """An int8 graph with random integers; the largest |rq| of a row is 2^gain_bits[0] .. 2^gain_bits[1]."""
    arrays = {"sx": np.exp(rng.uniform(-8, 3, layers[0].inputs)).astype(np.float32)}
    for index, layer in enumerate(layers):
        rows = layer.gates * layer.units
        for name, (dtype, shape) in layer.arrays(index, "int8").items():
            if name.endswith((".b", ".bn", ".b_z", ".b_h")):
                arrays[name] = _bias(rng, shape[0])
            if name.endswith((".zeta", ".nu")):
                arrays[name] = rng.integers(0, rng.choice([1 << 18, (1 << 24) + 1]), shape).astype(dtype)
            if name.endswith(".o"):
                arrays[name] = rng.integers(-32768, 32768, shape).astype(dtype)
        if layer.kind == "statistics":
            arrays |= {f"l{index}.{name}": array for name, array in _statistics(rng, layer).items()}
        for part, columns in layer.exact_matrices.items():
            largest = 7 if layer.bits == 4 else 127
            w = rng.integers(-largest, largest + 1, (rows, columns)) * (
                rng.random((rows, columns)) < rng.uniform(0.2, 1)
            )
            m, S, k = _multipliers(np.abs(w).sum(axis=1), rng.uniform(*gain_bits, rows))
            prefix = f"l{index}.{part}"
            arrays[prefix + "w"], arrays[prefix + "m"] = w.astype(np.int8), m.astype(np.int32)
            arrays[prefix + "S_k"] = np.array([S, k], np.int32)
    return Graph("int8", tuple(layers), arrays)


def random_layers(rng, kinds: list[str], inputs: int, widths: list[int], outputs: int) -> list[Layer]:
    """Hidden layers of `kinds` ("relu" is a ReLU RNN, "dense" a ReLU layer, "linear" one without) and a head.

    A window sees so many samples that it has about as many units as it was to have; "statistics" are a window and its.
    """
    forms = {"relu": ("rnn", "relu"), "dense": ("dense", "relu"), "linear": ("dense", "none")}
    forms |= {"conv": ("conv", "relu"), "conv_linear": ("conv", "none")}
    forms |= dict.fromkeys(("window", "statistics"), ("window", "none"))
    layers = []
    for name, width in zip(kinds, widths, strict=True):
        kind, activation = forms.get(name, (name, "tanh"))
        sizes = {}
        if kind == "window":
            sizes["window"] = max(2, width // inputs)
            width = sizes["window"] * inputs
        if kind == "conv":
            sizes = {"kernel": int(rng.integers(1, 6)), "dilation": int(rng.integers(1, 5))}
        layer = Layer(kind, inputs, width, activation, **sizes)
        exponent = int(rng.integers(1, 17)) if layer.scaled else None
        bits = 4 if rng.random() < 0.3 and kind != "window" else None
        layers.append(replace(layer, exponent=exponent, bits=bits))
        if name == "statistics":
            channels = inputs
            inputs, width = width, 5 * channels
            layers.append(Layer("statistics", inputs, width, "none", window=inputs // channels))
        inputs = width
    return [*layers, Layer("dense", inputs, outputs, "none")]


def _bias(rng, n: int):
    return np.rint(rng.standard_normal(n) * 2 ** rng.uniform(10, 25)).clip(-(2**28), 2**28).astype(np.int32)


def _multipliers(total, bits):
    f = 2.0**bits / (32768 * np.maximum(total, 1))
    while True:
        S = min(62, int(np.floor(30.999 - np.log2(f.max()))))
        k = max(0, 33 - S)
        if (total * 2**k < 65536).all():
            return np.maximum(1, np.rint(f * 2.0**S)), S, k
        f = f / 2


def _statistics(rng, layer: Layer) -> dict:
    """Multipliers that saturate some outputs and leave others small."""
    window = layer.size("window")
    m, S, k = _multipliers(np.full(layer.units, 2 * window), rng.uniform(rng.uniform(8, 16), 19, layer.units))
    channels = layer.inputs // window
    floor = rng.integers(0, rng.choice([1, 1 << 12, 1 << 31]), channels)
    return {"floor": floor.astype(np.int32), "m": m.astype(np.int32), "S_k": np.array([S, k], np.int32)}


def float_graph(rng, kinds: list[str], inputs: int, outputs: int, units: int | None = None) -> Graph:
    """A float32 graph with random weights of the size PyTorch starts with; kinds as in `random_layers`."""
    widths = [units or int(n) for n in rng.integers(1, 12, len(kinds))]
    layers = [replace(a, exponent=None, bits=None) for a in random_layers(rng, kinds, inputs, widths, outputs)]
    mean, std = rng.normal(0, 1, inputs), np.exp(rng.normal(0, 0.5, inputs))
    arrays = {"mean": mean.astype(np.float32), "std": std.astype(np.float32)}
    for index, layer in enumerate(layers):
        size = 1 / np.sqrt(layer.units)
        for name, (_, shape) in layer.arrays(index, "float32").items():
            arrays[name] = rng.uniform(-size, size, shape).astype(np.float32)
            if name.endswith((".zeta", ".nu")):
                arrays[name] = rng.uniform(0, 0.8 if name.endswith("zeta") else 0.05, shape).astype(np.float32)
    return Graph("float32", tuple(layers), arrays)
