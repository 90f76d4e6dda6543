"""Proves an engine on the bundle's golden stream, as every load does before it is used. No torch here.

An int8 model is compared bit by bit, a float32 model within TOLERANCE; the final state too, when the whole stream is
run. Never repairs and never chooses: it measures and tells.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .arrays import Array, NDArray
from .bundle import Bundle
from .engine import F32, I16, Engine, State
from .errors import ParityError
from .graph import Graph
from .value import Fields

SELF_TEST_STEPS = 32
TOLERANCE = 1e-4
"""Float32: |dy| <= TOLERANCE + TOLERANCE max |y|, the largest logit of the step, or number of the state.

A rounding error is as large as the terms of a sum, which may cancel: each number is not compared with itself.
"""


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


class Lane:
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
    codes = codes_of(graph, x)
    agreement, lane = Agreement(), Lane(engine, graph)
    with np.errstate(over="ignore", invalid="ignore"):
        whole, state = np.zeros_like(y), State(graph.states)
        if steps is None:
            engine.run(x, state, whole)
        for t in range(len(x)):
            came = lane.take(t, x[t], codes[t])
            pairs = [(whole[t], y[t])] if steps is None else []
            if steps is None and t == len(x) - 1:
                ends = [golden[f"state.{spec.name}"] for spec in graph.states]
                pairs += [(a[0], end) for each in (state, lane.state) for a, end in zip(each.arrays, ends, strict=True)]
            count_step(agreement, graph, came, golden["y_q"][t] if came.dtype.kind == "i" else y[t], pairs)
    return agreement


def codes_of(graph: Graph, x: F32) -> Sequence[I16 | None]:
    """The input of `step_int` (T, I) for int8 models, None a step for others."""
    if graph.precision == "float32":
        return [None] * len(x)
    from .engines.integer import quantize_input

    return list(quantize_input(x, graph.arrays["sx"]))


def count_step(agreement: Agreement, graph: Graph, came: Array, y: Array, more: Sequence[tuple[Array, Array]]) -> None:
    """One step: logits that came and that were expected, and `more` pairs that must agree as well."""
    pairs = [(came, y), *more]
    exact = all(np.array_equal(a, b.astype(a.dtype)) for a, b in pairs)
    error = float(np.abs(came.astype(np.float64) - y).max()) * (2.0**-16 if came.dtype.kind == "i" else 1.0)
    within = exact
    if graph.precision == "float32" and not exact:
        within = all(bool(close(a, b)) for a, b in (more if error <= TOLERANCE else pairs))
    agreement.add(exact, error, within)


def close(came: Array, expected: Array) -> NDArray[np.bool_]:
    """Of each row (..., width), whether all its numbers are within TOLERANCE of the largest expected; NaN is not."""
    scale = np.max(np.abs(expected), axis=-1, keepdims=True, initial=0.0)
    rows: NDArray[np.bool_] = np.all(np.abs(came - expected) <= TOLERANCE + TOLERANCE * scale, axis=-1)
    return rows
