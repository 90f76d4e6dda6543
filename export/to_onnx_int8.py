"""The exact integers of docs/numeric.md as standard ONNX operators: the same bits as every other engine.

A proof that anyone can run, not a fast path. Everything between two matrix products is int64. ONNX has no arithmetic
shift: `>>` is `Div` of a value that an offset made non-negative, and the offset leaves through the next constant.
Offsets come from bounds, never from trial. A name with a trailing 1 below is a value that still carries its offset.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import TensorProto

from edge_rnn.arrays import Array
from edge_rnn.engines.lut import TANH_KNOTS
from edge_rnn.graph import Graph, Layer
from edge_rnn.layer import STATISTICS

from .onnx_body import Body
from .to_onnx_layers import append

FLAT = 1 << 20
"""The table spans u = p + 2^20 in [0, 2^21]; beyond, tanh(p / 2) is flat."""


def write_exact(graph: Graph, body: Body) -> None:
    """Write an int8 graph: x -> y_q (and y = y_q / 65536), states in and out."""
    w = Writer(body)
    sx = body.constant("sx", graph.arrays["sx"])
    rounded = body.add("Round", [body.add("Div", ["x", sx], "x_scaled")], "x_rounded")
    ends = [body.constant(f"x_{end}", np.array(v, np.float32)) for end, v in (("min", -32768), ("max", 32767))]
    below = body.add("Cast", [body.add("Clip", [rounded, *ends], "x_clipped")], "x_q", to=TensorProto.INT32)
    if "l0.o" in graph.arrays:
        centred = w.op("Sub", w.wide(below), w.vector("o", graph.arrays["l0.o"]))
        below = w.operand(w.op("Clip", centred, -32768, 32767))
    for index, layer in enumerate(graph.layers):
        w.prefix = f"l{index}."
        arrays = graph.layer_arrays(index)
        states = [state.name for state in layer.states(index, "int8")]
        below = _LAYERS[layer.kind](w, layer, arrays, below, *states)
    body.add("Cast", [below], "y_q", to=TensorProto.INT32)
    as_float = body.add("Cast", ["y_q"], "y_q_float", to=TensorProto.FLOAT)
    body.add("Div", [as_float, body.constant("one_q16", np.array(65536, np.float32))], "y")


class Writer:
    """Integer arithmetic on named int64 tensors; each method appends nodes and gives the result's name."""

    def __init__(self, body: Body) -> None:
        self.body = body
        self.prefix = ""

    def op(self, operator: str, *inputs: str | int, **attributes: Any) -> str:
        """One node; an integer among the inputs becomes a constant."""
        names = [self.number(value) if isinstance(value, int) else value for value in inputs]
        return self.body.add(operator, names, f"{self.prefix}n{len(self.body.nodes)}", **attributes)

    def number(self, value: int) -> str:
        """A scalar int64 constant, once."""
        return self.body.constant(f"i{value}", np.array(value, np.int64))

    def vector(self, name: str, values: Array) -> str:
        """An int64 constant of this layer."""
        return self.body.constant(self.prefix + name, values.astype(np.int64))

    def wide(self, name: str) -> str:
        """As int64."""
        return self.op("Cast", name, to=TensorProto.INT64)

    def split(self, value: str, *sizes: int) -> list[str]:
        """Columns apart."""
        names = [f"{self.prefix}n{len(self.body.nodes)}_{part}" for part in range(len(sizes))]
        widths = self.body.constant("x".join(["split", *map(str, sizes)]), np.array(sizes, np.int64))
        self.body.add("Split", [value, widths], *names, axis=1)
        return names

    def product(self, arrays: dict[str, Array], part: str, v: str) -> tuple[str, int]:
        """rq(Wq v) + offset, and the offset; v is int32."""
        matrix, m = arrays[part + "w"], arrays[part + "m"].astype(np.int64)
        S = int(arrays[part + "S_k"][0])
        stored = self.body.constant(f"{self.prefix}{part}w", np.ascontiguousarray(matrix.T))
        multipliers = self.body.constant(f"{self.prefix}{part}m", arrays[part + "m"])
        acc = self.op("MatMul", v, self.op("Cast", stored, to=TensorProto.INT32))
        scaled = self.op("Mul", self.wide(acc), self.wide(multipliers))
        return self.shifted(scaled, S, 32768 * int((np.abs(matrix.astype(np.int64)).sum(axis=1) * m).max()))

    def shifted(self, scaled: str, S: int, bound: int) -> tuple[str, int]:
        """rs(v, S) + offset, and the offset; v within +-bound."""
        offset = 1
        while offset << S < bound:
            offset *= 2
        half = 1 << (S - 1)
        if (offset << S) + half + bound < 1 << 63:
            return self.op("Div", self.op("Add", scaled, (offset << S) + half), 1 << S), offset
        # Wide rows of a tiny gain (S near 62) leave no room for an offset: floor by Mod, which has the divisor's sign.
        raised = self.op("Add", scaled, half)
        return self.op("Div", self.op("Sub", raised, self.op("Mod", raised, 1 << S)), 1 << S), 0

    def isqrt(self, n: str) -> str:
        """floor(sqrt(n)) of 0 <= n < 2^58: double's is off by one at most."""
        guess = self.op("Floor", self.op("Sqrt", self.op("Cast", n, to=TensorProto.DOUBLE)))
        root = self.wide(guess)
        less, more = self.op("Sub", root, 1), self.op("Add", root, 1)
        fits = [self.wide(self.op("GreaterOrEqual", n, self.op("Mul", r, r))) for r in (root, more)]
        return self.op("Add", self.op("Add", less, fits[0]), fits[1])

    def sigmoid(self, u: str) -> str:
        """sigma(p) Q24 of u = p + 2^20; of u = 2p + 2^20 it is tanh(p) + 2^23 (Q23)."""
        D, C = _table()
        rise, start = self.body.constant("table_D", D.astype(np.int32)), self.body.constant("table_C", C)
        u = self.op("Clip", u, 0, 2 * FLAT)
        j = self.op("Div", u, 4096)
        line = self.op("Mul", self.wide(self.op("Gather", rise, j, axis=0)), u)
        return self.op("Div", self.op("Add", self.op("Gather", start, j, axis=0), line), 4096)

    def mulr24(self, a: str, q: str) -> str:
        """Multiply by a Q24 number, giving the product + 2^32; |a| < 2^32 and 0 <= q <= 2^24."""
        return self.op("Div", self.op("Add", self.op("Mul", a, q), (1 << 56) + (1 << 23)), 1 << 24)

    def clipped(self, v1: str, low: int, high: int, offset: int) -> str:
        """Saturate a value that carries `offset`, and take the offset away."""
        return self.op("Sub", self.op("Clip", v1, low + offset, high + offset), offset)

    def sat16(self, v1: str, offset: int) -> str:
        """The same to int16."""
        return self.clipped(v1, -32768, 32767, offset)

    def state(self, v: str, name: str, dtype: int) -> None:
        """Give a state out."""
        self.body.add("Cast", [v], f"{name}_out", to=dtype)

    def operand(self, v: str) -> str:
        """As the int32 operand of the next matrix product."""
        return self.op("Cast", v, to=TensorProto.INT32)


