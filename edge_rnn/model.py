"""A loaded model: a bundle and the engine that runs it. Shared by threads; streams and groups carry the state.

model = edge_rnn.load("gesture.ernn")
stream = model.stream()
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from .bundle import Bundle, read_bundle
from .engine import F32, I16, Engine, State, as_samples, open_engine
from .errors import UsageError
from .golden import self_test
from .manifest import DetectorParams, GapPolicy, Manifest
from .reach import LARGEST
from .stream import Stream


def load(path: str | os.PathLike[str], engine: str = "auto") -> Model:
    """Load a bundle (.ernn) and prove the engine on its golden stream.

    `engine` is "auto", "native", "onnxruntime" or "numpy"; auto is the fastest one here. A bare .onnx that we
    exported loads on onnxruntime alone, without self-test. Raises BundleError for a file that is not a bundle,
    UsageError for an engine that is not here, ParityError when the engine gives other numbers than the bundle.
    """
    if os.fspath(path).endswith(".onnx"):
        return _load_onnx(path, engine)
    return from_bundle(read_bundle(path), engine)


def from_bundle(bundle: Bundle, engine: str = "auto") -> Model:
    """The same for a bundle that is in memory."""
    opened = open_engine(bundle, engine)
    self_test(bundle, opened)
    return Model(bundle.manifest, opened, bundle)


class Model:
    """Weights, manifest and engine. Thread-safe: nothing here changes after loading."""

    def __init__(self, manifest: Manifest, engine: Engine, bundle: Bundle | None = None) -> None:
        self.manifest = manifest
        self.inputs = len(manifest.channels)
        self.outputs = len(manifest.labels)
        self.engine = engine
        self.bundle = bundle
        self.reach = LARGEST if bundle is None else bundle.reach
        """The largest |x| of a sample that `step`, `run` and groups take: beyond it, a float32 sum may overflow."""

    def stream(
        self,
        name: str = "stream",
        detector: Mapping[str, DetectorParams] | None = None,
        gap: GapPolicy | None = None,
    ) -> Stream:
        """A new stream from the zero state; `name` enters its event ids. Detector and gap policy: the bundle's."""
        return Stream(self, name, detector, gap)

    def run(self, samples: Any) -> F32:
        """Logits (T, C) of samples (T, I) from the zero state, in one call; raises UsageError for NaN and Inf."""
        x = as_samples(samples, self.inputs, 2)
        bad = np.flatnonzero(~(np.abs(x) <= self.reach).all(axis=1))
        if bad.size:
            raise UsageError(
                f"sample {bad[0]} holds NaN, Inf or more than {self.reach:.4g}: use stream().push to impute"
            )
        y = np.empty((len(x), self.outputs), np.float32)
        self.engine.run(x, State(self.manifest.states), y)
        return y

    def group(self, streams: int) -> Group:
        """`streams` streams in lockstep."""
        return Group(self, streams)

    def quantize(self, x: F32) -> I16:
        """Int8 models: x_q = sat16(rint(x / sx)), float (..., I) -> int16 (..., I)."""
        if self.manifest.precision != "int8":
            raise UsageError("quantize needs an int8 model, this one is float32")
        from .engines.integer import quantize_input

        return quantize_input(x, np.asarray(self.manifest.input["sx"], np.float32))


class Group:
    """Many streams that step together: bare model, no gap policy, no detector."""

    def __init__(self, model: Model, streams: int) -> None:
        if not 1 <= streams <= 1_000_000:
            raise UsageError(f"a group of {streams} streams was asked for, expected 1..1000000")
        self.model = model
        self.state = State(model.manifest.states, streams)
        self._out = np.zeros((streams, model.outputs), np.float32)

    def step(self, batch: Any) -> F32:
        """One sample of each stream (N, I) -> logits (N, C); the array is reused at the next step."""
        x = as_samples(batch, self.model.inputs, 2)
        if len(x) != self.state.streams or not (np.abs(x) <= self.model.reach).all():
            raise UsageError(
                f"a batch of {self.state.streams} samples of numbers within {self.model.reach:.4g} was expected, "
                f"got {x.shape}: NaN and Inf are none"
            )
        self.model.engine.step(x, self.state, self._out)
        return self._out

    def reset(self) -> None:
        """All streams back to the zero state."""
        self.state.zero()


def _load_onnx(path: str | os.PathLike[str], engine: str) -> Model:
    if engine not in ("auto", "onnxruntime"):
        raise UsageError(f"a bare .onnx runs on onnxruntime alone, not on {engine}: load the .ernn it belongs to")
    import logging

    from .engines.onnxruntime import open_onnx

    manifest, opened = open_onnx(os.fspath(path))
    logging.getLogger("edge_rnn").info("%s: a bare .onnx has no golden stream, the engine is not proven on it", path)
    return Model(manifest, opened)
