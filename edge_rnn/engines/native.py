"""The native engine: the C kernel of edge_rnn/kernel, with the fastest SIMD variant this machine has.

Thin on purpose: arrays go to C in the order it wants, everything else is there. EDGE_RNN_ISA names another variant
(`variants()` lists this machine's); it is read when a model is opened.
"""

from __future__ import annotations

import functools
import importlib
import os
from typing import Any

import numpy as np

from ..bundle import Bundle
from ..engine import F32, I16, I32, I64, State, Step, as_sample
from ..errors import UsageError
from ..graph import Graph, Layer
from ..reach import reach

BINDING = 5
"""What this file and kernel/binding.c must agree on: raise it in both when a call of one changes for the other."""
_KINDS = {
    "dense": 0, "rnn": 1, "gru": 2, "lstm": 3, "fastgrnn": 4, "window": 5, "conv": 6, "statistics": 7, "attention": 8,
    "feedforward": 9, "norm": 10,
}  # fmt: skip
_ACTIVATIONS = {"none": 0, "relu": 1, "tanh": 2}
_FLOAT_ORDER = {
    "fastgrnn": "w_ih b_z w_hh b_h zeta nu",
    "attention": "w_qkv b_qkv w_out b_out norm_w norm_b bias",
    "feedforward": "w_up b_up w_down b_down norm_w norm_b",
}
_OTHERS = "w b w_ih b_ih w_hh b_hh"
_INT8_ORDER = "w m S_k ih_w ih_m ih_S_k hh_w hh_m hh_S_k b floor b_z bn b_h zeta nu o"
"""The order of a layer's arrays in kernel/simd/shape.h; those that it has not are left out."""


def require() -> None:
    """Raise UsageError where the extension was not built."""
    _extension()


def variants() -> list[str]:
    """Names of the SIMD variants this machine can run, fastest first."""
    found: list[str] = _extension().variants()
    return found


def open_bundle(bundle: Bundle) -> NativeEngine:
    """The engine of a bundle."""
    return NativeEngine(bundle.graph, most=bundle.reach)


class NativeEngine:
    """One graph, packed for one instruction set; immutable, shared by threads."""

    name = "native"

    def __init__(self, graph: Graph, isa: str | None = None, most: float | None = None) -> None:
        """`most` is the graph's `reach`, where it is known already."""
        isa = isa or os.environ.get("EDGE_RNN_ISA") or None
        if isa is not None and isa not in variants():
            raise UsageError(f"EDGE_RNN_ISA is {isa!r}, this machine and build have: {', '.join(variants())}")
        self.graph = graph
        edge = ("sx",) if graph.precision == "int8" else ("mean", "std")
        layers = tuple(_layer(graph, index, layer) for index, layer in enumerate(graph.layers))
        self._reach = reach(graph) if most is None else most
        ends = (*(_plain(graph, name) for name in edge), np.array([self._reach], np.float32))
        self._kernel = _extension().Kernel(graph.precision, layers, ends, isa)
        self.isa: str = self._kernel.isa

    def step(self, x: F32, state: State, out: F32) -> None:
        """One step of N streams: x (N, I) -> out (N, C), the GIL released; the state is updated in place."""
        self._kernel.group(x, state.arrays, out)

    def step_int(self, xq: I16, state: State, out: I32) -> None:
        """One step in integers: xq (N, I) int16 -> out (N, C) int32 Q16."""
        if self.graph.precision != "int8":
            raise UsageError("step_int needs an int8 model, this one is float32: use step")
        self._kernel.step_int(xq, state.arrays, out)

    def run(self, x: F32, state: State, out: F32) -> None:
        """T steps of one stream: x (T, I) -> out (T, C), the GIL released."""
        self._kernel.run(x, state.arrays, out)

    def runs(self, x: F32, rows: I64, where: I64, state: State, out: F32) -> None:
        """Steps of many streams in one call: x (R, I) -> out (R, C)."""
        self._kernel.runs(x, rows, where, state.arrays, out)

    def bind(self, state: State) -> Step:
        """C's own `step(sample)` on that state: checked there, the array it returns is reused at the next call."""
        out = np.zeros(self.graph.outputs, np.float32)
        convert = functools.partial(_convert, self.graph.inputs, self._reach)
        step: Step = self._kernel.bind(state.arrays, out, convert).step
        return step


def _convert(inputs: int, reach: float, sample: Any) -> F32:
    """What C does not take as it is: other types become float32, the rest raises UsageError."""
    row: F32 = as_sample(sample, inputs, reach)[0]
    return row


def _layer(graph: Graph, index: int, layer: Layer) -> tuple[Any, ...]:
    order = _INT8_ORDER if graph.precision == "int8" else _FLOAT_ORDER.get(layer.kind, _OTHERS)
    names = [f"l{index}.{name}" for name in order.split()]
    arrays = tuple(_plain(graph, name) for name in names if name in graph.arrays)
    form = (_KINDS[layer.kind], _ACTIVATIONS[layer.activation], layer.exponent or 0, layer.inputs, layer.units)
    sizes = (layer.window, layer.kernel, layer.dilation, layer.heads, layer.hidden)
    return (*form, *(size or 0 for size in sizes), arrays)


def _plain(graph: Graph, name: str) -> Any:
    array = graph.arrays[name]
    return np.ascontiguousarray(array, array.dtype.newbyteorder("="))


@functools.cache
def _extension() -> Any:
    try:
        module = importlib.import_module("edge_rnn._native")
    except ImportError as error:
        raise UsageError(
            f"the native engine was not built ({error}): install with a C compiler present, or use engine numpy"
        ) from error
    if getattr(module, "BINDING", None) != BINDING:
        raise UsageError(
            f"{module.__file__} was built from other sources than this edge-rnn: install it anew, in a work tree "
            "run make .venv/.native"
        )
    return module
