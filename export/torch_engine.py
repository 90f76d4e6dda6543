"""PyTorch as an engine: the oracle of a float32 graph at export. Modules of torch, nothing of our arithmetic."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from edge_rnn.arrays import Array
from edge_rnn.engine import F32, I16, I32, I64, State, Step
from edge_rnn.engines.steps import bind_step, runs_by_run
from edge_rnn.errors import UsageError
from edge_rnn.graph import Graph, Layer

from .torch_layers import fresh, load, run


class TorchEngine:
    """The modules of torch_layers with a graph's float32 arrays, whole sequences at once."""

    name = "torch"

    def __init__(self, graph: Graph) -> None:
        if graph.precision != "float32":
            raise UsageError(f"torch runs float32 graphs, this one is {graph.precision}: give it the float one")
        self.graph = graph
        self._mean, self._std = (torch.from_numpy(graph.arrays[name]) for name in ("mean", "std"))
        self._modules = [module_of(layer, graph.layer_arrays(i)) for i, layer in enumerate(graph.layers)]

    def step(self, x: F32, state: State, out: F32) -> None:
        """One step of N streams: x (N, I) -> out (N, C); the state is updated in place."""
        out[...] = self.sequences(x[:, None], state)[:, 0]

    def run(self, x: F32, state: State, out: F32) -> None:
        """T steps of one stream: x (T, I) -> out (T, C), one call over the sequence."""
        out[...] = self.sequences(x[None], state)[0]

    def runs(self, x: F32, rows: I64, where: I64, state: State, out: F32) -> None:
        """Steps of many streams, one stream after the other."""
        runs_by_run(self, x, rows, where, state, out)

    def step_int(self, xq: I16, state: State, out: I32) -> None:
        """Refused: torch has no such integers."""
        raise UsageError("step_int needs an int8 model, torch runs the float one")

    def bind(self, state: State) -> Step:
        """A checked step on that state."""
        return bind_step(self, self.graph, state)

    def sequences(self, x: F32, state: State) -> Array:
        """Logits (N, T, C) of x (N, T, I); the state is updated in place."""
        with torch.no_grad(), one_thread():
            return self._sequences(x, state)

    def _sequences(self, x: F32, state: State) -> Array:
        arrays = iter(state.arrays)
        h = (torch.from_numpy(np.ascontiguousarray(x)) - self._mean) / self._std
        for layer, module in zip(self.graph.layers, self._modules, strict=True):
            mine = [next(arrays) for _ in layer.states(0, "float32")]
            h, after = run(layer, module, h, [torch.from_numpy(array.copy()) for array in mine])
            for array, new in zip(mine, after, strict=True):
                array[...] = new.numpy()
        return np.asarray(h.numpy())


@contextmanager
def one_thread() -> Iterator[None]:
    """A small network gains nothing from more, and on a busy machine they wait for each other (measured: 20 times)."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def module_of(layer: Layer, w: dict[str, Array]) -> nn.Module:
    """One layer of a graph as the module it came from."""
    module = fresh(layer)
    load(layer, module, w)
    return module.eval()
