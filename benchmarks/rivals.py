"""The rivals at their best, each as a function sample (I,) -> logits (C,) that carries its state.

onnxruntime: the leanest graph of the network (no normalisation, no reshapes), one thread, no spinning; `bound` is two
pre-built bindings used in turn and no RunOptions (with them 1.32 needs 30 us more), `plain` is session.run.
torch: eager modules under inference_mode. LiteRT is in litert.py.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
from edge_rnn.export.gates import GATE_ORDER, to_onnx_order

from edge_rnn.graph import Graph

Step = Callable[[Any], Any]


def lean_onnx(graph: Graph, sequence: bool = False) -> bytes:
    """X (T, N, I) to y: of the last step (1, N, C) with states in and out, or of all steps (T, 1, N, C)."""
    from onnx import TensorProto, helper, numpy_helper

    nodes, constants, inputs, outputs = [], [], [], []
    top = "x"
    for index, layer in enumerate(graph.layers[:-1]):
        w, order, p = graph.layer_arrays(index), GATE_ORDER[layer.kind], f"l{index}"
        bias = np.concatenate([to_onnx_order(layer.kind, w[name]) for name in ("b_ih", "b_hh")])[None]
        matrices = {name: to_onnx_order(layer.kind, w[name])[None] for name in ("w_ih", "w_hh")}
        for name, array in {**matrices, "b": bias}.items():
            constants.append(numpy_helper.from_array(np.ascontiguousarray(array), f"{p}.{name}"))
        names = [state.name for state in layer.states(index, "float32")]
        form = ["layers", "batch", layer.units]
        inputs += [helper.make_tensor_value_info(f"{name}_in", TensorProto.FLOAT, form) for name in names]
        outputs += [helper.make_tensor_value_info(f"{name}_out", TensorProto.FLOAT, form) for name in names]
        given = [top, f"{p}.w_ih", f"{p}.w_hh", f"{p}.b", "", *(f"{name}_in" for name in names)]
        found = [f"{p}.all" if sequence else "", *(f"{name}_out" for name in names)]
        nodes.append(helper.make_node(order.operator, given, found, hidden_size=layer.units, **order.attributes))
        top = f"{names[0]}_out"
        if sequence:
            nodes.append(helper.make_node("Squeeze", [f"{p}.all", "one"], [f"{p}.flat"]))
            top = f"{p}.flat"
    head = graph.layer_arrays(len(graph.layers) - 1)
    constants.append(numpy_helper.from_array(np.ascontiguousarray(head["w"].T), "head.w"))
    constants.append(numpy_helper.from_array(head["b"], "head.b"))
    constants.append(numpy_helper.from_array(np.array([1], np.int64), "one"))
    nodes += [helper.make_node("MatMul", [top, "head.w"], ["linear"])]
    nodes += [helper.make_node("Add", ["linear", "head.b"], ["y"])]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["steps", "batch", graph.inputs])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["layers", "batch", graph.outputs])
    drawn = helper.make_graph(nodes, "rival", [x, *inputs], [y, *outputs], constants)
    model = helper.make_model(drawn, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    serialized: bytes = model.SerializeToString()
    return serialized


class Onnxruntime:
    """A session over `lean_onnx` with its buffers."""

    def __init__(self, graph: Graph, batch: int = 1, sequence: bool = False) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 4
        model = lean_onnx(graph, sequence)
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.graph, self.batch = graph, batch
        self.names = [state.name for state in graph.states]
        self.x = np.zeros((1, batch, graph.inputs), np.float32)
        self.y = np.zeros((1, batch, graph.outputs), np.float32)
        self.sets = [[np.zeros((1, batch, s.width), np.float32) for s in graph.states] for _ in range(2)]

    def bound(self) -> Step:
        """Two bindings in turn: each run reads one set of states and writes the other."""
        forth, back = (self._binding(self.sets[i], self.sets[1 - i]) for i in range(2))
        x, y, run = self.x[0], self.y[0], self.session.run_with_iobinding
        bindings, kept = [forth, back], self.sets  # a binding knows addresses only
        row = y if self.batch > 1 else y[0]

        def step(sample: Any) -> Any:
            x[:] = sample
            run(bindings[0])
            bindings.reverse()
            assert kept
            return row

        return step

    def _binding(self, before: list[Any], after: list[Any]) -> Any:
        binding = self.session.io_binding()
        pairs = zip(["x", *(f"{name}_in" for name in self.names)], [self.x, *before], strict=True)
        for name, array in pairs:
            binding.bind_input(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
        pairs = zip(["y", *(f"{name}_out" for name in self.names)], [self.y, *after], strict=True)
        for name, array in pairs:
            binding.bind_output(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
        return binding

    def plain(self) -> Step:
        """session.run with a dictionary."""
        fetch = ["y", *(f"{name}_out" for name in self.names)]
        keys = [f"{name}_in" for name in self.names]
        feeds: dict[str, Any] = dict(zip(keys, self.sets[0], strict=True))

        def step(sample: Any) -> Any:
            feeds["x"] = sample.reshape(1, 1, -1)
            y, *after = self.session.run(fetch, feeds)
            feeds.update(zip(keys, after, strict=True))
            return y[0, 0]

        return step

    def run(self, x: Any) -> Any:
        """All steps in one call: (T, I) -> (T, C), from the zero state."""
        feeds = dict(zip([f"{name}_in" for name in self.names], self.sets[0], strict=True))
        return self.session.run(["y"], {"x": x[:, None], **feeds})[0].reshape(len(x), -1)


def torch_step(graph: Graph) -> Step:
    """Eager torch, one thread."""
    torch = importlib.import_module("torch")
    torch.set_num_threads(1)
    kind, units, depth = graph.layers[0].kind, graph.layers[0].units, len(graph.layers) - 1
    body = {"gru": torch.nn.GRU, "lstm": torch.nn.LSTM, "rnn": torch.nn.RNN}[kind](graph.inputs, units, depth)
    head = torch.nn.Linear(units, graph.outputs)
    with torch.no_grad():
        for index in range(depth):
            w = graph.layer_arrays(index)
            for ours, theirs in (
                ("w_ih", "weight_ih"),
                ("w_hh", "weight_hh"),
                ("b_ih", "bias_ih"),
                ("b_hh", "bias_hh"),
            ):
                getattr(body, f"{theirs}_l{index}").copy_(torch.from_numpy(w[ours]))
        last = graph.layer_arrays(depth)
        head.weight.copy_(torch.from_numpy(last["w"]))
        head.bias.copy_(torch.from_numpy(last["b"]))
    zero = torch.zeros(depth, 1, units)
    kept: list[Any] = [(zero, zero.clone()) if kind == "lstm" else zero]

    def step(sample: Any) -> Any:
        with torch.inference_mode():
            y, kept[0] = body(torch.from_numpy(sample).view(1, 1, -1), kept[0])
            return head(y[0, 0]).numpy()

    return step
