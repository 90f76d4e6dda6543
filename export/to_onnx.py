"""Graph -> ONNX bytes, built by hand with onnx.helper: opset 17, IR 8, one step per run, states in and out.

    x (batch, I) float32, h0_in, c0_in, ...  ->  y (batch, C) float32, h0_out, c0_out, ...

The number in a state's name is the layer's place in `graph.layers`. The same graph and metadata give the same
bytes. float32 is here; the exact integers of an int8 graph are `to_onnx_int8`'s. docs/bundle.md is the contract.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from edge_rnn.arrays import Array
from edge_rnn.graph import Graph, Layer

from . import to_onnx_layers as layers
from .gates import GATE_ORDER, to_onnx_order
from .onnx_body import Body

OPSET = 17
IR_VERSION = 8
ELEMENT = {"float32": TensorProto.FLOAT, "int32": TensorProto.INT32, "int16": TensorProto.INT16}


def to_onnx(graph: Graph, metadata: Mapping[str, str]) -> bytes:
    """The model.onnx of a graph; `metadata` (edge_rnn.onnx_metadata) goes into metadata_props."""
    if graph.precision == "int8":
        write = importlib.import_module(".to_onnx_int8", __package__).write_exact
    else:
        write = write_float
    body = Body()
    write(graph, body)
    return assemble(graph, body, metadata)


def assemble(graph: Graph, body: Body, metadata: Mapping[str, str]) -> bytes:
    """The file around a written body: inputs, outputs and states of `graph`, checked, the same bytes each time."""
    outputs = [_value("y", "float32", graph.outputs)]
    if graph.precision == "int8":
        outputs.append(_value("y_q", "int32", graph.outputs))
    drawn = helper.make_graph(
        body.nodes,
        "edge_rnn",
        [_value("x", "float32", graph.inputs), *(_value(f"{s.name}_in", s.dtype, s.width) for s in graph.states)],
        [*outputs, *(_value(f"{s.name}_out", s.dtype, s.width) for s in graph.states)],
        list(body.constants.values()),
    )
    model = helper.make_model(drawn, producer_name="edge-rnn", opset_imports=[helper.make_opsetid("", OPSET)])
    model.ir_version = IR_VERSION
    helper.set_model_props(model, dict(sorted(metadata.items())))
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def write_float(graph: Graph, body: Body) -> None:
    """Normalisation, then each layer in its float operator."""
    mean, std = (body.constant(name, graph.arrays[name]) for name in ("mean", "std"))
    top = body.add("Div", [body.add("Sub", ["x", mean], "centred"), std], "normalised")
    for index, layer in enumerate(graph.layers):
        top = _LAYERS[layer.kind](body, index, layer, graph.layer_arrays(index), top)
    body.nodes[-1].output[0] = body.nodes[-1].name = "y"


def _dense(body: Body, index: int, layer: Layer, w: dict[str, Array], below: str) -> str:
    output = f"l{index}"
    names = [body.constant(f"l{index}.{name}", w[name]) for name in ("w", "b")]
    if layer.activation == "none":
        return body.add("Gemm", [below, *names], output, transB=1)
    return body.add("Relu", [body.add("Gemm", [below, *names], f"l{index}.linear", transB=1)], output)


def _recurrent(body: Body, index: int, layer: Layer, w: dict[str, Array], below: str) -> str:
    """A recurrent operator over a sequence of one; sequence and direction are axes of size 1 before the batch."""
    p, kind, order = f"l{index}.", layer.kind, GATE_ORDER[layer.kind]
    first = body.constant("first_axis", np.array([0], np.int64))
    matrices = [body.constant(p + n, to_onnx_order(kind, w[n])[None]) for n in ("w_ih", "w_hh")]
    bias = np.concatenate([to_onnx_order(kind, w["b_ih"]), to_onnx_order(kind, w["b_hh"])])[None]
    sequence = body.add("Unsqueeze", [below, first], p + "x")
    states = [state.name for state in layer.states(index, "float32")]
    before = [body.add("Unsqueeze", [f"{name}_in", first], p + f"{name}.before") for name in states]
    after = [p + f"{name}.after" for name in states]
    attributes = {"hidden_size": layer.units, **order.attributes}
    if kind == "rnn":
        attributes["activations"] = [layer.activation.capitalize()]
    inputs = [sequence, *matrices, body.constant(p + "b", bias), "", *before]
    body.add(order.operator, inputs, "", *after, **attributes)
    for name, hot in zip(states, after, strict=True):
        body.add("Squeeze", [hot, first], f"{name}_out")
    return f"{states[0]}_out"


_LAYERS: dict[str, Callable[[Body, int, Layer, dict[str, Array], str], str]] = {
    "dense": _dense,
    "rnn": _recurrent,
    "gru": _recurrent,
    "lstm": _recurrent,
    "fastgrnn": layers.fastgrnn,
    "window": layers.window,
    "statistics": layers.statistics,
    "conv": layers.conv,
    "attention": layers.attention,
    "feedforward": layers.feedforward,
    "norm": layers.norm,
}


def _value(name: str, dtype: str, width: int) -> Any:
    return helper.make_tensor_value_info(name, ELEMENT[dtype], ["batch", width])
