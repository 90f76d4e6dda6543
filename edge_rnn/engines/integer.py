"""The exact int8 arithmetic in NumPy: the readable, executable form of docs/numeric.md.

Every other engine must give these integers, outputs and states, at every step. Nothing here may be "improved" by a
float or another rounding. Qn is an integer that stands for itself / 2^n. Arrays are (N, width), for N streams.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

from ..arrays import Array, NDArray
from ..engine import F32, I16, I32, State, Step
from ..errors import UsageError
from ..graph import Graph, Layer
from ..value import Value
from . import exact_statistics
from .lut import I64, sigmoid_q24, tanh_q23
from .past import append
from .steps import bind_step, run_by_steps, runs_by_run


class IntegerEngine:
    """An int8 model in NumPy: weights int8, inputs and h int16, states int32, logits int32 Q16."""

    name = "numpy"

    def __init__(self, graph: Graph) -> None:
        if graph.precision != "int8":
            raise UsageError(f"the integer engine runs int8 models, this one is {graph.precision}: quantize it first")
        self.graph = graph
        self._sx = graph.arrays["sx"]
        o = graph.arrays.get("l0.o")
        self._offset = None if o is None else o.astype(np.int64)
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
        if self._offset is not None:
            below = sat16(below - self._offset)
        found = []
        for w in self._layers:
            below = _CELLS[w.layer.kind](w, below, *itertools.islice(states, w.states))
            found.append(below)
        return found

    def run(self, x: F32, state: State, out: F32) -> None:
        """T steps of one stream: x (T, I) -> out (T, C)."""
        run_by_steps(self, x, state, out)

    def runs(self, x: F32, rows: I64, where: I64, state: State, out: F32) -> None:
        """Steps of many streams, one stream after the other."""
        runs_by_run(self, x, rows, where, state, out)

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


class Matrix(Value):
    """An int8 matrix with a multiplier m for each row and one shift S for all."""

    columns: NDArray[np.float64]
    """(inputs, rows). Float64 holds every partial sum exactly (|sum| < 2^31, an obligation), and BLAS is fast."""
    m: I64
    shift: int

    def times(self, v: I64) -> I64:
        """rq(Wq v): (N, inputs) -> (N, rows) Q16."""
        acc = (v.astype(np.float64) @ self.columns).astype(np.int64)
        return round_shift(acc * self.m, self.shift)


_REST = ("b", "bn", "b_z", "b_h", "zeta", "nu", "floor", "m", "S_k")


class Weights(Value):
    """One layer's integers: `matrices` are (ih, hh), or a dense or conv layer's one, or none; `rest` the others."""

    layer: Layer
    states: int
    matrices: tuple[Matrix, ...]
    rest: dict[str, I64]

    @classmethod
    def of(cls, graph: Graph, index: int) -> Weights:
        """Take layer `index` out of an int8 graph."""
        a = graph.layer_arrays(index)
        layer = graph.layers[index]
        others = {name: array for name, array in a.items() if name in _REST}
        rest = {name: array.astype(np.int64) for name, array in others.items()}
        matrices = tuple(_matrix(a, head) for head in layer.exact_matrices)
        return cls(layer, len(layer.states(index, "int8")), matrices, rest)

    def over_input(self, x: I64) -> I64:
        """rq(Wq x) of the first matrix."""
        return self.matrices[0].times(x)

    def over_state(self, h: I64) -> I64:
        """rq(Wq_hh h)."""
        return self.matrices[1].times(h)

    def scaled(self, p: I64) -> I64:
        """A Q16 pre-activation as the int16 activation Q(16 - exponent) of a hidden dense, conv or ReLU layer."""
        assert self.layer.exponent is not None
        a = round_shift(p, self.layer.exponent)
        return sat16(np.maximum(a, 0) if self.layer.activation == "relu" else a)


def _matrix(arrays: dict[str, Array], head: str) -> Matrix:
    columns = np.ascontiguousarray(arrays[head + "w"].T, np.float64)
    return Matrix(columns, arrays[head + "m"].astype(np.int64), int(arrays[head + "S_k"][0]))


def _dense(w: Weights, x: I64) -> I64:
    y = w.over_input(x) + w.rest["b"]
    return y if w.layer.exponent is None else w.scaled(y)


def _rnn(w: Weights, x: I64, h: I16) -> I64:
    p = w.over_input(x) + w.rest["b"] + w.over_state(h.astype(np.int64))
    new = w.scaled(p) if w.layer.activation == "relu" else sat16(round_shift(tanh_q23(p), 8))
    h[...] = new
    return new


def _gru(w: Weights, x: I64, state: I32) -> I64:
    s = state.astype(np.int64)
    ax_r, ax_z, ax_n = np.split(w.over_input(x) + w.rest["b"], 3, axis=1)
    ah_r, ah_z, ah_n = np.split(w.over_state(gru_output(s)), 3, axis=1)
    r = sigmoid_q24(ax_r + ah_r)
    z = sigmoid_q24(ax_z + ah_z)
    n = 32 * tanh_q23(ax_n + mulr24(ah_n + w.rest["bn"], r))  # Q28
    s = n + mulr24(s - n, z)
    state[...] = s
    return gru_output(s)


def gru_output(s: I64) -> I64:
    """The h that follows from the state of a GRU (Q28 -> Q15) or a FastGRNN (Q(29 - e) -> Q(16 - e))."""
    return sat16(round_shift(s, 13))


def _lstm(w: Weights, x: I64, h: I16, cell: I32) -> I64:
    p = w.over_input(x) + w.rest["b"] + w.over_state(h.astype(np.int64))
    i, f, g, o = np.split(p, 4, axis=1)
    c = sat32(round_shift(cell.astype(np.int64) * sigmoid_q24(f) * 8 + sigmoid_q24(i) * tanh_q23(g), 27))
    new = sat16(round_shift(sigmoid_q24(o) * tanh_q23(round_shift(c, 4)), 32))
    cell[...] = c
    h[...] = new
    return new


def _fastgrnn(w: Weights, x: I64, state: I32) -> I64:
    s, e = state.astype(np.int64), w.layer.exponent
    assert e is not None
    a = w.over_input(x) + w.over_state(gru_output(s))
    z = sigmoid_q24(a + w.rest["b_z"])
    gate = mulr24((1 << 24) - z, w.rest["zeta"]) + w.rest["nu"]
    n = round_shift(gate * tanh_q23(a + w.rest["b_h"]), 18 + e)  # Q(29 - e), as s
    s = np.clip(n + mulr24(s, z), -(1 << 29), 1 << 29)
    state[...] = s
    return gru_output(s)


def _window(w: Weights, x: I64, buf: I16) -> I64:
    append(buf, x)
    return buf.astype(np.int64)


def _statistics(w: Weights, x: I64) -> I64:
    rows = x.reshape(len(x), w.layer.size("window"), -1)
    found = exact_statistics.sums(rows, w.rest["floor"]) * w.rest["m"]
    return sat16(round_shift(found, int(w.rest["S_k"][0])))


def _conv(w: Weights, x: I64, *past: I16) -> I64:
    layer = w.layer
    samples = np.concatenate([*past, x], axis=1).reshape(len(x), -1, layer.inputs)
    taps = samples[:, :: layer.size("dilation")].reshape(len(x), -1)
    for buf in past:
        append(buf, x)
    return w.scaled(w.over_input(taps) + w.rest["b"])


_CELLS: dict[str, Callable[..., I64]] = {
    "dense": _dense,
    "rnn": _rnn,
    "gru": _gru,
    "lstm": _lstm,
    "fastgrnn": _fastgrnn,
    "window": _window,
    "statistics": _statistics,
    "conv": _conv,
}
