"""One layer's arrays and its const struct as C text, in the layout of `edge_rnn/kernel/ernn.h`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from edge_rnn.arrays import Array
from edge_rnn.graph import Layer

from .c_arrays import floats, integers, pad, tile_matrix, tile_rows

_BIASES = {"b": "b", "b_z": "b", "floor": "b", "bn": "bn", "b_h": "bn"}
"""Array of an int8 graph -> member of ernn_int8_layer."""


def int8_layer(index: int, layer: Layer, a: Mapping[str, Array]) -> Iterator[str]:
    """Tiled weights, multipliers and biases of layer `index`, then `static const ernn_int8_layer layer{index}`."""
    for ctype, name, values in int8_arrays(index, layer, a):
        yield integers(ctype, name, values)
    yield _struct("ernn_int8_layer", index, int8_fields(index, layer, a))


def int8_arrays(index: int, layer: Layer, a: Mapping[str, Array]) -> Iterator[tuple[str, str, Array]]:
    """(C type, name, values) of what training decided of layer `index`, in the kernel's order of rows."""
    name, gates = f"l{index}_", layer.gates
    for matrix, head in _matrices(layer).items():
        if head in layer.exact_matrices:
            yield "int8_t", f"{name}{matrix}_w", tile_matrix(a[head + "w"], gates)
        yield "int32_t", f"{name}{matrix}_m", tile_rows(a[head + "m"], gates, missing=1)
    for key, member in _BIASES.items():
        if key in a:
            yield "int32_t", f"{name}{member}", tile_rows(a[key], gates if member == "b" else 1)
    for key in ("zeta", "nu"):
        if key in a:
            yield "int32_t", f"{name}{key}", a[key]
    if "o" in a:
        yield "int16_t", f"{name}o", np.append(a["o"], np.zeros(len(a["o"]) % 2, np.int16))


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
        columns = layer.exact_matrices.get(head)
        shape = f".columns = {pad(columns or 0, 8)}, .k = {k}, .shift = {shift}"
        fields.append(f".{matrix} = {{{f'{name}{matrix}_w' if columns else 0}, {name}{matrix}_m, {shape}}}")
    known = {**_BIASES, "zeta": "zeta", "nu": "nu"}
    fields += [f".{member} = {name}{member}" for key, member in known.items() if key in a]
    return fields + _past(layer)


def _past(layer: Layer) -> list[str]:
    """The members of a layer that keeps a past: its rows, and how far a convolution's taps lie apart."""
    if layer.window is None and layer.kernel is None:
        return []
    rows = layer.window if layer.kind != "conv" else layer.past
    return [f".past = {rows}, .dilation = {layer.dilation or 0}"]


def _matrices(layer: Layer) -> dict[str, str]:
    """Matrix, or a statistics layer's multipliers -> what its arrays begin with."""
    return {head[:2] or "ih": head for head in layer.multipliers}


def float_layer(index: int, layer: Layer, a: Mapping[str, Array]) -> Iterator[str]:
    """The same of a float32 layer: matrices as PyTorch has them."""
    name = f"l{index}_"
    fields = [
        f".kind = ERNN_{layer.kind.upper()}, .activation = ERNN_{layer.activation.upper()}",
        f".inputs = {layer.inputs}, .units = {layer.units}",
    ]
    for member, values in _float_members(layer, a).items():
        yield floats(name + member, values)
        fields.append(f".{member} = {name}{member}")
    sizes = [f".{size} = {getattr(layer, size)}" for size in ("heads", "hidden") if getattr(layer, size)]
    yield _struct("ernn_float_layer", index, [*fields, *_past(layer), *sizes])


_MEMBERS: Mapping[str, Mapping[str, str]] = {
    "dense": {"w_ih": "w", "b": "b"},
    "conv": {"w_ih": "w", "b": "b"},
    "norm": {"norm_w": "w", "norm_b": "b"},
    "window": {},
    "statistics": {},
    "fastgrnn": {"w_ih": "w_ih", "w_hh": "w_hh", "b": "b_z", "bn": "b_h", "zeta": "zeta", "nu": "nu"},
    "attention": {
        "w_ih": "w_qkv", "w_hh": "w_out", "b": "b_qkv", "bn": "b_out",
        "norm_w": "norm_w", "norm_b": "norm_b", "bias": "bias",
    },
    "feedforward": {
        "w_ih": "w_up", "w_hh": "w_down", "b": "b_up", "bn": "b_down", "norm_w": "norm_w", "norm_b": "norm_b",
    },
}  # fmt: skip
"""Kind -> member of ernn_float_layer -> array of the graph; torch's recurrent kinds merge their biases."""


def _float_members(layer: Layer, a: Mapping[str, Array]) -> dict[str, Array]:
    """Member -> values; b of a recurrent layer is b_ih + b_hh in float32, but a GRU's b_hn stays apart."""
    if layer.kind in _MEMBERS:
        return {member: a[key] for member, key in _MEMBERS[layer.kind].items()}
    b = a["b_ih"].copy()
    merged = 2 * layer.units if layer.kind == "gru" else len(b)
    b[:merged] += a["b_hh"][:merged]
    found = {"w_ih": a["w_ih"], "w_hh": a["w_hh"], "b": b}
    return found | {"bn": a["b_hh"][merged:]} if layer.kind == "gru" else found


def _struct(ctype: str, index: int, fields: Sequence[str]) -> str:
    return f"static const {struct_text(ctype, index, fields)}"


def struct_text(ctype: str, index: int, fields: Sequence[str]) -> str:
    """Layer `index` as a C definition."""
    return f"{ctype} layer{index} = {{\n" + "".join(f"    {field},\n" for field in fields) + "};\n"
