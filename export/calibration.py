"""Real samples that quantization looks at: how large they get, and what the float network does on them.

The state restarts at every stretch. Nothing here changes a graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from edge_rnn.arrays import Array
from edge_rnn.engine import State
from edge_rnn.engines.numpy import NumpyEngine, reference_state
from edge_rnn.errors import UsageError
from edge_rnn.graph import Graph

F64 = npt.NDArray[np.float64]
HEADROOM = 1.25
"""A calibration activation times this still fits int16."""


@dataclass(frozen=True)
class Calibration:
    """Samples (T, I) float32 in physical units; `starts` are the offsets where a contiguous stretch begins.

    `max_abs` (I,) is max |x| over all training data (default: over the samples). `lsb` (I,) is the value of one
    code, given only where all training data are int16 codes times it.
    """

    samples: Array = field(repr=False)
    starts: Sequence[int] = (0,)
    max_abs: Sequence[float] | None = None
    lsb: Sequence[float] | None = None

    def __post_init__(self) -> None:
        x = self.samples
        if x.ndim != 2 or len(x) < 1 or x.dtype != np.float32 or not np.isfinite(x).all():
            raise UsageError(f"calibration expects finite float32 samples (T, I), got {x.dtype} {x.shape}")
        bounds = np.array([*self.starts, len(x)])
        if bounds[0] != 0 or (np.diff(bounds) <= 0).any():
            raise UsageError(f"calibration stretches start at {list(self.starts)}: expected 0 first, then rising")
        for name, values in (("max_abs", self.max_abs), ("lsb", self.lsb)):
            if values is not None and not (len(values) == x.shape[1] and np.isfinite(values).all()):
                raise UsageError(f"calibration {name} is {values}, expected {x.shape[1]} finite numbers")

    @property
    def reach(self) -> F64:
        """Max |x| of each channel, over the training data where it is known."""
        return np.abs(self.samples).max(axis=0).astype(np.float64) if self.max_abs is None else np.array(self.max_abs)

    def blocks(self, longest: int) -> tuple[Array, npt.NDArray[np.bool_]]:
        """Stretches side by side: x (T, N, I) and valid (T, N), stretches cut to at most `longest` samples."""
        cuts = [
            (first, min(first + longest, stop))
            for start, stop in pairwise([*self.starts, len(self.samples)])
            for first in range(start, stop, longest)
        ]
        steps = max(stop - start for start, stop in cuts)
        x = np.zeros((steps, len(cuts), self.samples.shape[1]), np.float32)
        valid = np.zeros((steps, len(cuts)), bool)
        for n, (start, stop) in enumerate(cuts):
            x[: stop - start, n] = self.samples[start:stop]
            x[stop - start :, n] = self.samples[stop - 1]
            valid[: stop - start, n] = True
        return x, valid


@dataclass(frozen=True)
class Trace:
    """What a float64 run gave: per layer its activation (T, N, units); per LSTM layer the forget gate, else None."""

    activations: list[F64]
    forget: list[F64 | None]

    @property
    def logits(self) -> F64:
        """(T, N, C)."""
        return self.activations[-1]


def trace(graph: Graph, x: Array) -> Trace:
    """Run a float32 graph in float64 over x (T, N, I) from the zero state and keep every layer's activation."""
    engine, state = NumpyEngine(graph, np.float64), reference_state(graph, x.shape[1])
    steps = [engine.activations(sample, state) for sample in x]
    found: list[F64] = [np.stack(column) for column in zip(*steps, strict=True)]
    below = (x.astype(np.float64) - graph.arrays["mean"]) / graph.arrays["std"]
    forget: list[F64 | None] = []
    for index, (layer, above) in enumerate(zip(graph.layers, found, strict=True)):
        forget.append(_forget_gate(graph, index, below, before(above, 1)) if layer.kind == "lstm" else None)
        below = above
    return Trace(found, forget)


def before(values: F64, steps: int) -> F64:
    """What (T, N, width) were `steps` steps ago; zeros before the first."""
    shifted: F64 = np.concatenate([np.zeros_like(values[:steps]), values[:-steps]])[: len(values)] if steps else values
    return shifted


def _forget_gate(graph: Graph, index: int, below: F64, h: F64) -> F64:
    w, units = {n: a.astype(np.float64) for n, a in graph.layer_arrays(index).items()}, graph.layers[index].units
    rows = slice(units, 2 * units)
    p = below @ w["w_ih"][rows].T + w["b_ih"][rows] + h @ w["w_hh"][rows].T + w["b_hh"][rows]
    gate: F64 = 0.5 + 0.5 * np.tanh(0.5 * p)
    return gate


def run_integers(graph: Graph, x: Array) -> tuple[list[Array], dict[str, Array]]:
    """Run an int8 graph over x (T, N, I): every layer's integers (T, N, units), and the states (T, N, width)."""
    from edge_rnn.engines.integer import IntegerEngine, quantize_input

    engine, state = IntegerEngine(graph), State(graph.states, x.shape[1])
    activations, states = [], []
    for codes in quantize_input(x, graph.arrays["sx"]):
        activations.append(engine.activations(codes, state))
        states.append([a.copy() for a in state.arrays])
    names = [spec.name for spec in graph.states]
    stacked = [np.stack(column) for column in zip(*activations, strict=True)]
    return stacked, dict(zip(names, (np.stack(column) for column in zip(*states, strict=True)), strict=True))
