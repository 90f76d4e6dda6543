"""The NumPy engine: the readable truth. Float32 (or float64, as a reference) here, the exact integers in integer.py.

Vectorised over streams: every array is (N, width). Slow for one stream on purpose; `native` is the fast one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..arrays import Array
from ..bundle import Bundle
from ..engine import F32, I16, I32, Engine, State, Step
from ..errors import UsageError
from ..graph import Graph, Layer
from .integer import IntegerEngine
from .steps import bind_step, run_by_steps

Float = npt.NDArray[np.floating[Any]]


def require() -> None:
    """Raise if this engine cannot run here; NumPy always can."""


def open_bundle(bundle: Bundle) -> Engine:
    """The engine of a bundle: integers for int8, floats for float32."""
    return open_graph(bundle.graph)


def open_graph(graph: Graph) -> Engine:
    """The same for a graph that is in no bundle yet."""
    return IntegerEngine(graph) if graph.precision == "int8" else NumpyEngine(graph)


class NumpyEngine:
    """Float arithmetic as PyTorch defines it (torch.nn.GRU, LSTM, RNN and Linear; docs of torch 2.x)."""

    name = "numpy"

    def __init__(self, graph: Graph, dtype: type[np.floating[Any]] = np.float32) -> None:
        self.graph = graph
        self._dtype = dtype
        self._mean = graph.arrays["mean"].astype(dtype)
        self._std = graph.arrays["std"].astype(dtype)
        self._layers = [
            (layer, {name: a.astype(dtype) for name, a in graph.layer_arrays(index).items()})
            for index, layer in enumerate(graph.layers)
        ]

    def step(self, x: F32, state: State, out: F32) -> None:
        """One step: x (N, I) -> out (N, C); the state (N, width) is updated in place."""
        y: Float = (x.astype(self._dtype) - self._mean) / self._std
        arrays = iter(state.arrays)
        for layer, w in self._layers:
            mine = [next(arrays) for _ in range(_STATES[layer.kind])]
            y = _FORWARD[layer.kind](layer, w, y, *mine)
        out[...] = y

    def step_int(self, xq: I16, state: State, out: I32) -> None:
        """Refused: a float32 model has no integers."""
        raise UsageError("step_int needs an int8 model, this one is float32: use step")

    def run(self, x: F32, state: State, out: F32) -> None:
        """T steps of one stream: x (T, I) -> out (T, C)."""
        run_by_steps(self, x, state, out)

    def bind(self, state: State) -> Step:
        """A checked step for the hot path of one stream."""
        return bind_step(self, self.graph, state)


def _sigmoid(v: Float) -> Float:
    # 0.5 + 0.5 tanh(v / 2) is the logistic function and cannot overflow
    result: Float = 0.5 + 0.5 * np.tanh(0.5 * v)
    return result


def _dense(layer: Layer, w: dict[str, Array], x: Float) -> Float:
    y: Float = x @ w["w"].T + w["b"]
    return np.maximum(y, 0) if layer.activation == "relu" else y


def _rnn(layer: Layer, w: dict[str, Array], x: Float, h: Float) -> Float:
    v: Float = x @ w["w_ih"].T + w["b_ih"] + h @ w["w_hh"].T + w["b_hh"]
    h[...] = np.tanh(v) if layer.activation == "tanh" else np.maximum(v, 0)
    return h


def _gru(layer: Layer, w: dict[str, Array], x: Float, h: Float) -> Float:
    ax_r, ax_z, ax_n = np.split(x @ w["w_ih"].T + w["b_ih"], 3, axis=1)
    ah_r, ah_z, ah_n = np.split(h @ w["w_hh"].T + w["b_hh"], 3, axis=1)
    r, z = _sigmoid(ax_r + ah_r), _sigmoid(ax_z + ah_z)
    n = np.tanh(ax_n + r * ah_n)
    h[...] = n + z * (h - n)
    return h


def _lstm(layer: Layer, w: dict[str, Array], x: Float, h: Float, c: Float) -> Float:
    i, f, g, o = np.split(x @ w["w_ih"].T + w["b_ih"] + h @ w["w_hh"].T + w["b_hh"], 4, axis=1)
    c[...] = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
    h[...] = _sigmoid(o) * np.tanh(c)
    return h


_FORWARD: dict[str, Any] = {"dense": _dense, "rnn": _rnn, "gru": _gru, "lstm": _lstm}
_STATES = {"dense": 0, "rnn": 1, "gru": 1, "lstm": 2}


def reference_state(graph: Graph, streams: int = 1) -> State:
    """A state in float64 for the float64 reference; same names and shapes."""
    state = State(graph.states, streams)
    state.arrays = tuple(a.astype(np.float64) for a in state.arrays)
    return state
