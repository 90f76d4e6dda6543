"""What one step costs as a stream: bundles of both precisions where they can be made, and microseconds of the fastest
engine here, all contenders interleaved in one process. What cannot be made or measured is a sentence, never a zero.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_rnn.bench import interleave
from edge_rnn.bundle import Bundle, read_bundle
from edge_rnn.engine import F32, State, Step, available_engines, open_engine
from edge_rnn.errors import EdgeRnnError
from edge_rnn.graph import Graph

from .exporting import export_bundle

ROUNDS = 15
COLD_ROUNDS = 100
COLD_BYTES = 2_400_000
PROOF_STEPS = 1_000


@dataclass(frozen=True)
class Made:
    """A contender's bundle of one precision, or why there is none."""

    bundle: Bundle | None
    reason: str = ""


def make(checkpoint: Path, path: Path, precision: str) -> Made:
    """Export and prove on every engine here."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        export_bundle(checkpoint, path, precision=precision, steps=PROOF_STEPS)
    except EdgeRnnError as error:
        path.unlink(missing_ok=True)
        reason = str(error).replace(str(path), path.name)
        return Made(None, f"{'float only' if precision == 'int8' else 'not exported'}: {reason}")
    return Made(read_bundle(path))


def sizes(graph: Graph) -> dict[str, int]:
    """Bytes of the weights as stored and of one stream's state; multiply-accumulates a step."""
    return {
        "weight_bytes": sum(array.nbytes for array in graph.stored_arrays().values()),
        "state_bytes": sum(spec.width * np.dtype(spec.dtype).itemsize for spec in graph.states),
        "macs": graph.macs,
    }


def steps_of(bundle: Bundle, x: F32) -> dict[str, Step]:
    """Engine -> a bound step, of the engines that take this bundle."""
    found: dict[str, Step] = {}
    for name, missing in available_engines().items():
        if missing is None:
            try:
                step = open_engine(bundle, name).bind(State(bundle.graph.states))
                step(x[0])
            except EdgeRnnError:
                continue
            found[name] = step
    return found


def time_steps(
    bundles: dict[str, Bundle], x: F32, on_round: Callable[[], None] = lambda: None
) -> dict[str, dict[str, Any]]:
    """Name -> {"engine", "p50_us", "p99_us", "cold_us", "engines": {...}} of one step; `engine` is the fastest one.

    `cold_us` is the median after 2.4 MB of other memory was touched, as a 50 Hz loop meets it.
    """
    steps = {(name, engine): s for name, b in bundles.items() for engine, s in steps_of(b, x).items()}
    times = interleave({f"{name}|{engine}": s for (name, engine), s in steps.items()}, x, ROUNDS, on_round=on_round)
    told: dict[str, dict[str, Any]] = {}
    for name in bundles:
        mine = {engine: times[f"{name}|{engine}"] for owner, engine in steps if owner == name}
        if mine:
            best = min(mine, key=lambda engine: mine[engine]["p50_us"])
            each = {engine: figures["p50_us"] for engine, figures in mine.items()}
            told[name] = {"engine": best, **{k: mine[best][k] for k in ("p50_us", "p99_us")}, "engines": each}
    cold = _cold({name: steps[name, row["engine"]] for name, row in told.items()}, x)
    return {name: {**row, "cold_us": cold[name]} for name, row in told.items()}


def _cold(steps: dict[str, Step], x: F32) -> dict[str, float]:
    other, spent = np.zeros(COLD_BYTES // 8), {name: np.empty(COLD_ROUNDS) for name in steps}
    for number in range(COLD_ROUNDS):
        for name, step in steps.items():
            other += 1.0
            before = time.perf_counter_ns()
            step(x[number % len(x)])
            spent[name][number] = time.perf_counter_ns() - before
    return {name: round(float(np.median(times)) / 1e3, 3) for name, times in spent.items()}
