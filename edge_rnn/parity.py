"""Proves engines against the reference on a long stream, beside the golden one. No torch here.

An int8 model is compared bit by bit, outputs and states, with the NumPy integers. A float32 model is compared with
NumPy in float64 (at export, with torch), within golden.TOLERANCE. Never repairs and never chooses: it measures and
tells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from .arrays import Array
from .bundle import Bundle
from .engine import F32, I16, Engine, State, engines_for, open_engine
from .engines.integer import IntegerEngine
from .engines.numpy import NumpyEngine, reference_state
from .golden import Agreement, Lane, codes_of, compare_golden, count_step
from .graph import Graph
from .probe import probe
from .value import Fields, fresh

STEPS = 10_000
RESTART = 1_000
"""A float32 model starts again from zero after so many steps: rounding is not to be summed up for ever."""

Progress = Callable[[int], None]


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
    lanes = {engine.name: Lane(engine, graph) for engine in engines}
    codes = codes_of(graph, x)
    with np.errstate(over="ignore", invalid="ignore"):
        for t, (y, y_q, states) in enumerate(_truth(graph, x, codes, reference)):
            for name, lane in lanes.items():
                if graph.precision == "float32" and t % RESTART == 0:
                    lane.state.zero()
                came = lane.take(t, x[t], codes[t])
                pairs = list(zip(lane.state.arrays, states, strict=True)) if states else []
                count_step(found[name], graph, came, y_q if came.dtype.kind == "i" else y, pairs)
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
