"""The onnxruntime engine: model.onnx, one step per run. It never sees bytes that onnx_scan has not passed.

One thread and no spinning, as a device shares its cores; no arena, as one step needs almost nothing. The hot path of
one stream (`bind`) has its buffers bound beforehand, twice: each run reads one set of states and writes the other.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..arrays import Array
from ..bundle import Bundle
from ..engine import F32, I16, I32, I64, State, Step, as_sample
from ..errors import BundleError, MissingExtra, UsageError
from ..manifest import Manifest
from ..onnx_metadata import read_onnx
from ..onnx_scan import scan_onnx
from ..reach import LARGEST
from .steps import run_by_steps, runs_by_run

_ELEMENT = {"tensor(float)": "float32", "tensor(int32)": "int32", "tensor(int16)": "int16"}


def require() -> Any:
    """The onnxruntime module; raises MissingExtra where it is not installed."""
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtra("onnxruntime", "onnx", "the onnxruntime engine") from error
    return onnxruntime


def open_bundle(bundle: Bundle) -> OnnxruntimeEngine:
    """The engine of a bundle's model.onnx."""
    return OnnxruntimeEngine(bundle.onnx, bundle.manifest, bundle.reach)


def open_onnx(path: str | Path) -> tuple[Manifest, OnnxruntimeEngine]:
    """A bare .onnx that we exported: its manifest and the engine."""
    manifest, onnx = read_onnx(path)
    return manifest, OnnxruntimeEngine(onnx, manifest)


class OnnxruntimeEngine:
    """One session, shared by streams and threads.

    Raises MissingExtra, and BundleError for an ONNX file that is not one step of the manifest's network.
    """

    name = "onnxruntime"

    def __init__(self, onnx: bytes, manifest: Manifest, reach: float = LARGEST) -> None:
        self._reach = reach
        self._inputs, self._outputs = len(manifest.channels), len(manifest.labels)
        self._sx = np.array(manifest.input["sx"], np.float32) if manifest.precision == "int8" else None
        self._before = [f"{state.name}_in" for state in manifest.states]
        self._after = [f"{state.name}_out" for state in manifest.states]
        self._session = _open_session(onnx)
        _check_signature(self._session, manifest)
        x, y = (np.zeros((1, width), np.float32) for width in (self._inputs, self._outputs))
        self.step(x, State(manifest.states), y)  # shapes inside the graph are checked by a run alone

    def step(self, x: F32, state: State, out: F32) -> None:
        """One step: x (N, I) -> out (N, C); the state (N, width) is updated in place."""
        self._run("y", x, state, out)

    def step_int(self, xq: I16, state: State, out: I32) -> None:
        """One step in integers: xq (N, I) int16 -> out (N, C) int32 Q16."""
        if self._sx is None:
            raise UsageError("step_int needs an int8 model, this one is float32: use step")
        # The graph divides by sx and rounds. Both roundings are below 2^-8 of a code, so xq comes back exactly.
        self._run("y_q", xq.astype(np.float32) * self._sx, state, out)

    def run(self, x: F32, state: State, out: F32) -> None:
        """T steps of one stream: x (T, I) -> out (T, C)."""
        run_by_steps(self, x, state, out)

    def runs(self, x: F32, rows: I64, where: I64, state: State, out: F32) -> None:
        """Steps of many streams, one stream after the other."""
        runs_by_run(self, x, rows, where, state, out)

    def bind(self, state: State) -> Step:
        """A checked step for the hot path of one stream; it swaps `state.arrays` with a second set at every step."""
        inputs, reach = self._inputs, self._reach
        x = np.zeros((state.streams, inputs), np.float32)
        y = np.zeros((state.streams, self._outputs), np.float32)
        here = state.arrays
        there = tuple(np.zeros_like(array) for array in here)
        forth, back = self._binding(x, y, here, there), self._binding(x, y, there, here)
        row: F32 = y[0]
        run = self._session.run_with_iobinding

        def go(binding: Any) -> None:
            try:
                run(binding)
            except Exception as error:
                raise _cannot_run(error) from error

        def step(sample: Any) -> F32:
            np.copyto(x, as_sample(sample, inputs, reach))
            if state.arrays is here:
                go(forth)
                state.arrays = there
                return row
            if state.arrays is not there:  # somebody else's step stood between: take its values over
                for mine, theirs in zip(there, state.arrays, strict=True):
                    np.copyto(mine, theirs)
            go(back)
            state.arrays = here
            return row

        return step

    def _run(self, output: str, x: F32, state: State, out: Array) -> None:
        feeds = {"x": x, **dict(zip(self._before, state.arrays, strict=True))}
        try:
            came, *after = self._session.run([output, *self._after], feeds)
        except Exception as error:  # onnxruntime's errors have no common root
            raise _cannot_run(error) from error
        np.copyto(out, came)
        for array, new in zip(state.arrays, after, strict=True):
            np.copyto(array, new)

    def _binding(self, x: F32, y: F32, before: tuple[Array, ...], after: tuple[Array, ...]) -> Any:
        binding = self._session.io_binding()
        for name, a in zip(["x", *self._before], [x, *before], strict=True):
            binding.bind_input(name, "cpu", 0, a.dtype.type, a.shape, a.ctypes.data)
        for name, a in zip(["y", *self._after], [y, *after], strict=True):
            binding.bind_output(name, "cpu", 0, a.dtype.type, a.shape, a.ctypes.data)
        return binding


def _open_session(onnx: bytes) -> Any:
    runtime = require()
    scan_onnx(onnx)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 4
    try:
        return runtime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"], enable_fallback=0)
    except Exception as error:  # onnxruntime's errors have no common root
        raise BundleError(f"onnxruntime {runtime.__version__} cannot open model.onnx: {error}") from error


def _cannot_run(error: Exception) -> BundleError:
    return BundleError(f"onnxruntime cannot run a step of model.onnx: {error}")


def _check_signature(session: Any, manifest: Manifest) -> None:
    """Inputs and outputs by name, type and width must be those docs/bundle.md gives for this network."""
    inputs, outputs = len(manifest.channels), len(manifest.labels)
    states = [(s.name, s.dtype, s.width) for s in manifest.states]
    exact = [("y_q", "int32", outputs)] if manifest.precision == "int8" else []
    expected = (
        [("x", "float32", inputs), *((f"{name}_in", dtype, width) for name, dtype, width in states)],
        [("y", "float32", outputs), *exact, *((f"{name}_out", dtype, width) for name, dtype, width in states)],
    )
    came = tuple(
        [(value.name, _ELEMENT.get(value.type, value.type), *value.shape[1:]) for value in side]
        for side in (session.get_inputs(), session.get_outputs())
    )
    if came != expected:
        raise BundleError(f"model.onnx takes and gives {came}, expected {expected}: export it again")
