"""A model's weights as one struct of C: what a board with a store can take over the wire, and the same as bytes.

Everything that training decides is in the struct; what the step's code was written for is not, and has a number of its
own, the shape. So a board takes any model of its shape. Every member is a multiple of four bytes: there is no padding.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from hashlib import blake2b

import numpy as np

from edge_rnn.arrays import Array
from edge_rnn.errors import UsageError
from edge_rnn.graph import Graph
from edge_rnn.layer import SIZES

from .c_arrays import lines, pad
from .c_layers import int8_arrays, int8_shifts


def shape_of(graph: Graph) -> int:
    """A number for the layers' kinds and sizes, u32."""
    layers = [
        [
            layer.kind,
            layer.activation,
            layer.inputs,
            layer.units,
            *(layer.size(name) for name in SIZES.get(layer.kind, ())),
        ]
        for layer in graph.layers
    ]
    return int.from_bytes(blake2b(repr(layers).encode(), digest_size=4).digest(), "little")


def model_hash(graph: Graph) -> int:
    """The first four bytes of the model's digest, as the wire has them."""
    return int.from_bytes(bytes.fromhex(graph.digest())[:4], "little")


def image(graph: Graph) -> bytes:
    """The struct's bytes on a little-endian core; raises UsageError for a float32 model."""
    if graph.precision != "int8":
        raise UsageError("a board's store takes int8 models, this one is float32: export it with --precision int8")
    parts = [np.ascontiguousarray(values).tobytes() for _, _, values in members(graph)]
    return struct.pack("<II", shape_of(graph), model_hash(graph)) + b"".join(parts)


def members(graph: Graph) -> Iterator[tuple[str, str, Array]]:
    """(C type, name, values) after shape and hash: words first, then bytes."""
    arrays = [part for i, layer in enumerate(graph.layers) for part in int8_arrays(i, layer, graph.layer_arrays(i))]
    yield "float", "sx", graph.arrays["sx"].astype("<f4")
    yield from (part for part in arrays if part[0] == "int32_t")
    yield from (part for part in arrays if part[0] == "int16_t")
    yield from (part for part in arrays if part[0] == "int8_t")
    for index, layer in enumerate(graph.layers):
        shifts = np.zeros(pad(1, 8), np.uint8)
        values = int8_shifts(layer, graph.layer_arrays(index))
        shifts[: len(values)] = values
        yield "uint8_t", f"l{index}_shifts", shifts


def declaration(graph: Graph, prefix: str) -> str:
    """The struct's type, and the model that was built in."""
    fields = "".join(f"    {ctype} {name}[{values.size}];\n" for ctype, name, values in members(graph))
    return f"""
#define {prefix.upper()}_SHAPE 0x{shape_of(graph):08X}u /* of the layers: models of one shape are exchangeable */

/* All that training decides. In this form a model comes over the wire (edge-rnn firmware push). */
typedef struct {{
    uint32_t shape, hash; /* {prefix.upper()}_SHAPE, and what {prefix.upper()}_HASH is to the model built in */
{fields}}} {prefix}_weights;

extern const {prefix}_weights {prefix}_built_in;
"""


def definition(graph: Graph, prefix: str) -> str:
    """The model that was built in."""
    head = [f".shape = {prefix.upper()}_SHAPE, .hash = {prefix.upper()}_HASH,"]
    for _, name, values in members(graph):
        head += [f".{name} = {{", *(f"    {line}" for line in lines(values)), "},"]
    body = "\n".join(f"    {line}" for line in head)
    return f"const {prefix}_weights {prefix}_built_in = {{\n{body}\n}};\n"
