"""One layer's arrays and its const struct as C text, in the layout of `edge_rnn/kernel/ernn.h`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from edge_rnn.arrays import Array
from edge_rnn.graph import Layer

from .c_arrays import floats, integers, pad, tile_matrix, tile_rows


def int8_layer(index: int, layer: Layer, a: Mapping[str, Array]) -> Iterator[str]:
    """Tiled weights, multipliers and biases of layer `index`, then `static const ernn_int8_layer layer{index}`."""
    for ctype, name, values in int8_arrays(index, layer, a):
        yield integers(ctype, name, values)
    yield _struct("ernn_int8_layer", index, int8_fields(index, layer, a))


def int8_arrays(index: int, layer: Layer, a: Mapping[str, Array]) -> Iterator[tuple[str, str, Array]]:
    """(C type, name, values) of what training decided of layer `index`, in the kernel's order of rows."""
    name, gates = f"l{index}_", layer.gates
    for matrix, head in _matrices(layer).items():
        yield "int8_t", f"{name}{matrix}_w", tile_matrix(a[head + "w"], gates)
        yield "int32_t", f"{name}{matrix}_m", tile_rows(a[head + "m"], gates, missing=1)
    yield "int32_t", f"{name}b", tile_rows(a["b"], gates)
    if layer.kind == "gru":
        yield "int32_t", f"{name}bn", tile_rows(a["bn"], 1)


def int8_shifts(layer: Layer, a: Mapping[str, Array]) -> list[int]:
    """The shifts of a layer: its output's, then k and S + k - 32 of each matrix."""
    pairs = [a[head + "S_k"].tolist() for head in _matrices(layer).values()]
    return [layer.exponent or 0, *(n for S, k in pairs for n in (k, S + k - 32))]


def int8_fields(index: int, layer: Layer, a: Mapping[str, Array], at: str = "") -> list[str]:
    """The members of its struct. `at`: where the arrays are (`w->`) and, as l{index}_shifts, the shifts."""
    name = f"{at}l{index}_"
    shifts = [f"{name}shifts[{place}]" if at else str(n) for place, n in enumerate(int8_shifts(layer, a))]
    fields = [
        f".kind = ERNN_{layer.kind.upper()}, .activation = ERNN_{layer.activation.upper()}",
        f".shift = {shifts[0]}, .inputs = {layer.inputs}, .units = {layer.units}",
    ]
    for place, (matrix, head) in enumerate(_matrices(layer).items()):
        k, shift = shifts[1 + 2 * place : 3 + 2 * place]
        shape = f".columns = {pad(a[head + 'w'].shape[1], 8)}, .k = {k}, .shift = {shift}"
        fields.append(f".{matrix} = {{{name}{matrix}_w, {name}{matrix}_m, {shape}}}")
    fields.append(f".b = {name}b")
    return [*fields, f".bn = {name}bn"] if layer.kind == "gru" else fields


def _matrices(layer: Layer) -> dict[str, str]:
    """Matrix -> what its arrays begin with."""
    return {"ih": ""} if layer.kind == "dense" else {"ih": "ih_", "hh": "hh_"}


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
    return f"static const {struct_text(ctype, index, fields)}"


def struct_text(ctype: str, index: int, fields: Sequence[str]) -> str:
    """Layer `index` as a C definition."""
    return f"{ctype} layer{index} = {{\n" + "".join(f"    {field},\n" for field in fields) + "};\n"
