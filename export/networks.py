"""`Network`: the trainable form of a graph, an nn.Module whose one call over a sequence equals step by step.

It normalises its input, runs the layers and gives logits at every step; state goes in and comes out. It never keeps
state between calls, and it knows nothing of data, losses or files.

Parameter names (stable: checkpoints and quantization-aware training rely on them), layer i counted from the input:

    layers.{i}.weight, layers.{i}.bias                                          dense, norm, conv
    layers.{i}.weight_ih_l0, .weight_hh_l0, .bias_ih_l0, .bias_hh_l0            rnn, gru (r, z, n), lstm (i, f, g, o)
    layers.{i}.*                                     what fastgrnn.py and attention.py call theirs
    head.weight, head.bias                                                      the logits  (C, H), (C,)
    mean, std                                                                   buffers  (I,) float32
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from edge_rnn.errors import BundleError, UsageError
from edge_rnn.graph import Graph, Layer
from edge_rnn.layer import INT8_KINDS

from .architectures import layers_of
from .torch_layers import EVERY, arrays_of, fresh, numpy_of, run

BLOCK = 1024
"""Steps at once of a network with a window, where no gradient is wanted."""


class Network(nn.Module):
    """Hidden layers and a linear head.

    `layers` is a list of {"kind": ..., "units": H, "activation": none|relu|tanh} and the kind's sizes (window, kernel,
    dilation, heads, hidden), as edge_rnn.layer has them without `inputs`. `dropout` acts before the head while
    training and is no part of the spec.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, inputs: int, layers: Sequence[Mapping[str, Any]], classes: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.graph_layers = _chain(inputs, layers, classes)
        hidden = self.graph_layers[:-1]
        self.layers = nn.ModuleList(fresh(layer) for layer in hidden)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(self.graph_layers[-1].inputs, classes)
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("std", torch.ones(inputs))

    @classmethod
    def of(
        cls,
        arch: str,
        inputs: int,
        classes: int,
        *,
        hidden: int | None = None,
        layers: int | None = None,
        window: int | None = None,
    ) -> Network:
        """The network an architecture's name stands for (architectures.py), which also has the defaults.

        `window` is how many samples a perceptron, an mlp, a stats-mlp or a transformer sees; perceptron and mlp without
        one see the present sample alone. Raises UsageError for a name that is not known.
        """
        return cls(inputs, layers_of(arch, inputs, hidden, layers, window), classes)

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> Network:
        """The inverse of `spec()`, with fresh weights."""
        if set(spec) != {"inputs", "layers", "classes"}:
            raise UsageError(f"network spec has keys {sorted(spec)}, expected classes, inputs and layers")
        return cls(spec["inputs"], spec["layers"], spec["classes"])

    def spec(self) -> dict[str, Any]:
        """What `from_spec` needs, in JSON's types."""
        hidden = self.graph_layers[:-1]
        layers = [{key: v for key, v in layer.to_json().items() if key != "inputs"} for layer in hidden]
        return {"inputs": self.graph_layers[0].inputs, "layers": layers, "classes": self.graph_layers[-1].units}

    @property
    def state_widths(self) -> tuple[int, ...]:
        """Width of each state, in the order of edge_rnn.graph.Layer.states."""
        named = enumerate(self.graph_layers)
        return tuple(state.width for index, layer in named for state in layer.states(index, "float32"))

    def zero_state(self, batch: int) -> tuple[Tensor, ...]:
        """The state before the first sample: (batch, width) zeros each."""
        return tuple(self.head.weight.new_zeros(batch, width) for width in self.state_widths)

    @property
    def sees_a_window(self) -> bool:
        """Whether a logit is of one window, so that a sequence's last logit is worth as much as all of them."""
        return any(layer.kind == "window" for layer in self.graph_layers)

    @property
    def exact(self) -> bool:
        """Whether the network has an exact integer form (docs/numeric.md)."""
        return all(layer.kind in INT8_KINDS for layer in self.graph_layers)

    def forward(self, x: Tensor, *state: Tensor, steps: slice = EVERY) -> tuple[Tensor, ...]:
        """`(y, *state)` from x (B, T, I) and states (B, width): y (B, T, C) logits; no state given means zeros.

        `steps` are the steps whose logits are wanted: a network with a window computes no others.
        Raises UsageError where a shape does not fit.
        """
        inputs = self.graph_layers[0].inputs
        if x.ndim != 3 or x.shape[1] < 1 or x.shape[2] != inputs:
            raise UsageError(f"network expects x (batch, time >= 1, {inputs}), got {tuple(x.shape)}")
        given = state or self.zero_state(x.shape[0])
        wanted = [(x.shape[0], width) for width in self.state_widths]
        if [tuple(s.shape) for s in given] != wanted:
            raise UsageError(f"network expects states {wanted}, got {[tuple(s.shape) for s in given]}")

        if self.sees_a_window and x.shape[1] > BLOCK and not torch.is_grad_enabled():
            return self._in_blocks(x, given, steps)
        h = (x - self.mean) / self.std
        remaining = list(given)
        after: list[Tensor] = []
        counts = [len(layer.states(0, "float32")) for layer in self.graph_layers]
        last = max((index for index, count in enumerate(counts) if count), default=0)
        for index, module in enumerate(self.layers):
            mine = [remaining.pop(0) for _ in range(counts[index])]
            h, left = run(self.graph_layers[index], module, h, mine, steps if index == last else EVERY)
            after += left
        h = h if self.layers else h[:, steps]
        return (self.head(self.dropout(h)), *after)

    def _in_blocks(self, x: Tensor, state: tuple[Tensor, ...], steps: slice) -> tuple[Tensor, ...]:
        """The same for a long sequence, whose windows at once would take as many times its memory as they are long."""
        outputs = []
        for block in torch.split(x, BLOCK, 1):
            y, *after = self(block, *state)
            outputs.append(y)
            state = tuple(after)
        return (torch.cat(outputs, 1)[:, steps], *state)

    def to_graph(self) -> Graph:
        """The same network as edge_rnn.graph has it: float32 arrays, the head as the last layer."""
        arrays = {"mean": numpy_of(self.mean), "std": numpy_of(self.std)}
        for index, (layer, module) in enumerate(zip(self.graph_layers, [*self.layers, self.head], strict=True)):
            arrays.update({f"l{index}.{name}": array for name, array in arrays_of(layer, module).items()})
        return Graph("float32", self.graph_layers, arrays)


def _chain(inputs: int, layers: Sequence[Mapping[str, Any]], classes: int) -> tuple[Layer, ...]:
    chain: list[Layer] = []
    try:
        for layer in layers:
            sizes = {key: value for key, value in layer.items() if key not in ("kind", "units", "activation")}
            chain.append(Layer(layer["kind"], inputs, layer["units"], layer["activation"], **sizes))
            inputs = layer["units"]
        chain.append(Layer("dense", inputs, classes, "none"))
    except KeyError as error:
        raise UsageError(f"a layer of the network spec lacks {error}, expected kind, units and activation") from error
    except TypeError as error:
        raise UsageError(f"a layer of the network spec has a key that no layer has: {error}") from error
    except BundleError as error:
        raise UsageError(str(error)) from error
    return tuple(chain)