def _table() -> tuple[Array, Array]:
    """(D, C), 513 int64 each: 2^23 + f(p, 12) = (C[j] + D[j] u) >> 12 with u = p + 2^20, j = u >> 12.

    The lower half is the odd extension: there the line runs backwards, and half rounds the other way.
    """
    rise = np.diff(TANH_KNOTS)
    low, up = np.arange(256), np.arange(256, 512)
    below = 4096 * ((1 << 23) - TANH_KNOTS[255 - low]) - rise[255 - low] * 4096 * (low + 1) + 2047
    above = 4096 * ((1 << 23) + TANH_KNOTS[up - 256]) - rise[up - 256] * 4096 * up + 2048
    D = np.concatenate([rise[::-1], rise, [0]])
    C = np.concatenate([below, above, [4096 << 24]])
    return D, C


def _dense(w: Writer, layer: Layer, a: dict[str, Array], below: str) -> str:
    y1, offset = w.product(a, "", below)
    b = a["b"].astype(np.int64)
    if layer.exponent is None:
        return w.op("Add", y1, w.vector("b", b - offset))
    return _scaled(w, layer, y1, b - offset)


def _rnn(w: Writer, layer: Layer, a: dict[str, Array], below: str, h_name: str) -> str:
    ax1, ax_offset = w.product(a, "ih_", below)
    ah1, ah_offset = w.product(a, "hh_", w.operand(f"{h_name}_in"))
    p1, b = w.op("Add", ax1, ah1), a["b"].astype(np.int64) - ax_offset - ah_offset
    if layer.activation == "relu":
        operand = _scaled(w, layer, p1, b)
    else:
        tanh1 = w.sigmoid(w.op("Add", w.op("Mul", p1, 2), w.vector("b", 2 * b + FLAT)))
        operand = w.operand(w.sat16(w.op("Div", w.op("Add", tanh1, 128), 256), 1 << 15))
    w.state(operand, h_name, TensorProto.INT16)
    return operand


