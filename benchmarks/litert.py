"""LiteRT (TensorFlow Lite): one step of a network as a flatbuffer of plain operators, written here without a converter.

Each layer is two fully connected operators, a split and the gates; the states are inputs and outputs. Two ways to call
it: its public functions, and its buffers in place. Optional: `pip install ai-edge-litert`.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np

from edge_rnn.graph import Graph

Step = Callable[[Any], Any]


def installed() -> bool:
    """Whether the package is here."""
    return importlib.util.find_spec("ai_edge_litert") is not None


class Writer:
    """A flatbuffer in the making: tensors and operators in the order they are named."""

    def __init__(self) -> None:
        self.schema: Any = importlib.import_module("ai_edge_litert.schema_py_generated")
        self.model = self.schema.ModelT()
        self.model.version, self.model.description, self.model.operatorCodes = 3, "edge_rnn benchmarks", []
        self.model.buffers = [self.schema.BufferT()]
        self.graph = self.schema.SubGraphT()
        self.graph.tensors, self.graph.operators = [], []
        self.model.subgraphs = [self.graph]

    def tensor(self, name: str, shape: tuple[int, ...], value: Any = None) -> int:
        """A float32 tensor, or with `value` a constant; gives its number."""
        made = self.schema.TensorT()
        made.name, made.shape, made.type, made.buffer = name.encode(), list(shape), self.schema.TensorType.FLOAT32, 0
        if value is not None:
            made.type = self.schema.TensorType.INT32 if value.dtype == np.int32 else made.type
            buffer = self.schema.BufferT()
            buffer.data = np.frombuffer(value.tobytes(), np.uint8)
            self.model.buffers.append(buffer)
            made.buffer = len(self.model.buffers) - 1
        self.graph.tensors.append(made)
        return len(self.graph.tensors) - 1

    def operator(self, name: str, inputs: list[int], outputs: list[int], **options: Any) -> None:
        """One builtin operator; its options are a table called like it where there are any."""
        code = getattr(self.schema.BuiltinOperator, name.upper())
        codes = [c.builtinCode for c in self.model.operatorCodes]
        if code not in codes:
            entry = self.schema.OperatorCodeT()
            entry.builtinCode, entry.deprecatedBuiltinCode, entry.version = code, code, 1
            self.model.operatorCodes.append(entry)
            codes.append(code)
        made = self.schema.OperatorT()
        made.opcodeIndex, made.inputs, made.outputs = codes.index(code), inputs, outputs
        table = {"fully_connected": "FullyConnected", "add": "Add", "sub": "Sub", "mul": "Mul", "split": "Split"}.get(
            name
        )
        if table:
            made.builtinOptionsType = getattr(self.schema.BuiltinOptions, f"{table}Options")
            made.builtinOptions = getattr(self.schema, f"{table}OptionsT")()
            for key, value in options.items():
                setattr(made.builtinOptions, key, value)
        self.graph.operators.append(made)

    def apply(self, name: str, inputs: list[int], width: int) -> int:
        """An operator with one output (1, width)."""
        out = self.tensor(f"t{len(self.graph.tensors)}", (1, width))
        self.operator(name, inputs, [out])
        return out

    def linear(self, x: int, w: Any, b: Any) -> int:
        """W x + b."""
        inputs = [x, self.tensor("w", w.shape, np.ascontiguousarray(w)), self.tensor("b", b.shape, b)]
        return self.apply("fully_connected", inputs, len(b))

    def split(self, x: int, parts: int, width: int) -> list[int]:
        """The gates of (1, parts * width)."""
        axis = self.tensor("axis", (), np.array(1, np.int32))
        outputs = [self.tensor(f"t{len(self.graph.tensors)}", (1, width)) for _ in range(parts)]
        self.operator("split", [axis, x], outputs, numSplits=parts)
        return outputs

    def bytes(self) -> bytes:
        """The file."""
        import flatbuffers

        builder = flatbuffers.Builder(1 << 16)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def flatbuffer(graph: Graph) -> bytes:
    """One step: inputs x then the states, outputs y then the states."""
    to = Writer()
    x = to.tensor("x", (1, graph.inputs))
    before = [to.tensor(state.name, (1, state.width)) for state in graph.states]
    after: list[int] = []
    given = iter(before)
    top = x
    for index, layer in enumerate(graph.layers[:-1]):
        w, units = graph.layer_arrays(index), layer.units
        h = next(given)
        ax, ah = to.linear(top, w["w_ih"], w["b_ih"]), to.linear(h, w["w_hh"], w["b_hh"])
        if layer.kind == "gru":
            (xr, xz, xn), (hr, hz, hn) = to.split(ax, 3, units), to.split(ah, 3, units)
            r, z = (to.apply("logistic", [to.apply("add", pair, units)], units) for pair in ([xr, hr], [xz, hz]))
            n = to.apply("tanh", [to.apply("add", [xn, to.apply("mul", [r, hn], units)], units)], units)
            top = to.apply("add", [n, to.apply("mul", [z, to.apply("sub", [h, n], units)], units)], units)
        elif layer.kind == "lstm":
            i, f, g, o = to.split(to.apply("add", [ax, ah], 4 * units), 4, units)
            i, f, o = (to.apply("logistic", [gate], units) for gate in (i, f, o))
            kept = to.apply("mul", [f, next(given)], units)
            c = to.apply("add", [kept, to.apply("mul", [i, to.apply("tanh", [g], units)], units)], units)
            top = to.apply("mul", [o, to.apply("tanh", [c], units)], units)
        else:
            top = to.apply("tanh", [to.apply("add", [ax, ah], units)], units)
        after += [top, c] if layer.kind == "lstm" else [top]
    head = graph.layer_arrays(len(graph.layers) - 1)
    y = to.linear(top, head["w"], head["b"])
    to.graph.inputs, to.graph.outputs = [x, *before], [y, *after]
    return to.bytes()


class Litert:
    """An interpreter over `flatbuffer`, with its XNNPACK delegate, one thread."""

    def __init__(self, graph: Graph) -> None:
        module = importlib.import_module("ai_edge_litert.interpreter")
        self._interpreter: Any = module.Interpreter(model_content=flatbuffer(graph), num_threads=1)
        self._interpreter.allocate_tensors()
        self._inputs = [detail["index"] for detail in self._interpreter.get_input_details()]
        self._outputs = [detail["index"] for detail in self._interpreter.get_output_details()]

    def public(self) -> Step:
        """set_tensor, invoke, get_tensor: as its guide has it."""
        interpreter, (x, *before), (y, *after) = self._interpreter, self._inputs, self._outputs
        for index, zero in zip(before, map(interpreter.get_tensor, before), strict=True):
            interpreter.set_tensor(index, np.zeros_like(zero))

        def step(sample: Any) -> Any:
            interpreter.set_tensor(x, sample[None])
            interpreter.invoke()
            for old, new in zip(before, after, strict=True):
                interpreter.set_tensor(old, interpreter.get_tensor(new))
            return interpreter.get_tensor(y)[0]

        return step

    def in_place(self) -> Step:
        """Buffers written and read where they lie, its wrapper's checks left out: faster than any public way."""
        interpreter = self._interpreter
        x, *before = (interpreter.tensor(index)() for index in self._inputs)
        y, *after = (interpreter.tensor(index)() for index in self._outputs)
        pairs = list(zip(before, after, strict=True))
        for array in before:
            array.fill(0)
        invoke = interpreter._interpreter.Invoke  # `invoke` itself refuses while views are alive
        row, flat = y[0], x[0]

        def step(sample: Any) -> Any:
            flat[:] = sample
            invoke()
            for old, new in pairs:
                old[:] = new
            return row

        return step
