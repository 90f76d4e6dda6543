"""The float layers beside dense and torch's recurrent ones as ONNX operators: one step, states in and out.

Each takes the layer, its arrays and the name of what comes from below, and gives the name of its output. A past is
sliced from a state's input and the new rows are put behind it: onnx_scan passes a Concat of that form alone.
"""

from __future__ import annotations

from math import sqrt

import numpy as np

from edge_rnn.arrays import Array
from edge_rnn.engines.attention import EPSILON
from edge_rnn.engines.past import VARIANCE_FLOOR
from edge_rnn.graph import Layer
from edge_rnn.layer import STATISTICS

from .onnx_body import Body

Weights = dict[str, Array]


def fastgrnn(body: Body, index: int, layer: Layer, w: Weights, below: str) -> str:
    """Equations of edge_rnn.engines.cells.fastgrnn."""
    p, h = f"l{index}.", f"h{index}_in"
    named = {name: body.constant(p + name, array) for name, array in w.items()}
    one = body.constant("one", np.ones(1, np.float32))
    from_below = body.add("Gemm", [below, named["w_ih"]], p + "below", transB=1)
    a = body.add("Gemm", [h, named["w_hh"], from_below], p + "a", transB=1)
    z = body.add("Sigmoid", [body.add("Add", [a, named["b_z"]], p + "a_z")], p + "z")
    candidate = body.add("Tanh", [body.add("Add", [a, named["b_h"]], p + "a_h")], p + "candidate")
    shut = body.add("Mul", [named["zeta"], body.add("Sub", [one, z], p + "one_less_z")], p + "shut")
    share = body.add("Add", [shut, named["nu"]], p + "share")
    new = body.add("Mul", [share, candidate], p + "new")
    return body.add("Add", [new, body.add("Mul", [z, h], p + "kept")], f"h{index}_out")


def window(body: Body, index: int, layer: Layer, w: Weights, below: str) -> str:
    """The state after the step is the output."""
    return append(body, f"buf{index}", layer.units, layer.inputs, below)


def statistics(body: Body, index: int, layer: Layer, w: Weights, below: str) -> str:
    """Five rows of channels; each is put in its place by a matrix of ones and zeros, which is exact."""
    p, channels = f"l{index}.", layer.inputs // layer.size("window")
    samples = body.reshape(below, (-1, layer.size("window"), channels), p + "samples")
    mean = body.add("ReduceMean", [samples], p + "mean", axes=[1], keepdims=1)
    apart = body.add("Sub", [samples, mean], p + "apart")
    squares = body.add("Mul", [apart, apart], p + "squares")
    variance = body.add("ReduceMean", [squares], p + "variance", axes=[1], keepdims=0)
    floor = body.constant("variance_floor", np.array([VARIANCE_FLOOR], np.float32))
    later = body.slice(samples, 1, layer.size("window"), 1, p + "later")
    earlier = body.slice(samples, 0, layer.size("window") - 1, 1, p + "earlier")
    moved = body.add("Abs", [body.add("Sub", [later, earlier], p + "moved")], p + "distance")
    found = {
        "mean": body.add("Squeeze", [mean, body.constant("second_axis", np.array([1], np.int64))], p + "mean_row"),
        "sd": body.add("Sqrt", [body.add("Add", [variance, floor], p + "floored")], p + "sd"),
        "min": body.add("ReduceMin", [samples], p + "min", axes=[1], keepdims=0),
        "max": body.add("ReduceMax", [samples], p + "max", axes=[1], keepdims=0),
        "change": body.add("ReduceMean", [moved], p + "change", axes=[1], keepdims=0),
    }
    place = np.eye(layer.units, dtype=np.float32).reshape(len(STATISTICS), channels, layer.units)
    together: list[str] = []
    for name, matrix in zip(STATISTICS, place, strict=True):
        put = body.constant(f"{p}place_{name}", matrix)
        together = [body.add("Gemm", [found[name], put, *together], f"{p}with_{name}")]
    return together[0]


def conv(body: Body, index: int, layer: Layer, w: Weights, below: str) -> str:
    """The taps are gathered from the past and the present, then a dense layer."""
    p, inputs, past = f"l{index}.", layer.inputs, layer.past or 0
    taps = below
    if past:
        whole = body.add("Concat", [f"buf{index}_in", below], p + "whole", axis=1)
        body.slice(whole, inputs, (past + 1) * inputs, 1, f"buf{index}_out")
        rows = np.arange(0, past + 1, layer.size("dilation"))
        columns = (rows[:, None] * inputs + np.arange(inputs)).reshape(-1).astype(np.int64)
        taps = body.add("Gather", [whole, body.constant(p + "columns", columns)], p + "taps", axis=1)
    named = [body.constant(p + name, w[name]) for name in ("w", "b")]
    y = body.add("Gemm", [taps, *named], p + "y", transB=1)
    return body.add("Relu", [y], p + "relu") if layer.activation == "relu" else y


