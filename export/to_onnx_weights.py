"""The compact float form, M.weights.onnx: int8 weights that a `Cast` and a `Mul` make floats again.

For runtimes that want a small file and their own fused float operators. It is not the exact model: activations are
float32, so nothing here is bit-exact. Its precision in metadata_props is `float32-w8`; states are float32.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from onnx import TensorProto

from edge_rnn.arrays import Array
from edge_rnn.bundle import Bundle
from edge_rnn.errors import UsageError
from edge_rnn.graph import Graph
from edge_rnn.onnx_metadata import FLOAT_W8, metadata_of

from .onnx_body import Body
from .quantize import LARGEST_WEIGHT, Q15
from .to_onnx import assemble, write_float


def weights_form(bundle: Bundle) -> bytes:
    """The .weights.onnx of an int8 bundle; raises UsageError for a float32 one, or one with statistics."""
    if bundle.graph.precision != "int8":
        raise UsageError("the weights form is made of an int8 model, this one is float32: export with --precision int8")
    if any(layer.kind == "statistics" for layer in bundle.graph.layers):
        raise UsageError(
            "statistics have a unit for each output, which one scale a row of weights does not hold: "
            "take --onnx-form exact, or the float32 model"
        )
    graph = dequantize(bundle.graph)
    manifest = dataclasses.replace(
        bundle.manifest,
        precision="float32",
        layers=graph.layers,
        states=graph.states,
        model_digest=graph.digest(),
        input={},
    )
    body = _PackedBody([LARGEST_WEIGHT[layer.bits or 8] for layer in bundle.graph.layers])
    write_float(graph, body)
    return assemble(graph, body, {**metadata_of(manifest), "edge_rnn.precision": FLOAT_W8})


def dequantize(graph: Graph) -> Graph:
    """The float32 graph that an int8 graph stands for: its rounded weights, without any rounding of activations."""
    sx = graph.arrays["sx"].astype(np.float64)
    arrays = {"mean": np.zeros(graph.inputs, np.float32), "std": (sx * 2.0**15).astype(np.float32)}
    if "l0.o" in graph.arrays:
        arrays["mean"] = (graph.arrays["l0.o"] * sx).astype(np.float32)
    layers, s_in = [], Q15
    for index, layer in enumerate(graph.layers):
        a, p = graph.layer_arrays(index), f"l{index}."
        if layer.kind == "window":
            layers.append(layer)
            continue
        s_out = Q15 if layer.exponent is None else 2.0 ** -(16 - layer.exponent)
        bias = a.get("b", np.zeros(0)) / 65536
        if layer.kind in ("dense", "conv"):
            arrays[p + "w"], arrays[p + "b"] = _floats(a, "", s_in), bias.astype(np.float32)
        else:
            arrays[p + "w_ih"], arrays[p + "w_hh"] = _floats(a, "ih_", s_in), _floats(a, "hh_", s_out)
        if layer.kind == "fastgrnn":
            for name, one in (("b_z", 65536), ("b_h", 65536), ("zeta", 1 << 24), ("nu", 1 << 24)):
                arrays[p + name] = (a[name] / one).astype(np.float32)
        elif layer.kind not in ("dense", "conv"):
            apart = a["bn"] / 65536 if "bn" in a else np.zeros(0)
            arrays[p + "b_ih"] = bias.astype(np.float32)
            arrays[p + "b_hh"] = np.concatenate([np.zeros(len(bias) - len(apart)), apart]).astype(np.float32)
        layers.append(dataclasses.replace(layer, exponent=None, bits=None))
        s_in = s_out
    return Graph("float32", tuple(layers), arrays)


def _floats(a: dict[str, Array], part: str, s_in: float) -> Array:
    """Rows of Wq * s, from m = s * s_in * 2^16 * 2^S; the input of layer 0 is x / (sx * 2^15), so s_in is 2^-15."""
    scale = a[part + "m"].astype(np.float64) * 2.0 ** -(int(a[part + "S_k"][0]) + 16) / s_in
    floats: Array = (a[part + "w"] * scale[:, None]).astype(np.float32)
    return floats


class _PackedBody(Body):
    """Writes each weight matrix as int8 rows and a float32 scale a row; the rows are what `dequantize` spread out."""

    def __init__(self, largest: list[int]) -> None:
        super().__init__()
        self._largest = largest

    def constant(self, name: str, array: Array) -> str:
        layer, _, short = name.partition(".")
        if short not in ("w", "w_ih", "w_hh"):
            return super().constant(name, array)
        reach = np.abs(array).max(axis=-1, keepdims=True)
        scale = np.where(reach > 0, reach / self._largest[int(layer[1:])], 1).astype(np.float32)
        packed = super().constant(f"{name}.int8", np.rint(array / scale).astype(np.int8))
        wide = self.add("Cast", [packed], f"{name}.cast", to=TensorProto.FLOAT)
        return self.add("Mul", [wide, super().constant(f"{name}.scale", scale)], name)
