"""Proves engines: against the bundle's golden stream, and against the reference on a long stream. No torch here.

An int8 model is compared bit by bit, outputs and states, with the NumPy integers. A float32 model is compared with
NumPy in float64 (at export, with torch), within TOLERANCE. Never repairs and never chooses: it measures and tells.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .arrays import Array
from .bundle import Bundle
from .engine import F32, I16, Engine, State, engines_for, open_engine
from .engines.integer import IntegerEngine, quantize_input
from .engines.numpy import NumpyEngine, reference_state
from .errors import ParityError
from .graph import Graph
from .probe import probe
from .value import Fields, fresh

SELF_TEST_STEPS = 32
STEPS = 10_000
RESTART = 1_000
"""A float32 model starts again from zero after so many steps: rounding is not to be summed up for ever."""
TOLERANCE = 1e-4
"""Float32: |dy| <= TOLERANCE + TOLERANCE max |y|, the largest logit of the step, or number of the state.

A rounding error is as large as the terms of a sum, which may cancel: each number is not compared with itself.
"""

Progress = Callable[[int], None]


class Agreement(Fields):
    """How one engine agrees with a reference over a stream; errors are of the logits."""

    steps: int = 0
    bit_exact: bool = True
    max_abs_err: float = 0.0
    first_divergent_step: int | None = None

    @property
    def ok(self) -> bool:
        """No step diverged."""
        return self.first_divergent_step is None

    def add(self, exact: bool, error: float, within: bool) -> None:
        """Count one step."""
        self.bit_exact &= exact
        self.max_abs_err = max(self.max_abs_err, error if math.isfinite(error) else math.inf)
        if not within and self.first_divergent_step is None:
            self.first_divergent_step = self.steps
        self.steps += 1

    def to_json(self) -> dict[str, Any]:
        """As `verify --json` prints it; an error that is not finite is null."""
        return {
            "steps": self.steps,
            "bit_exact": self.bit_exact,
            "max_abs_err": self.max_abs_err if math.isfinite(self.max_abs_err) else None,
            "first_divergent_step": self.first_divergent_step,
        }


class Report(Fields):
    """What verify found: per engine the golden stream and the long one, or why the engine was skipped."""

    golden: dict[str, Agreement] = fresh(factory=dict)
    stream: dict[str, Agreement] = fresh(factory=dict)
    skipped: dict[str, str] = fresh(factory=dict)

    @property
    def ok(self) -> bool:
        """Every engine that ran agrees."""
        return all(agreement.ok for agreement in (*self.golden.values(), *self.stream.values()))

    def differences(self) -> str:
        """Which engine differs, from which step on and by how much; empty when all agree."""
        streams = (("the golden stream", self.golden), ("the probe stream", self.stream))
        return "; ".join(
            f"{name} on {where} from step {agreement.first_divergent_step} (logits by {agreement.max_abs_err:.3g})"
            for where, found in streams
            for name, agreement in found.items()
            if not agreement.ok
        )

    def to_json(self) -> dict[str, Any]:
        """The promised form, with the golden stream's result beside the long stream's."""
        engines: dict[str, Any] = {name: {"skipped": reason} for name, reason in self.skipped.items()}
        for name, agreement in self.stream.items():
            engines[name] = {**agreement.to_json(), "golden": self.golden[name].to_json()}
        return {"engines": engines, "ok": self.ok}


class _Lane:
    """One engine on its way along a stream, through the calls its users make."""

    def __init__(self, engine: Engine, graph: Graph) -> None:
        self.state = State(graph.states)
        self._engine, self._step = engine, engine.bind(self.state)
        self._y_q = np.zeros((1, graph.outputs), np.int32)

    def take(self, t: int, x: F32, code: I16 | None) -> Array:
        """Logits (C,) of the next sample; int8: at odd steps through `step_int`, int32 Q16, on the same state."""
        if code is None or t % 2 == 0:
            return self._step(x)
        self._engine.step_int(code[None], self.state, self._y_q)
        return np.asarray(self._y_q[0])


def self_test(bundle: Bundle, engine: Engine, steps: int = SELF_TEST_STEPS) -> None:
    """Replay the first golden steps as a stream would run them; raises ParityError at the first that differs."""
    agreement = compare_golden(bundle, engine, steps)
    if not agreement.ok:
        raise ParityError(
            f"engine {engine.name} gives other numbers than {bundle.manifest.title} promises, by "
            f"{agreement.max_abs_err:.3g} from golden step {agreement.first_divergent_step}: "
            "use another engine and report what `edge-rnn verify` prints"
        )


def compare_golden(bundle: Bundle, engine: Engine, steps: int | None = None) -> Agreement:
    """Golden steps one by one, or (steps None) all of them, also in one `run`, and the final state."""
    golden, graph = bundle.golden, bundle.graph
    x, y = golden["x"][:steps], golden["y"][:steps]
    codes = _codes(graph, x)
    agreement, lane = Agreement(), _Lane(engine, graph)
    with np.errstate(over="ignore", invalid="ignore"):
        whole, state = y, lane.state
        if steps is None:
            whole, state = np.zeros_like(y), State(graph.states)
            engine.run(x, state, whole)
        for t in range(len(x)):
            came = lane.take(t, x[t], codes[t])
            pairs = [(whole[t], y[t])]
            if steps is None and t == len(x) - 1:
                ends = [golden[f"state.{spec.name}"] for spec in graph.states]
                pairs += [(a[0], end) for each in (state, lane.state) for a, end in zip(each.arrays, ends, strict=True)]
            _count(agreement, graph, came, golden["y_q"][t] if came.dtype.kind == "i" else y[t], pairs)
    return agreement


def verify(
    bundle: Bundle,
    engine: str | None = None,
    steps: int = STEPS,
    *,
    reference: Engine | None = None,
    progress: Progress | None = None,
) -> Report:
    """Golden stream, then `steps` of `probe`, for one engine or for all that are here.

    `reference` replaces NumPy float64 for a float32 model. `progress` is called with the number of steps done.
    Raises UsageError when the engine that was named is not here.
    """
    report = Report()
    engines = _open(bundle, engine, report)
    for opened in engines:
        report.golden[opened.name] = compare_golden(bundle, opened)
    x = probe(bundle.manifest.channels, steps)
    report.stream = _compare(bundle.graph, engines, x, reference, progress)
    return report


def _open(bundle: Bundle, name: str | None, report: Report) -> list[Engine]:
    if name is not None:
        return [open_engine(bundle, name)]
    engines, report.skipped = engines_for(bundle)
    return list(engines.values())


def _compare(
    graph: Graph, engines: Sequence[Engine], x: F32, reference: Engine | None, progress: Progress | None
) -> dict[str, Agreement]:
    """All engines in lockstep, so that of the states nothing but the present step is held."""
    found = {engine.name: Agreement() for engine in engines}
    lanes = {engine.name: _Lane(engine, graph) for engine in engines}
    codes = _codes(graph, x)
    with np.errstate(over="ignore", invalid="ignore"):
        for t, (y, y_q, states) in enumerate(_truth(graph, x, codes, reference)):
            for name, lane in lanes.items():
                if graph.precision == "float32" and t % RESTART == 0:
                    lane.state.zero()
                came = lane.take(t, x[t], codes[t])
                pairs = list(zip(lane.state.arrays, states, strict=True)) if states else []
                _count(found[name], graph, came, y_q if came.dtype.kind == "i" else y, pairs)
            if progress:
                progress(t + 1)
    return found


def _truth(
    graph: Graph, x: F32, codes: Sequence[I16 | None], reference: Engine | None
) -> Iterator[tuple[Array, Array, tuple[Array, ...]]]:
    """Step by step the logits as floats and as integers, and the states where they must agree (int8)."""
    if graph.precision == "int8":
        engine, state, y_q = IntegerEngine(graph), State(graph.states), np.zeros((1, graph.outputs), np.int32)
        for code in codes:
            engine.step_int(np.asarray(code)[None], state, y_q)
            yield np.asarray(y_q[0] / 65536, np.float32), y_q[0], state.arrays
        return
    truth = reference or NumpyEngine(graph, np.float64)
    for start in range(0, len(x), RESTART):
        block = x[start : start + RESTART]
        y: Array = np.zeros((len(block), graph.outputs), np.float32 if reference else np.float64)
        truth.run(block, State(graph.states) if reference else reference_state(graph), y)
        for logits in y:
            yield logits, logits, ()


def _codes(graph: Graph, x: F32) -> Sequence[I16 | None]:
    if graph.precision == "float32":
        return [None] * len(x)
    return list(quantize_input(x, graph.arrays["sx"]))


def _count(agreement: Agreement, graph: Graph, came: Array, y: Array, more: Sequence[tuple[Array, Array]]) -> None:
    """One step: logits that came and that were expected, and `more` pairs that must agree as well."""
    pairs = [(came, y), *more]
    exact = all(np.array_equal(a, b.astype(a.dtype)) for a, b in pairs)
    within = exact
    if graph.precision == "float32" and not exact:
        within = all(bool(close(a, b)) for a, b in pairs)
    unit = 2.0**-16 if came.dtype.kind == "i" else 1.0
    agreement.add(exact, unit * float(np.max(np.abs(came.astype(np.float64) - y))), within)


def close(came: Array, expected: Array) -> npt.NDArray[np.bool_]:
    """Of each row (..., width), whether all its numbers are within TOLERANCE of the largest expected; NaN is not."""
    scale = np.max(np.abs(expected), axis=-1, keepdims=True, initial=0.0)
    rows: npt.NDArray[np.bool_] = np.all(np.abs(came - expected) <= TOLERANCE + TOLERANCE * scale, axis=-1)
    return rows
