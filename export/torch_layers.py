"""A layer of a graph as a torch module over whole sequences, and its weights there and back.

    y, states = run(layer, module, x, states)       x (B, T, inputs), y (B, T, units), states (B, width) each

Dense, RNN, GRU and LSTM are torch.nn's own; the others are in fastgrnn.py, past.py and attention.py. One call over T
samples equals T calls over one. Nothing here knows of training, data or files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from edge_rnn.arrays import Array
from edge_rnn.graph import Layer

from .attention import Attention, FeedForward
from .fastgrnn import FastGRNN
from .past import Conv, Statistics, Window

_RECURRENT = {"w_ih": "weight_ih_l0", "w_hh": "weight_hh_l0", "b_ih": "bias_ih_l0", "b_hh": "bias_hh_l0"}
_LINEAR = {"w": "weight", "b": "bias"}
EVERY, LAST = slice(None), slice(-1, None)
NAMES: Mapping[str, Mapping[str, str]] = {
    "dense": _LINEAR,
    "norm": _LINEAR,
    "rnn": _RECURRENT,
    "gru": _RECURRENT,
    "lstm": _RECURRENT,
}
"""Kind -> name of a graph's array -> name of torch's parameter; the kinds that are not here share their names."""


def fresh(layer: Layer) -> nn.Module:
    """A fresh module for a layer, with torch's own initial weights."""
    if layer.kind == "dense":
        return nn.Linear(layer.inputs, layer.units)
    if layer.kind == "norm":
        return nn.LayerNorm(layer.units)
    if layer.kind == "rnn":
        return nn.RNN(layer.inputs, layer.units, nonlinearity=cast(Any, layer.activation), batch_first=True)
    if layer.kind in ("gru", "lstm"):
        cell: Any = {"gru": nn.GRU, "lstm": nn.LSTM}[layer.kind]
        return cell(layer.inputs, layer.units, batch_first=True)  # type: ignore[no-any-return]
    own: Mapping[str, Any] = {
        "fastgrnn": FastGRNN,
        "window": Window,
        "statistics": Statistics,
        "conv": Conv,
        "attention": Attention,
        "feedforward": FeedForward,
    }
    module: nn.Module = own[layer.kind](layer)
    return module


def run(
    layer: Layer, module: nn.Module, x: Tensor, states: Sequence[Tensor], steps: slice = EVERY
) -> tuple[Tensor, list[Tensor]]:
    """The layer over a sequence: its outputs, and its states after the last step.

    `steps` are those whose outputs are wanted; a window copies no others, where it would copy each sample many times.
    """
    if layer.kind == "window":
        y, *left = module(x, *states, steps)
        return y, left
    y, left = _run(layer, module, x, states)
    return y[:, steps], left


def _run(layer: Layer, module: nn.Module, x: Tensor, states: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
    if layer.kind in ("rnn", "gru", "lstm"):
        before = [state[None] for state in states]
        y, after = module(x, tuple(before) if layer.kind == "lstm" else before[0])
        return y, [state[0] for state in (after if layer.kind == "lstm" else [after])]
    if layer.kind in ("dense", "norm"):
        y = module(x)
        return (torch.relu(y) if layer.activation == "relu" else y), []
    y, *left = module(x, *states)
    return y, left


def arrays_of(layer: Layer, module: nn.Module) -> dict[str, Array]:
    """The module's weights as a graph has them, float32, without the layer's prefix."""
    own = getattr(module, "arrays", None)
    tensors = own() if own else {name: getattr(module, name) for name in _names(layer)}
    names = {long: short for short, long in NAMES.get(layer.kind, {}).items()}
    return {names.get(name, name): numpy_of(tensor) for name, tensor in tensors.items()}


def load(layer: Layer, module: nn.Module, arrays: Mapping[str, Array]) -> None:
    """Put a graph's weights into a module; the inverse of `arrays_of`."""
    tensors = {name: torch.from_numpy(np.array(array, np.float32)) for name, array in arrays.items()}
    if hasattr(module, "load_arrays"):
        cast(Any, module).load_arrays(tensors)
    else:
        names = NAMES.get(layer.kind, {})
        module.load_state_dict({names.get(name, name): tensor for name, tensor in tensors.items()})


def numpy_of(tensor: Tensor) -> Array:
    """A tensor's values as contiguous float32."""
    return np.array(tensor.detach().cpu().numpy(), dtype=np.float32, order="C")


def _names(layer: Layer) -> list[str]:
    named = layer.arrays(0, "float32")
    return [NAMES.get(layer.kind, {}).get(name.removeprefix("l0."), name.removeprefix("l0.")) for name in named]
