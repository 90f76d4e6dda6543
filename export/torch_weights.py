"""The parameters of one torch.nn layer -> layers of a graph. Names and shapes decide; nothing is run here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
from torch import Tensor

from edge_rnn.arrays import Array
from edge_rnn.errors import BundleError, UsageError
from edge_rnn.graph import GATES, Activation, Graph, Kind, Layer
from edge_rnn.layer import ACTIVATIONS, STATISTICS

from .gates import from_torch_order

REVERSE = "it is bidirectional: it needs the future, which a stream does not have; train it in one direction"
PROJECTED = "it has a projection (proj_size): train it without, or with a smaller hidden size"

Weighted = tuple[Layer, dict[str, Array]]


@dataclass
class Chain:
    """Layers with their arrays, from the input on, and the input's normalisation (x - mean) / std."""

    mean: Array
    std: Array
    layers: list[Weighted] = field(default_factory=list)

    def relu(self, where: str) -> None:
        """A ReLU after what is there: a part of a dense or conv layer, or a dense layer of its own."""
        if not self.layers:
            raise UsageError(f"{where} cannot be exported: a ReLU on the bare input loses the sign of every channel")
        layer, arrays = self.layers[-1]
        if "relu" in ACTIVATIONS[layer.kind] and layer.activation == "none":
            self.layers[-1] = (replace(layer, activation="relu"), arrays)
            return
        identity = {"w": np.eye(layer.units, dtype=np.float32), "b": np.zeros(layer.units, np.float32)}
        self.layers.append((Layer("dense", layer.units, layer.units, "relu"), identity))

    @property
    def units(self) -> int:
        """What the next layer takes."""
        return self.layers[-1][0].units if self.layers else len(self.mean)

    def graph(self) -> Graph:
        """The graph; raises UsageError where the last layer is no head."""
        if not self.layers or self.layers[-1][0].kind != "dense" or self.layers[-1][0].activation != "none":
            last = self.layers[-1][0].kind if self.layers else "the input"
            raise UsageError(f"the last layer must be an nn.Linear that gives the logits, the network ends with {last}")
        arrays = {"mean": self.mean.astype(np.float32), "std": self.std.astype(np.float32)}
        for index, (_, weights) in enumerate(self.layers):
            arrays.update({f"l{index}.{name}": array for name, array in weights.items()})
        try:
            return Graph("float32", tuple(layer for layer, _ in self.layers), arrays)
        except BundleError as error:
            raise UsageError(f"the network cannot be exported: {error}") from error


def linear(state: Mapping[str, Tensor], where: str) -> Weighted:
    """nn.Linear's `weight` and, if it has one, `bias`."""
    arrays = _arrays(state, {"weight", "bias"}, where)
    if "weight" not in arrays or arrays["weight"].ndim != 2:
        raise UsageError(f"{where} cannot be exported: it has no weight (outputs, inputs) as nn.Linear has")
    units, inputs = arrays["weight"].shape
    bias = arrays.get("bias", np.zeros(units, np.float32))
    return _layer("dense", inputs, units, "none", where), {"w": arrays["weight"], "b": bias}


def recurrent(kind: Kind, activation: Activation, state: Mapping[str, Tensor], where: str) -> list[Weighted]:
    """nn.GRU, LSTM or RNN of any number of layers, with or without biases.

    Raises UsageError, by name, for a bidirectional or projected one, and for parameters of another shape.
    """
    for name in state:
        if name.endswith("_reverse"):
            raise UsageError(f"{where} cannot be exported: {REVERSE}")
        if name.startswith("weight_hr"):
            raise UsageError(f"{where} cannot be exported: {PROJECTED}")
    depth = sum(re.fullmatch(r"weight_ih_l\d+", name) is not None for name in state)
    if depth == 0:
        raise UsageError(f"{where} cannot be exported: it has no weight_ih_l0, is it an nn.{kind.upper()}?")
    parts = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    arrays = _arrays(state, {f"{part}_l{n}" for part in parts for n in range(depth)}, where)
    found = []
    for n in range(depth):
        w_ih, w_hh = (arrays.get(f"{part}_l{n}") for part in parts[:2])
        if w_ih is None or w_hh is None or w_hh.ndim != 2 or w_hh.shape[0] != GATES[kind] * w_hh.shape[1]:
            shape = None if w_hh is None else w_hh.shape
            raise UsageError(f"{where} cannot be exported: weight_hh_l{n} is {shape}, no nn.{kind.upper()} has that")
        zeros = np.zeros(w_hh.shape[0], np.float32)
        b_ih, b_hh = (arrays.get(f"{part}_l{n}", zeros) for part in parts[2:])
        named = {"w_ih": w_ih, "w_hh": w_hh, "b_ih": b_ih, "b_hh": b_hh}
        layer = _layer(kind, w_ih.shape[1], w_hh.shape[1], activation, where)
        found.append((layer, {name: from_torch_order(kind, array) for name, array in named.items()}))
    return found


