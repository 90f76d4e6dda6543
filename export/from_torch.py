"""Your own torch module -> Graph: nn.GRU, LSTM or RNN, with nn.Linear and ReLU around them, and nothing else.

The rule: `follow` watches the module's own forward run; what it did must be one chain of these layers; then our
engine must give the module's numbers on your sample, at every step. Whatever is not so is refused by name.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edge_rnn.arrays import Array
from edge_rnn.engine import State
from edge_rnn.engines.attention import EPSILON
from edge_rnn.engines.numpy import NumpyEngine
from edge_rnn.errors import UsageError
from edge_rnn.golden import close
from edge_rnn.graph import Activation, Graph

from .follow import Call, follow, tensors
from .torch_engine import one_thread
from .torch_weights import PROJECTED, REVERSE, Chain, Weighted, linear, norm, recurrent

TRACED_STEPS = 64
CHECKED_STEPS = 1000
PREFIXES = (1, 2, 3, 5, 17, 100, 333, CHECKED_STEPS)
"""A module that gives the last step alone is run on so many samples each time."""

RECURRENT = {nn.GRU: "gru", nn.LSTM: "lstm", nn.RNN: "rnn"}
REASONS: dict[type, str] = {
    nn.BatchNorm1d: "fold it into the nn.Linear beside it, or give mean and std instead",
    nn.Softmax: "a bundle gives logits and its runtime does the softmax; return the logits",
    nn.LogSoftmax: "a bundle gives logits and its runtime does the softmax; return the logits",
    nn.GRUCell: "use nn.GRU, the same arithmetic over a sequence",
    nn.LSTMCell: "use nn.LSTM, the same arithmetic over a sequence",
    nn.RNNCell: "use nn.RNN, the same arithmetic over a sequence",
}
ONLY = "a module may have GRU, LSTM, RNN, Linear, LayerNorm and ReLU layers; edge_rnn.export.Network has others"
_MOVES = (
    "__getitem__ __get__ transpose swapaxes permute movedim view reshape flatten squeeze unsqueeze contiguous select "
    "narrow unbind split chunk clone detach to float"
)
# Functions that only move values; what they moved is found by comparing values, not by reading their arguments.
MOVES = frozenset(_MOVES.split())
SIDE_WORK = frozenset(("new_zeros", "zeros_like"))
_LAYOUTS: tuple[Callable[[Tensor], Tensor], ...] = (lambda x: x[None], lambda x: x[:, None], lambda x: x)
"""(1, T, I), (T, 1, I), (T, I): with one sequence the values lie in the same order in all three."""


def graph_of(module: nn.Module, sample: Array, mean: Array, std: Array) -> Graph:
    """The graph of `module` on normalised input, checked on `sample` (T, I), raw: the module sees (x - mean) / std.

    Raises UsageError with the layer's or function's name and the reason.
    """
    with one_thread():
        return _graph_of(_on_cpu(module), sample, mean, std)


def _graph_of(module: nn.Module, sample: Array, mean: Array, std: Array) -> Graph:
    normalised = torch.from_numpy(((sample[:CHECKED_STEPS] - mean) / std).astype(np.float32))
    steps = min(len(sample), TRACED_STEPS)
    # Random values of the sample's size: in a real sample two steps may be equal, and then a move is ambiguous.
    noise = torch.randn(steps, sample.shape[1], generator=torch.Generator().manual_seed(0))
    traced = noise * normalised.std(dim=0, unbiased=False) + normalised.mean(dim=0)
    layout, calls, outputs, x = _first_that_runs(module, traced)
    top = _Top(x, mean, std)
    for call in calls:
        top.take(call)
    if not outputs or id(outputs[0]) not in top.names:
        raise UsageError("the module's (first) output is not the end of its layers: return the logits of the last one")
    graph = top.chain.graph()
    _check_numbers(module, layout, graph, sample[:CHECKED_STEPS], normalised, top.whole)
    return graph


def _on_cpu(module: Any) -> nn.Module:
    module = getattr(module, "_orig_mod", module)  # what torch.compile wrapped
    if isinstance(module, torch.jit.ScriptModule) or not isinstance(module, nn.Module):
        raise UsageError(f"{type(module).__name__} cannot be exported, a torch.nn.Module or a checkpoint was expected")
    for name, part in module.named_modules():
        rate = getattr(part, "p", 0) if isinstance(part, nn.Dropout) else getattr(part, "dropout", 0)
        if part.training and isinstance(rate, float) and rate > 0:
            raise UsageError(f"{name or 'the module'} drops values at random: call module.eval() before the export")
    return copy.deepcopy(module).to("cpu", torch.float32).eval()


def _first_that_runs(module: nn.Module, x: Tensor) -> tuple[Any, list[Call], list[Tensor], Tensor]:
    """The layout of the input in which the module runs and its recurrent layers see T steps."""
    reasons = []
    for layout in _LAYOUTS:
        given = layout(x)
        try:
            calls, outputs = follow(module, given)
        except Exception as error:  # the module is the user's: anything may be raised
            reasons.append(f"{tuple(given.shape)}: {type(error).__name__}: {str(error).splitlines()[0][:200]}")
            continue
        if all(_length(call) == len(x) for call in calls if isinstance(call.layer, nn.RNNBase)):
            return layout, calls, outputs, given
        reasons.append(f"{tuple(given.shape)}: its recurrent layer sees another number of steps")
    raise UsageError(f"the module's forward does not run on {len(x)} samples of the data ({'; '.join(reasons)})")


def _length(call: Call) -> int:
    x = call.inputs[0]
    if not isinstance(x, Tensor):
        return 0
    return int(x.shape[1] if x.ndim == 3 and call.layer.batch_first else x.shape[0])  # type: ignore[union-attr]


class _Top:
    """The last layer so far, and by which tensors its activation goes; `whole` until only the last step is kept."""

    def __init__(self, x: Tensor, mean: Array, std: Array) -> None:
        self.chain = Chain(mean.astype(np.float64), std.astype(np.float64))
        self.whole = True
        self.names: set[int] = set()
        self._derived: set[int] = set()
        self._steps = x.numel() // x.shape[-1]
        self._rename(x, x)

    def take(self, call: Call) -> None:
        """Judge one call; raises UsageError."""
        mine = [t for t in tensors(call.inputs) if id(t) in self._derived]
        if not mine or call.name in SIDE_WORK:
            return
        self._derived.update(id(t) for t in call.outputs)
        where = f"{call.name} ({type(call.layer).__name__})" if call.layer else f"the function {call.name}"
        if call.layer is None and call.name in MOVES:
            self._move(call)
            return
        strangers = [t for t in mine if id(t) not in self.names]
        if strangers or len(mine) > 1:
            raise UsageError(
                f"{where} cannot be exported: it does not take the output of the layer before it alone, at every step "
                "or at the last one; a bundle is one chain of layers"
            )
        if call.layer is None:
            self._function(call, where)
        else:
            self._layer(call, call.layer, where)
        self._rename(call.outputs[0], call.values[0])

    def _rename(self, tensor: Tensor, value: Tensor) -> None:
        self.names = {id(tensor)}
        self._derived.add(id(tensor))
        self._value = value.reshape(self._steps if self.whole else 1, -1)

    def _move(self, call: Call) -> None:
        """Whole, or its last step: anything else is no name of the activation any more."""
        for moved, value in zip(call.outputs, call.values, strict=True):
            if value.numel() == self._value.numel() and torch.equal(value.reshape(self._value.shape), self._value):
                self.names.add(id(moved))
            elif self.whole and value.numel() == self._value.shape[1] and _close(value, self._value[-1]):
                self.whole = False
                self._rename(moved, value)

    def _layer(self, call: Call, layer: nn.Module, where: str) -> None:
        kind = RECURRENT.get(type(layer))
        if kind is not None:
            self._recurrent(call, layer, kind, where)
        elif type(layer) is nn.Linear:
            self.chain.layers.append(linear(layer.state_dict(), where))
        elif isinstance(layer, nn.LayerNorm):
            self.chain.layers.append(_norm(layer, where))
        elif type(layer) is nn.ReLU:
            self.chain.relu(where)
        elif not isinstance(layer, nn.Identity | nn.Dropout):
            raise UsageError(f"{where} cannot be exported: {REASONS.get(type(layer), ONLY)}")

    def _recurrent(self, call: Call, layer: Any, kind: Any, where: str) -> None:
        if layer.bidirectional:
            raise UsageError(f"{where} cannot be exported: {REVERSE}")
        if layer.proj_size:
            raise UsageError(f"{where} cannot be exported: {PROJECTED}")
        if not self.whole:
            raise UsageError(f"{where} cannot be exported: it takes the last step alone, a stream gives it every step")
        if any(bool((state != 0).any()) for state in tensors(call.inputs[1:])):
            raise UsageError(f"{where} cannot be exported: its initial state is not zero, a stream starts from zero")
        activation: Activation = "relu" if kind == "rnn" and layer.nonlinearity == "relu" else "tanh"
        self.chain.layers += recurrent(kind, activation, layer.state_dict(), where)

    def _function(self, call: Call, where: str) -> None:
        name = call.name.rstrip("_")
        if name == "relu":
            self.chain.relu(where)
        elif name in ("add", "sub", "mul", "div", "true_divide") and not self.chain.layers:
            self._normalise(name, call, where)
        elif name not in ("dropout", "identity"):
            raise UsageError(f"{where} cannot be exported: {REASONS[nn.Softmax] if 'softmax' in name else ONLY}")

    def _normalise(self, name: str, call: Call, where: str) -> None:
        """One step of v = (x - mean) / std, by constants, into mean and std."""
        first, second = call.inputs[0], call.inputs[1]
        swapped = isinstance(second, Tensor) and id(second) in self.names
        if len(call.inputs) > 2 or (swapped and name in ("sub", "div", "true_divide")):
            raise UsageError(f"{where} cannot be exported: normalise as (x - mean) / std")
        other = np.asarray(first if swapped else second, np.float64).reshape(-1)
        if other.size not in (1, len(self.chain.mean)):
            raise UsageError(f"{where} cannot be exported: {other.size} constants came, one or one a channel expected")
        if name in ("add", "sub"):
            self.chain.mean = self.chain.mean + (other if name == "sub" else -other) * self.chain.std
        else:
            self.chain.std = self.chain.std * (1 / other if name == "mul" else other)
        if not (np.isfinite(self.chain.std).all() and (self.chain.std > 0).all()):
            raise UsageError(f"{where} cannot be exported: it divides by {other.tolist()}, a positive std is expected")


def _norm(layer: nn.LayerNorm, where: str) -> Weighted:
    units = layer.normalized_shape
    if len(units) != 1 or layer.eps != EPSILON or layer.weight is None:
        raise UsageError(f"{where} cannot be exported: expected nn.LayerNorm(units) with weights and eps {EPSILON:g}")
    return norm(layer.state_dict(), where)


def _close(a: Tensor, b: Tensor) -> bool:
    return bool(torch.allclose(a.reshape(-1), b.reshape(-1), rtol=1e-6, atol=1e-6))


def _check_numbers(
    module: nn.Module, layout: Any, graph: Graph, sample: Array, normalised: Tensor, whole: bool
) -> None:
    """The module's own forward against our engine on the sample; raises UsageError at the first step that differs."""
    y = np.zeros((len(sample), graph.outputs), np.float32)
    NumpyEngine(graph).run(np.asarray(sample, np.float32), State(graph.states), y)
    lengths = [len(sample)] if whole else sorted({min(n, len(sample)) for n in PREFIXES})
    with torch.no_grad():
        for length in lengths:
            came = tensors(module(layout(normalised[:length])))[0].numpy().reshape(-1, graph.outputs)
            ours = y[:length] if whole else y[length - 1 : length]
            apart = ~close(ours, came) if came.shape == ours.shape else np.ones(1, bool)
            if apart.any():
                step = int(apart.argmax()) if whole and came.shape == ours.shape else length - 1
                raise UsageError(
                    f"the module's own forward gives other logits than its layers in order, at sample {step}: "
                    "something between the layers is not exported"
                )
