"""One layer's arrays and its const struct as C text, in the layout of `edge_rnn/kernel/ernn.h`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from edge_rnn.arrays import Array
from edge_rnn.graph import Layer

from .c_arrays import floats, integers, pad, tile_matrix, tile_rows


def int8_layer(index: int, layer: Layer, a: Mapping[str, Array]) -> Iterator[str]:
    """Tiled weights, multipliers and biases of layer `index`, then `static const ernn_int8_layer layer{index}`."""
    name, gates = f"l{index}_", layer.gates
    fields = [
        f".kind = ERNN_{layer.kind.upper()}, .activation = ERNN_{layer.activation.upper()}",
        f".shift = {layer.exponent or 0}, .inputs = {layer.inputs}, .units = {layer.units}",
    ]
    for matrix, head in ({"ih": ""} if layer.kind == "dense" else {"ih": "ih_", "hh": "hh_"}).items():
        w, (S, k) = a[head + "w"], a[head + "S_k"].tolist()
        yield integers("int8_t", f"{name}{matrix}_w", tile_matrix(w, gates))
        yield integers("int32_t", f"{name}{matrix}_m", tile_rows(a[head + "m"], gates, missing=1))
        shape = f".columns = {pad(w.shape[1], 8)}, .k = {k}, .shift = {S + k - 32}"
        fields.append(f".{matrix} = {{{name}{matrix}_w, {name}{matrix}_m, {shape}}}")
    yield integers("int32_t", f"{name}b", tile_rows(a["b"], gates))
    fields.append(f".b = {name}b")
    if layer.kind == "gru":
        yield integers("int32_t", f"{name}bn", tile_rows(a["bn"], 1))
        fields.append(f".bn = {name}bn")
    yield _struct("ernn_int8_layer", index, fields)


def float_layer(index: int, layer: Layer, a: Mapping[str, Array]) -> Iterator[str]:
    """The same of a float32 layer: matrices as PyTorch has them."""
    name = f"l{index}_"
    fields = [
        f".kind = ERNN_{layer.kind.upper()}, .activation = ERNN_{layer.activation.upper()}",
        f".inputs = {layer.inputs}, .units = {layer.units}",
    ]
    for member, key in ({"w_ih": "w"} if layer.kind == "dense" else {"w_ih": "w_ih", "w_hh": "w_hh"}).items():
        yield floats(name + member, a[key])
        fields.append(f".{member} = {name}{member}")
    yield floats(f"{name}b", _merged_bias(layer, a))
    fields.append(f".b = {name}b")
    if layer.kind == "gru":
        yield floats(f"{name}bn", a["b_hh"][2 * layer.units :])
        fields.append(f".bn = {name}bn")
    yield _struct("ernn_float_layer", index, fields)


def _merged_bias(layer: Layer, a: Mapping[str, Array]) -> Array:
    """b_ih + b_hh in float32, but for a GRU's n gate, whose b_hn stays apart."""
    if layer.kind == "dense":
        return a["b"]
    b = a["b_ih"].copy()
    merged = 2 * layer.units if layer.kind == "gru" else len(b)
    b[:merged] += a["b_hh"][:merged]
    return b


def _struct(ctype: str, index: int, fields: Sequence[str]) -> str:
    return f"static const {ctype} layer{index} = {{\n" + "".join(f"    {field},\n" for field in fields) + "};\n"