def attention(body: Body, index: int, layer: Layer, w: Weights, below: str) -> str:
    """Equations of edge_rnn.engines.attention.attention; scores are (batch, heads, 1, window)."""
    p, d, rows, heads = f"l{index}.", layer.units, layer.size("window"), layer.size("heads")
    width = d // heads
    named = {name: body.constant(p + name, array) for name, array in w.items()}
    normed = _norm(body, below, named["norm_w"], named["norm_b"], p + "normed")
    qkv = body.add("Gemm", [normed, named["w_qkv"], named["b_qkv"]], p + "qkv", transB=1)
    thirds = body.constant(p + "thirds", np.full(3, d, np.int64))
    body.add("Split", [qkv, thirds], p + "q", p + "new_k", p + "new_v", axis=1)
    k = append(body, f"k{index}", rows * d, d, p + "new_k")
    v = append(body, f"v{index}", rows * d, d, p + "new_v")
    none, one, most = (body.constant(f"{p}{n}", np.array(n, np.float32)) for n in (0, 1, rows))
    seen = body.add("Clip", [body.add("Add", [f"seen{index}_in", one], p + "steps"), none, most], f"seen{index}_out")

    query = body.reshape(p + "q", (-1, heads, 1, width), p + "query")
    by_row = {name: body.reshape(ring, (-1, rows, heads, width), p + name) for name, ring in (("k", k), ("v", v))}
    keys = body.add("Transpose", [by_row["k"]], p + "keys", perm=[0, 2, 3, 1])
    values = body.add("Transpose", [by_row["v"]], p + "values", perm=[0, 2, 1, 3])
    scale = body.constant(p + "scale", np.array(1 / sqrt(width), np.float32))
    products = body.add("Mul", [body.add("MatMul", [query, keys], p + "products"), scale], p + "scaled")
    bias = body.constant(p + "bias", w["bias"][:, None])
    scores = body.add("Add", [products, bias], p + "scores")

    row = body.constant(p + "row", np.arange(rows, dtype=np.float32))
    real = body.add("GreaterOrEqual", [body.add("Add", [row, seen], p + "age"), most], p + "real")
    axes = body.constant("middle_axes", np.array([1, 2], np.int64))
    real = body.add("Unsqueeze", [real, axes], p + "real_rows")
    never = body.constant("never", np.array(-np.inf, np.float32))
    share = body.add("Softmax", [body.add("Where", [real, scores, never], p + "masked")], p + "share", axis=-1)
    mixed = body.reshape(body.add("MatMul", [share, values], p + "mixture"), (-1, d), p + "mixed")
    out = body.add("Gemm", [mixed, named["w_out"], named["b_out"]], p + "out", transB=1)
    return body.add("Add", [below, out], p + "y")


def feedforward(body: Body, index: int, layer: Layer, w: Weights, below: str) -> str:
    """Equations of edge_rnn.engines.attention.feedforward."""
    p = f"l{index}."
    named = {name: body.constant(p + name, array) for name, array in w.items()}
    normed = _norm(body, below, named["norm_w"], named["norm_b"], p + "normed")
    up = body.add("Gemm", [normed, named["w_up"], named["b_up"]], p + "up", transB=1)
    hidden = body.add("Relu", [up], p + "hidden")
    down = body.add("Gemm", [hidden, named["w_down"], named["b_down"]], p + "down", transB=1)
    return body.add("Add", [below, down], p + "y")


def norm(body: Body, index: int, layer: Layer, w: Weights, below: str) -> str:
    """LayerNorm over the units."""
    weight, bias = (body.constant(f"l{index}.{name}", w[name]) for name in ("w", "b"))
    return _norm(body, below, weight, bias, f"l{index}.y")


def _norm(body: Body, below: str, weight: str, bias: str, name: str) -> str:
    return body.add("LayerNormalization", [below, weight, bias], name, axis=-1, epsilon=EPSILON)


def append(body: Body, state: str, width: int, row: int, new: str) -> str:
    """The state without its oldest row, and the new one behind it."""
    kept = body.slice(f"{state}_in", row, width, 1, f"{state}.kept")
    return body.add("Concat", [kept, new], f"{state}_out", axis=1)
