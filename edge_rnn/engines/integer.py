"""The exact int8 arithmetic in NumPy: the readable, executable form of docs/numeric.md.

Every other engine must give these integers, outputs and states, at every step. Nothing here may be "improved" by a
float or another rounding. Qn is an integer that stands for itself / 2^n. Arrays are (N, width), for N streams.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..arrays import Array
from ..engine import F32, I16, I32, State, Step
from ..errors import UsageError
from ..graph import Graph, Layer
from .lut import I64, sigmoid_q24, tanh_q23
from .steps import bind_step, run_by_steps


class IntegerEngine:
    """An int8 model in NumPy: weights int8, inputs and h int16, states int32, logits int32 Q16."""

    name = "numpy"

    def __init__(self, graph: Graph) -> None:
        if graph.precision != "int8":
            raise UsageError(f"the integer engine runs int8 models, this one is {graph.precision}: quantize it first")
        self.graph = graph
        self._sx = graph.arrays["sx"]
        self._layers = [Weights.of(graph, index) for index in range(len(graph.layers))]

    def step(self, x: F32, state: State, out: F32) -> None:
        """One step: x (N, I) -> out (N, C), out = logits / 65536; the state (N, width) is updated in place."""
        logits = np.empty(out.shape, np.int32)
        self.step_int(quantize_input(x, self._sx), state, logits)
        out[...] = logits / 65536

    def step_int(self, xq: I16, state: State, out: I32) -> None:
        """One step in integers: xq (N, I) int16 -> out (N, C) int32 Q16; the state is updated in place."""
        out[...] = self.activations(xq, state)[-1]

    def activations(self, xq: I16, state: State) -> list[I64]:
        """The same step, giving what every layer hands to the next: h, a hidden layer's activation, the logits."""
        states = iter(state.arrays)
        below: I64 = xq.astype(np.int64)
        found = []
        for w in self._layers:
            cell, count = _CELLS[w.layer.kind]
            below = cell(w, below, *(next(states) for _ in range(count)))
            found.append(below)
        return found

    def run(self, x: F32, state: State, out: F32) -> None:
        """T steps of one stream: x (T, I) -> out (T, C)."""
        run_by_steps(self, x, state, out)

    def bind(self, state: State) -> Step:
        """A checked step for the hot path of one stream."""
        return bind_step(self, self.graph, state)


def quantize_input(x: F32, sx: F32) -> I16:
    """x_q = sat16(rint(x / sx)): one float32 division (never a multiplication by 1 / sx), half to even, saturate."""
    with np.errstate(over="ignore"):
        codes = np.rint(np.divide(x, sx, dtype=np.float32))
    return np.clip(codes, -32768, 32767).astype(np.int16)


def round_shift(v: I64, shift: int) -> I64:
    """Half up: floor(v / 2^shift + 1/2), the one rounding rule of this arithmetic."""
    return (v + (1 << (shift - 1))) >> shift


def mulr24(a: I64, q: I64) -> I64:
    """Multiply by a Q24 number."""
    return round_shift(a * q, 24)


def sat16(v: I64) -> I64:
    """Saturate to int16."""
    return np.clip(v, -(1 << 15), (1 << 15) - 1)


def sat32(v: I64) -> I64:
    """Saturate to int32."""
    return np.clip(v, -(1 << 31), (1 << 31) - 1)


@dataclass(frozen=True)
class Matrix:
    """An int8 matrix with a multiplier m for each row and one shift S for all."""

    columns: npt.NDArray[np.float64]
    """(inputs, rows). Float64 holds every partial sum exactly (|sum| < 2^31, an obligation), and BLAS is fast."""
    m: I64
    shift: int

    def times(self, v: I64) -> I64:
        """rq(Wq v): (N, inputs) -> (N, rows) Q16."""
        acc = (v.astype(np.float64) @ self.columns).astype(np.int64)
        return round_shift(acc * self.m, self.shift)


@dataclass(frozen=True)
class Weights:
    """One layer's integers. A dense layer has `ih` alone."""

    layer: Layer
    ih: Matrix
    hh: Matrix | None
    b: I64
    bn: I64

    @classmethod
    def of(cls, graph: Graph, index: int) -> Weights:
        """Take layer `index` out of an int8 graph."""
        a = graph.layer_arrays(index)
        dense = graph.layers[index].kind == "dense"
        hh = None if dense else _matrix(a, "hh_")
        bn = a["bn"].astype(np.int64) if "bn" in a else np.zeros(0, np.int64)
        return cls(graph.layers[index], _matrix(a, "" if dense else "ih_"), hh, a["b"].astype(np.int64), bn)

    def over_state(self, h: I64) -> I64:
        """rq(Wq_hh h)."""
        assert self.hh is not None
        return self.hh.times(h)

    def scaled(self, p: I64) -> I64:
        """A Q16 pre-activation as the int16 activation Q(16 - exponent) of a hidden dense or a ReLU layer."""
        assert self.layer.exponent is not None
        a = round_shift(p, self.layer.exponent)
        return sat16(np.maximum(a, 0) if self.layer.activation == "relu" else a)


def _matrix(arrays: dict[str, Array], head: str) -> Matrix:
    columns = np.ascontiguousarray(arrays[head + "w"].T, np.float64)
    return Matrix(columns, arrays[head + "m"].astype(np.int64), int(arrays[head + "S_k"][0]))


def _dense(w: Weights, x: I64) -> I64:
    y = w.ih.times(x) + w.b
    return y if w.layer.exponent is None else w.scaled(y)


def _rnn(w: Weights, x: I64, h: I16) -> I64:
    p = w.ih.times(x) + w.b + w.over_state(h.astype(np.int64))
    new = w.scaled(p) if w.layer.activation == "relu" else sat16(round_shift(tanh_q23(p), 8))
    h[...] = new
    return new


def _gru(w: Weights, x: I64, state: I32) -> I64:
    s = state.astype(np.int64)
    ax_r, ax_z, ax_n = np.split(w.ih.times(x) + w.b, 3, axis=1)
    ah_r, ah_z, ah_n = np.split(w.over_state(gru_output(s)), 3, axis=1)
    r = sigmoid_q24(ax_r + ah_r)
    z = sigmoid_q24(ax_z + ah_z)
    n = 32 * tanh_q23(ax_n + mulr24(ah_n + w.bn, r))  # Q28
    s = n + mulr24(s - n, z)
    state[...] = s
    return gru_output(s)


def gru_output(s: I64) -> I64:
    """The h (Q15) that follows from a GRU's state (Q28)."""
    return sat16(round_shift(s, 13))


def _lstm(w: Weights, x: I64, h: I16, cell: I32) -> I64:
    p = w.ih.times(x) + w.b + w.over_state(h.astype(np.int64))
    i, f, g, o = np.split(p, 4, axis=1)
    c = sat32(round_shift(cell.astype(np.int64) * sigmoid_q24(f) * 8 + sigmoid_q24(i) * tanh_q23(g), 27))
    new = sat16(round_shift(sigmoid_q24(o) * tanh_q23(round_shift(c, 4)), 32))
    cell[...] = c
    h[...] = new
    return new


_CELLS: dict[str, tuple[Callable[..., I64], int]] = {
    "dense": (_dense, 0),
    "rnn": (_rnn, 1),
    "gru": (_gru, 1),
    "lstm": (_lstm, 2),
}
"""Layer kind -> its step and how many states it has."""