def norm(state: Mapping[str, Tensor], where: str) -> Weighted:
    """nn.LayerNorm's `weight` and `bias`, over the units of one step."""
    arrays = _arrays(state, {"weight", "bias"}, where)
    if "weight" not in arrays or arrays["weight"].ndim != 1:
        raise UsageError(f"{where} cannot be exported: it has no weight (units,) as nn.LayerNorm has")
    units = len(arrays["weight"])
    bias = arrays.get("bias", np.zeros(units, np.float32))
    return _layer("norm", units, units, "none", where), {"w": arrays["weight"], "b": bias}


def conv(state: Mapping[str, Tensor], dilation: int, where: str) -> Weighted:
    """nn.Conv1d's `weight` (O, I, K) and, if it has one, `bias`: causal, its last tap is the present sample."""
    arrays = _arrays(state, {"weight", "bias"}, where)
    if "weight" not in arrays or arrays["weight"].ndim != 3:
        raise UsageError(f"{where} cannot be exported: it has no weight (outputs, inputs, taps) as nn.Conv1d has")
    units, inputs, taps = arrays["weight"].shape
    bias = arrays.get("bias", np.zeros(units, np.float32))
    rows = np.ascontiguousarray(arrays["weight"].transpose(0, 2, 1)).reshape(units, -1)
    layer = _layer("conv", inputs, units, "none", where, kernel=int(taps), dilation=dilation)
    return layer, {"w": rows, "b": bias}


def fastgrnn(state: Mapping[str, Tensor], where: str) -> Weighted:
    """A full-rank FastGRNN as its authors' library (EdgeML) names its parameters; zeta, nu before the sigmoid."""
    names = {"W", "U", "bias_gate", "bias_update", "zeta", "nu"}
    arrays = _arrays(state, names, where)
    if set(arrays) != names or arrays["W"].ndim != 2 or arrays["U"].shape != (arrays["W"].shape[1],) * 2:
        raise UsageError(f"{where} cannot be exported: expected {', '.join(sorted(names))} of a full-rank FastGRNN")
    inputs, units = arrays["W"].shape
    scalars = {name: 1 / (1 + np.exp(-arrays[name].reshape(1).astype(np.float64))) for name in ("zeta", "nu")}
    weights = {
        "w_ih": np.ascontiguousarray(arrays["W"].T),
        "w_hh": np.ascontiguousarray(arrays["U"].T),
        "b_z": arrays["bias_gate"].reshape(-1),
        "b_h": arrays["bias_update"].reshape(-1),
        **{name: value.astype(np.float32) for name, value in scalars.items()},
    }
    return _layer("fastgrnn", inputs, units, "tanh", where), weights


def past(kind: str, inputs: int, window: int, where: str) -> Weighted:
    """A window of the last samples, or its statistics: layers without weights."""
    units = window * inputs if kind == "window" else len(STATISTICS) * (inputs // max(1, window))
    return _layer(cast(Kind, kind), inputs, units, "none", where, window=window), {}


def _layer(kind: Kind, inputs: int, units: int, activation: Activation, where: str, **sizes: int) -> Layer:
    try:
        return Layer(kind, int(inputs), int(units), activation, **sizes)
    except BundleError as error:
        raise UsageError(f"{where} cannot be exported: {error}") from error


def _arrays(state: Mapping[str, Tensor], known: set[str], where: str) -> dict[str, Array]:
    unknown = sorted(set(state) - known)
    if unknown:
        raise UsageError(
            f"{where} cannot be exported: it has {', '.join(unknown)}, expected {', '.join(sorted(known))}"
        )
    found: dict[str, Any] = {}
    for name, tensor in state.items():
        if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
            raise UsageError(f"{where}: {name} is {getattr(tensor, 'dtype', type(tensor).__name__)}, expected floats")
        found[name] = np.array(tensor.detach().cpu().numpy(), np.float32, order="C")
    return found
