"""The NumPy engine: the readable truth. Float32 (or float64, as a reference) here, the exact integers in integer.py.

The layers' equations stand in cells.py, past.py and attention.py; this file runs them in order.
Vectorised over streams: every array is (N, width). Slow for one stream on purpose; `native` is the fast one.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..arrays import Array
from ..bundle import Bundle
from ..engine import F32, I16, I32, I64, Engine, State, Step
from ..errors import UsageError
from ..graph import Graph
from . import attention, cells, past
from .cells import Float
from .integer import IntegerEngine
from .steps import bind_step, run_by_steps, runs_by_run


def require() -> None:
    """Raise if this engine cannot run here; NumPy always can."""


def open_bundle(bundle: Bundle) -> Engine:
    """The engine of a bundle: integers for int8, floats for float32."""
    return open_graph(bundle.graph)


def open_graph(graph: Graph) -> Engine:
    """The same for a graph that is in no bundle yet."""
    return IntegerEngine(graph) if graph.precision == "int8" else NumpyEngine(graph)


class NumpyEngine:
    """Every float layer; the cells as PyTorch defines them."""

    name = "numpy"

    def __init__(self, graph: Graph, dtype: type[np.floating[Any]] = np.float32) -> None:
        self.graph = graph
        self._dtype = dtype
        self._mean = graph.arrays["mean"].astype(dtype)
        self._std = graph.arrays["std"].astype(dtype)
        self._layers = [
            (
                functools.partial(_FORWARD[layer.kind], layer, _as(dtype, graph.layer_arrays(index))),
                len(layer.states(index, "float32")),
            )
            for index, layer in enumerate(graph.layers)
        ]

    def step(self, x: F32, state: State, out: F32) -> None:
        """One step: x (N, I) -> out (N, C); the state (N, width) is updated in place."""
        *_, y = self._through(x, state)
        out[...] = y

    def activations(self, x: F32, state: State) -> list[Float]:
        """The same step, giving what every layer hands to the next; copies, for a state may be handed on."""
        return [y.copy() for y in self._through(x, state)]

    def _through(self, x: F32, state: State) -> Iterator[Float]:
        y: Float = (x.astype(self._dtype) - self._mean) / self._std
        arrays = iter(state.arrays)
        for forward, states in self._layers:
            y = forward(y, *itertools.islice(arrays, states))
            yield y

    def step_int(self, xq: I16, state: State, out: I32) -> None:
        """Refused: a float32 model has no integers."""
        raise UsageError("step_int needs an int8 model, this one is float32: use step")

    def run(self, x: F32, state: State, out: F32) -> None:
        """T steps of one stream: x (T, I) -> out (T, C)."""
        run_by_steps(self, x, state, out)

    def runs(self, x: F32, rows: I64, where: I64, state: State, out: F32) -> None:
        """Steps of many streams, one stream after the other."""
        runs_by_run(self, x, rows, where, state, out)

    def bind(self, state: State) -> Step:
        """A checked step for the hot path of one stream."""
        return bind_step(self, self.graph, state)


_FORWARD: dict[str, Callable[..., Float]] = {
    "dense": cells.dense,
    "rnn": cells.rnn,
    "gru": cells.gru,
    "lstm": cells.lstm,
    "fastgrnn": cells.fastgrnn,
    "window": past.window,
    "statistics": past.statistics,
    "conv": past.conv,
    "attention": attention.attention,
    "feedforward": attention.feedforward,
    "norm": attention.norm,
}


def _as(dtype: type[np.floating[Any]], arrays: dict[str, Array]) -> dict[str, Array]:
    return {name: array.astype(dtype) for name, array in arrays.items()}


def reference_state(graph: Graph, streams: int = 1) -> State:
    """A state in float64 for the float64 reference; same names and shapes."""
    state = State(graph.states, streams)
    state.arrays = tuple(a.astype(np.float64) for a in state.arrays)
    return state