def _scaled(w: Writer, layer: Layer, p1: str, b: Array) -> str:
    """(p + b + 2^(e-1)) >> e as int16 (|p + b| < 2^30); ReLU needs no offset: what is below 0 is clipped anyway."""
    assert layer.exponent is not None
    e, offset = layer.exponent, 0 if layer.activation == "relu" else 1 << 30
    v1 = w.op("Div", w.op("Add", p1, w.vector("b", b + offset + (1 << (e - 1)))), 1 << e)
    return w.operand(w.clipped(v1, 0 if layer.activation == "relu" else -32768, 32767, offset >> e))


def _gru(w: Writer, layer: Layer, a: dict[str, Array], below: str, s_name: str) -> str:
    H, b = layer.units, a["b"].astype(np.int64)
    s1 = w.op("Add", w.wide(f"{s_name}_in"), 1 << 28)
    ax1, ax_offset = w.product(a, "ih_", below)
    ah1, ah_offset = w.product(a, "hh_", _gru_output(w, s1))
    (ax_rz, ax_n), (ah_rz, ah_n) = w.split(ax1, 2 * H, H), w.split(ah1, 2 * H, H)
    p_rz = w.op("Add", w.op("Add", ax_rz, ah_rz), w.vector("b_rz", b[: 2 * H] - ax_offset - ah_offset + FLAT))
    r, z = w.split(w.sigmoid(p_rz), H, H)
    inner1 = w.mulr24(w.op("Add", ah_n, w.vector("bn", a["bn"].astype(np.int64) - ah_offset)), r)
    p_n = w.op("Mul", w.op("Add", ax_n, inner1), 2)
    b_n = 2 * (b[2 * H :] - ax_offset - (1 << 32)) + FLAT
    n1 = w.op("Mul", w.sigmoid(w.op("Add", p_n, w.vector("b_n", b_n))), 32)  # n28 + 2^28
    new1 = w.op("Sub", w.op("Add", n1, w.mulr24(w.op("Sub", s1, n1), z)), 1 << 32)
    w.state(w.op("Sub", new1, 1 << 28), s_name, TensorProto.INT32)
    return _gru_output(w, new1)


def _gru_output(w: Writer, s1: str, offset: int = 1 << 28) -> str:
    """H of s + offset."""
    return w.operand(w.sat16(w.op("Div", w.op("Add", s1, 4096), 8192), offset >> 13))


def _fastgrnn(w: Writer, layer: Layer, a: dict[str, Array], below: str, s_name: str) -> str:
    assert layer.exponent is not None
    e, s = layer.exponent, w.wide(f"{s_name}_in")
    ax1, ax_offset = w.product(a, "ih_", below)
    ah1, ah_offset = w.product(a, "hh_", _gru_output(w, w.op("Add", s, 1 << 29), 1 << 29))
    a1, offset = w.op("Add", ax1, ah1), ax_offset + ah_offset
    b_z, b_h = (a[name].astype(np.int64) - offset for name in ("b_z", "b_h"))
    z = w.sigmoid(w.op("Add", a1, w.vector("b_z", b_z + FLAT)))
    tanh1 = w.sigmoid(w.op("Add", w.op("Mul", a1, 2), w.vector("b_h", 2 * b_h + FLAT)))
    gate1 = w.mulr24(w.op("Sub", 1 << 24, z), w.vector("zeta", a["zeta"]))
    gate = w.op("Add", gate1, w.vector("nu", a["nu"].astype(np.int64) - (1 << 32)))
    product = w.op("Mul", gate, w.op("Sub", tanh1, 1 << 23))  # within 2^48
    n1 = w.op("Div", w.op("Add", product, (1 << 48) + (1 << (17 + e))), 1 << (18 + e))  # n + 2^(30-e)
    both1 = w.op("Add", n1, w.mulr24(s, z))
    new = w.clipped(both1, -(1 << 29), 1 << 29, (1 << 32) + (1 << (30 - e)))
    w.state(new, s_name, TensorProto.INT32)
    return _gru_output(w, w.op("Add", new, 1 << 29), 1 << 29)


def _window(w: Writer, layer: Layer, a: dict[str, Array], below: str, buf: str) -> str:
    return w.operand(append(w.body, buf, layer.units, layer.inputs, w.op("Cast", below, to=TensorProto.INT16)))


