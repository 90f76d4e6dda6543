"""`Network`: the trainable form of a graph, an nn.Module whose one call over a sequence equals step by step.

It normalises its input, runs the layers and gives logits at every step; state goes in and comes out. It never keeps
state between calls, and it knows nothing of data, losses or files.

Parameter names (stable: checkpoints and quantization-aware training rely on them), layer i counted from the input:

    layers.{i}.weight, layers.{i}.bias                                          dense   (O, I), (O,)
    layers.{i}.weight_ih_l0, .weight_hh_l0, .bias_ih_l0, .bias_hh_l0            rnn, gru (r, z, n), lstm (i, f, g, o)
    head.weight, head.bias                                                      the logits  (C, H), (C,)
    mean, std                                                                   buffers  (I,) float32
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from edge_rnn.arrays import Array
from edge_rnn.errors import BundleError, UsageError
from edge_rnn.graph import GATES, Graph, Layer

ARCHITECTURES: Mapping[str, tuple[str, str]] = {
    "mlp": ("dense", "relu"),
    "rnn": ("rnn", "tanh"),
    "rnn-relu": ("rnn", "relu"),
    "gru": ("gru", "tanh"),
    "lstm": ("lstm", "tanh"),
}
"""Name on the command line -> (kind, activation) of each hidden layer; `perceptron` has none."""


class Network(nn.Module):
    """Hidden layers and a linear head.

    `layers` is a list of {"kind": dense|rnn|gru|lstm, "units": H, "activation": none|relu|tanh}, as edge_rnn.graph
    has them without `inputs`. `dropout` acts before the head while training and is no part of the spec.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, inputs: int, layers: Sequence[Mapping[str, Any]], classes: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.graph_layers = _chain(inputs, layers, classes)
        hidden = self.graph_layers[:-1]
        self.layers = nn.ModuleList(_module(layer) for layer in hidden)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(self.graph_layers[-1].inputs, classes)
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("std", torch.ones(inputs))

    @classmethod
    def of(cls, arch: str, inputs: int, classes: int, *, hidden: int = 32, layers: int = 1) -> Network:
        """The network an architecture's name stands for; `perceptron` is the head alone.

        Raises UsageError for a name that is not known.
        """
        if arch == "perceptron":
            return cls(inputs, [], classes)
        if arch not in ARCHITECTURES:
            known = ", ".join(["perceptron", *ARCHITECTURES])
            raise UsageError(f"architecture is {arch!r}, expected one of {known}")
        kind, activation = ARCHITECTURES[arch]
        return cls(inputs, [{"kind": kind, "units": hidden, "activation": activation}] * layers, classes)

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> Network:
        """The inverse of `spec()`, with fresh weights."""
        if set(spec) != {"inputs", "layers", "classes"}:
            raise UsageError(f"network spec has keys {sorted(spec)}, expected classes, inputs and layers")
        return cls(spec["inputs"], spec["layers"], spec["classes"])

    def spec(self) -> dict[str, Any]:
        """What `from_spec` needs, in JSON's types."""
        hidden = self.graph_layers[:-1]
        layers = [{"kind": layer.kind, "units": layer.units, "activation": layer.activation} for layer in hidden]
        return {"inputs": self.graph_layers[0].inputs, "layers": layers, "classes": self.graph_layers[-1].units}

    @property
    def state_widths(self) -> tuple[int, ...]:
        """Width of each state, in the order of edge_rnn.graph.Layer.states."""
        named = enumerate(self.graph_layers)
        return tuple(state.width for index, layer in named for state in layer.states(index, "float32"))

    def zero_state(self, batch: int) -> tuple[Tensor, ...]:
        """The state before the first sample: (batch, width) zeros each."""
        return tuple(self.head.weight.new_zeros(batch, width) for width in self.state_widths)

    def forward(self, x: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """`(y, *state)` from x (B, T, I) and states (B, width): y (B, T, C) logits; no state given means zeros.

        Raises UsageError where a shape does not fit.
        """
        inputs = self.graph_layers[0].inputs
        if x.ndim != 3 or x.shape[1] < 1 or x.shape[2] != inputs:
            raise UsageError(f"network expects x (batch, time >= 1, {inputs}), got {tuple(x.shape)}")
        given = state or self.zero_state(x.shape[0])
        wanted = [(x.shape[0], width) for width in self.state_widths]
        if [tuple(s.shape) for s in given] != wanted:
            raise UsageError(f"network expects states {wanted}, got {[tuple(s.shape) for s in given]}")

        h = (x - self.mean) / self.std
        remaining = list(given)
        after: list[Tensor] = []
        for layer, module in zip(self.graph_layers, self.layers, strict=False):
            if layer.kind == "dense":
                h = module(h)
                h = torch.relu(h) if layer.activation == "relu" else h
            elif layer.kind == "lstm":
                h, (h_last, c_last) = module(h, (remaining.pop(0)[None], remaining.pop(0)[None]))
                after += [h_last[0], c_last[0]]
            else:
                h, h_last = module(h, remaining.pop(0)[None])
                after.append(h_last[0])
        return (self.head(self.dropout(h)), *after)

    def to_graph(self) -> Graph:
        """The same network as edge_rnn.graph has it: float32 arrays, the head as the last layer."""
        arrays = {"mean": _numpy(self.mean), "std": _numpy(self.std)}
        for index, (layer, module) in enumerate(zip(self.graph_layers, [*self.layers, self.head], strict=True)):
            if layer.kind == "dense":
                names = {"w": "weight", "b": "bias"}
            else:
                names = {name: f"{long}_l0" for name, long in _RECURRENT_NAMES.items()}
            arrays.update({f"l{index}.{name}": _numpy(getattr(module, long)) for name, long in names.items()})
        return Graph("float32", self.graph_layers, arrays)


_RECURRENT_NAMES = {"w_ih": "weight_ih", "w_hh": "weight_hh", "b_ih": "bias_ih", "b_hh": "bias_hh"}


def initialise(network: Network, generator: torch.Generator) -> None:
    """Start recurrent blocks orthogonal and input matrices Xavier uniform, with a memory that is slow to forget.

    Biases are 0 but the GRU's update gate and the LSTM's forget gate, +2: at the start h keeps sigma(2) = 88 % of
    itself a step, so a gradient reaches back over a window (the idea of Gers et al. 2000 and Jozefowicz et al. 2015).
    """
    slow_gate = {"gru": 1, "lstm": 1}  # r, z, n and i, f, g, o
    with torch.no_grad():
        for layer, module in zip(network.graph_layers, [*network.layers, network.head], strict=True):
            if layer.kind == "dense":
                nn.init.xavier_uniform_(module.weight, generator=generator)
                module.bias.zero_()
                continue
            for block in range(GATES[layer.kind]):
                rows = slice(block * layer.units, (block + 1) * layer.units)
                nn.init.orthogonal_(module.weight_hh_l0[rows], generator=generator)
            nn.init.xavier_uniform_(module.weight_ih_l0, generator=generator)
            module.bias_ih_l0.zero_()
            module.bias_hh_l0.zero_()
            if layer.kind in slow_gate:
                gate = slow_gate[layer.kind]
                module.bias_ih_l0[gate * layer.units : (gate + 1) * layer.units] = 2.0


def _chain(inputs: int, layers: Sequence[Mapping[str, Any]], classes: int) -> tuple[Layer, ...]:
    chain: list[Layer] = []
    try:
        for layer in layers:
            chain.append(Layer(layer["kind"], inputs, layer["units"], layer["activation"]))
            inputs = layer["units"]
        chain.append(Layer("dense", inputs, classes, "none"))
    except KeyError as error:
        raise UsageError(f"a layer of the network spec lacks {error}, expected kind, units and activation") from error
    except BundleError as error:
        raise UsageError(str(error)) from error
    return tuple(chain)


def _module(layer: Layer) -> Any:
    if layer.kind == "dense":
        return nn.Linear(layer.inputs, layer.units)
    if layer.kind == "rnn":
        return nn.RNN(layer.inputs, layer.units, nonlinearity=cast(Any, layer.activation), batch_first=True)
    return {"gru": nn.GRU, "lstm": nn.LSTM}[layer.kind](layer.inputs, layer.units, batch_first=True)


def _numpy(tensor: Tensor) -> Array:
    return np.array(tensor.detach().cpu().numpy(), dtype=np.float32, order="C")
