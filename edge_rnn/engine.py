"""What an engine is: a pure step over a state that the caller owns. Opening one by name.

    engine.step(x, state, out)        x (N, I) float32, out (N, C) float32: one step of N streams
    engine.step_int(xq, state, out)   int8 models: xq (N, I) int16, out (N, C) int32 Q16 logits
    engine.run(x, state, out)         x (T, I), out (T, C): T steps of one stream
    engine.runs(x, rows, where, state, out)   the same for many of the streams of a state
    engine.bind(state)                a function sample (I,) -> logits (C,) on that state, for the hot path

Weights are shared and read-only, so one engine serves many streams and threads; a state serves one.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from .arrays import Array, NDArray
from .errors import EdgeRnnError, SnapshotError, UsageError
from .graph import StateSpec
from .reach import LARGEST

if TYPE_CHECKING:
    from .bundle import Bundle

F32 = NDArray[np.float32]
I16 = NDArray[np.int16]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
Step = Callable[[Any], F32]


class State:
    """The recurrent state of N streams: one array (N, width) per `Graph.states` entry, zero at first."""

    __slots__ = ("arrays", "specs", "streams")

    def __init__(self, specs: tuple[StateSpec, ...], streams: int = 1) -> None:
        self.specs = specs
        self.streams = streams
        self.arrays: tuple[Array, ...] = tuple(np.zeros((streams, s.width), s.dtype) for s in specs)

    def move(self, arrays: tuple[Array, ...]) -> None:
        """From now on live in these arrays, parts of some that many states share."""
        for mine, theirs in zip(self.arrays, arrays, strict=True):
            np.copyto(theirs, mine)
        self.arrays = arrays

    def zero(self) -> None:
        """Back to the state before the first sample."""
        for array in self.arrays:
            array.fill(0)

    def copy(self) -> State:
        """An independent state with the same values."""
        twin = State(self.specs, self.streams)
        for mine, theirs in zip(self.arrays, twin.arrays, strict=True):
            np.copyto(theirs, mine)
        return twin

    def to_bytes(self) -> bytes:
        """Little-endian, array after array."""
        return b"".join(np.ascontiguousarray(a, dtype=a.dtype.newbyteorder("<")).tobytes() for a in self.arrays)

    def from_bytes(self, blob: bytes) -> None:
        """Take the values `to_bytes` gave; raises SnapshotError when the length is another."""
        size = sum(a.nbytes for a in self.arrays)
        if len(blob) != size:
            raise SnapshotError(f"a state of {len(blob)} bytes came, this model's has {size}: is it another model's?")
        offset = 0
        for array in self.arrays:
            little = np.frombuffer(blob, array.dtype.newbyteorder("<"), array.size, offset)
            np.copyto(array, little.reshape(array.shape))
            offset += array.nbytes


class Engine(Protocol):
    """One way to compute a graph. All engines give the same bits (int8) or the same numbers (float32)."""

    name: str

    def step(self, x: F32, state: State, out: F32) -> None:
        """One step of N streams: x (N, I) -> out (N, C), the state updated in place."""
        ...

    def step_int(self, xq: I16, state: State, out: I32) -> None:
        """The same in exact integers, for int8 models; raises UsageError for others."""
        ...

    def run(self, x: F32, state: State, out: F32) -> None:
        """T steps of one stream: x (T, I) -> out (T, C)."""
        ...

    def runs(self, x: F32, rows: I64, where: I64, state: State, out: F32) -> None:
        """`rows[m]` > 0 steps of stream `where[m]`: x (R, I) -> out (R, C), one stream's rows after the other's."""
        ...

    def bind(self, state: State) -> Step:
        """A checked function sample -> logits (C,) on that state; the array is reused at the next call."""
        ...


# Best first. The value is the module under edge_rnn.engines, each with `open_bundle(bundle) -> Engine` and `require()`.
ENGINES = {"native": "native", "numpy": "numpy", "onnxruntime": "onnxruntime"}


def open_engine(bundle: Bundle, name: str = "auto") -> Engine:
    """Open an engine by name; "auto" is the fastest one this machine has."""
    if name != "auto":
        if name not in ENGINES:
            raise UsageError(f"engine {name!r} is unknown, expected auto, {', '.join(ENGINES)}")
        return _open(name, bundle)
    try:
        return _open("native", bundle)
    except EdgeRnnError as error:
        _say_once(str(error))
        return _open("numpy", bundle)


@functools.cache
def _say_once(reason: str) -> None:
    import logging  # here and in model.py: most processes have nothing to say while they load

    logging.getLogger("edge_rnn").warning("models run on NumPy: %s", reason)


def _open(name: str, bundle: Bundle) -> Engine:
    engine: Engine = _module(name).open_bundle(bundle)
    return engine


def _module(name: str) -> ModuleType:
    module = f"edge_rnn.engines.{ENGINES[name]}"
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise UsageError(f"this edge-rnn has no engine {name}: use another one, or none to choose the best") from error


def available_engines() -> dict[str, str | None]:
    """Engine name -> None when it can be opened here, else the reason why not."""
    reasons: dict[str, str | None] = {}
    for name in ENGINES:
        try:
            _module(name).require()
            reasons[name] = None
        except UsageError as error:
            reasons[name] = str(error)
    return reasons


def engines_for(bundle: Bundle) -> tuple[dict[str, Engine], dict[str, str]]:
    """Every engine of this machine that takes the bundle; and the name of every other -> the reason why not."""
    opened: dict[str, Engine] = {}
    reasons: dict[str, str] = {}
    for name in ENGINES:
        try:
            opened[name] = _open(name, bundle)
        except UsageError as error:
            reasons[name] = str(error)
    return opened, reasons


def as_sample(sample: Any, inputs: int, reach: float = LARGEST) -> F32:
    """One sample as contiguous float32 (1, I); refuses another shape, NaN, Inf, what is beyond `reach` or no number."""
    x = as_samples(sample, inputs, 1)
    if not np.isfinite(x).all():
        raise UsageError(f"a sample of {inputs} finite numbers was expected, got {sample!r}: use push to impute")
    if (np.abs(x) > reach).any():
        raise UsageError(
            f"a sample within {reach:.4g} was expected, got {sample!r}: beyond it this model's sums overflow"
        )
    return x.reshape(1, inputs)


def as_samples(samples: Any, inputs: int, ndim: int) -> F32:
    """Numbers as contiguous, aligned float32 whose last axis is I; raises UsageError for other shapes and kinds."""
    try:
        x = np.asarray(samples)
    except (ValueError, TypeError) as error:  # rows of different lengths
        raise UsageError(f"samples of {inputs} real numbers each were expected: {error}") from error
    if x.dtype.kind not in "fiub":
        raise UsageError(f"samples of real numbers were expected, got dtype {x.dtype}")
    if x.ndim != ndim or x.shape[-1] != inputs:
        form = ", ".join(["T"] * (ndim - 1) + [str(inputs)])
        raise UsageError(f"samples of shape ({form}) were expected, got {x.shape}: check the channels")
    with np.errstate(over="ignore"):
        plain = np.ascontiguousarray(x, np.float32)
    return plain if plain.flags.aligned else plain.copy()  # a view into bytes may begin anywhere


@functools.cache
def in_c(name: str) -> Any:
    """A function of the extension by name; None where it was not built, or from sources that had no such function."""
    try:
        return getattr(importlib.import_module("edge_rnn._native"), name, None)
    except ImportError:
        return None