def _statistics(w: Writer, layer: Layer, a: dict[str, Array], below: str) -> str:
    window, body = layer.size("window"), w.body
    channels = layer.inputs // window
    rows = body.reshape(w.wide(below), (-1, window, channels), w.prefix + "rows")
    over_rows = body.constant("second_axis", np.array([1], np.int64))
    total, squares = (w.op("ReduceSum", v, over_rows) for v in (rows, w.op("Mul", rows, rows)))
    raised = w.op("Mul", w.op("Add", squares, w.vector("floor", a["floor"])), window)
    apart = w.op("Sub", raised, w.op("Mul", total, total))
    later = body.slice(rows, 1, window, 1, w.prefix + "later")
    earlier = body.slice(rows, 0, window - 1, 1, w.prefix + "earlier")
    found = {
        "mean": total,
        "sd": w.op("Div", w.op("Add", w.isqrt(w.op("Mul", apart, 4)), 1), 2),
        "min": w.op("Mul", w.op("ReduceMin", rows, axes=[1]), window),
        "max": w.op("Mul", w.op("ReduceMax", rows, axes=[1]), window),
        "change": w.op("ReduceSum", w.op("Abs", w.op("Sub", later, earlier)), over_rows),
    }
    m = a["m"].astype(np.int64).reshape(len(STATISTICS), channels)
    together = ""
    for row, name in enumerate(STATISTICS):  # (N, 1, C) times its row of m, the others 0: (N, 5, C)
        alone = np.where(np.arange(len(STATISTICS))[:, None] == row, m, 0)
        scaled = w.op("Mul", found[name], w.vector(f"m_{name}", alone))
        together = w.op("Add", together, scaled) if together else scaled
    v1, offset = w.shifted(together, int(a["S_k"][0]), 65536 * window * int(m.max()))
    return body.reshape(w.operand(w.sat16(v1, offset)), (-1, layer.units), w.prefix + "outputs")


def _conv(w: Writer, layer: Layer, a: dict[str, Array], below: str, *bufs: str) -> str:
    inputs, past = layer.inputs, layer.past or 0
    for buf in bufs:
        new = w.op("Cast", below, to=TensorProto.INT16)
        whole = w.op("Concat", f"{buf}_in", new, axis=1)
        w.body.slice(whole, inputs, (past + 1) * inputs, 1, f"{buf}_out")
        rows = np.arange(0, past + 1, layer.size("dilation"))
        columns = (rows[:, None] * inputs + np.arange(inputs)).reshape(-1)
        below = w.operand(w.op("Gather", whole, w.vector("columns", columns), axis=1))
    return _dense(w, layer, a, below)


def _lstm(w: Writer, layer: Layer, a: dict[str, Array], below: str, h_name: str, c_name: str) -> str:
    H = layer.units
    ax1, ax_offset = w.product(a, "ih_", below)
    ah1, ah_offset = w.product(a, "hh_", w.operand(f"{h_name}_in"))
    # i, f, o are sigma(p); g is tanh(p) = sigma of 2p, moved: the table serves all four gates at once.
    slope = np.repeat([1, 1, 2, 1], H)
    b = slope * (a["b"].astype(np.int64) - ax_offset - ah_offset) + FLAT
    p = w.op("Mul", w.op("Add", ax1, ah1), w.vector("slope", slope))
    i, f, g1, o = w.split(w.sigmoid(w.op("Add", p, w.vector("b", b))), H, H, H, H)
    kept = w.op("Mul", w.op("Mul", w.wide(f"{c_name}_in"), f), 8)
    added = w.op("Mul", i, w.op("Sub", g1, 1 << 23))
    total = w.op("Add", w.op("Add", kept, added), (1 << 59) + (1 << 26))
    c1 = w.op("Clip", w.op("Div", total, 1 << 27), (1 << 32) - (1 << 31), (1 << 32) + (1 << 31) - 1)  # c + 2^32
    w.state(w.op("Sub", c1, 1 << 32), c_name, TensorProto.INT32)
    p_c = w.op("Mul", w.op("Div", w.op("Add", c1, 8), 16), 2)  # 2 ((c + 8) >> 4) + 2^29
    tanh = w.op("Sub", w.sigmoid(w.op("Add", p_c, FLAT - (1 << 29))), 1 << 23)
    h1 = w.op("Div", w.op("Add", w.op("Mul", o, tanh), (1 << 48) + (1 << 31)), 1 << 32)
    operand = w.operand(w.sat16(h1, 1 << 16))
    w.state(operand, h_name, TensorProto.INT16)
    return operand


_LAYERS: dict[str, Callable[..., str]] = {
    "dense": _dense,
    "rnn": _rnn,
    "gru": _gru,
    "lstm": _lstm,
    "fastgrnn": _fastgrnn,
    "window": _window,
    "statistics": _statistics,
    "conv": _conv,
}
