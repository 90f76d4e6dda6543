"""Interleaved timing: short chunks of each contestant in turn, so that all see the same weather."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

Call = Callable[[], Any]


def over(step: Callable[[Any], Any], samples: list[Any]) -> Call:
    """A chunk: one call of `step` for each sample. The loop's own cost (15 ns a step) counts against everyone."""

    def chunk() -> None:
        for sample in samples:
            step(sample)

    return chunk


def interleave(calls: dict[str, Call], per_call: dict[str, int], seconds: float) -> dict[str, dict[str, float]]:
    """Name -> minimum and median us a step. Each contestant's turn lasts about 2 ms, the first call of it untimed."""
    turn_ns, spent = 2_000_000, {name: [] for name in calls}  # type: tuple[int, dict[str, list[int]]]
    repeats = {}
    for name, call in calls.items():
        call()
        before = time.perf_counter_ns()
        call()
        repeats[name] = max(1, turn_ns // max(1, time.perf_counter_ns() - before))
    until, rounds = time.perf_counter() + seconds, 0
    while rounds < 10 or time.perf_counter() < until:
        rounds += 1
        for name, call in calls.items():
            call()
            for _ in range(repeats[name]):
                before = time.perf_counter_ns()
                call()
                spent[name].append(time.perf_counter_ns() - before)
    return {name: figures(np.array(times) / per_call[name]) for name, times in spent.items()}


def figures(ns: Any) -> dict[str, float]:
    """Minimum and median in us."""
    return {"min_us": round(float(ns.min()) / 1e3, 4), "p50_us": round(float(np.median(ns)) / 1e3, 4)}


def tail(steps: dict[str, Callable[[Any], Any]], samples: list[Any], rounds: int) -> dict[str, dict[str, float]]:
    """Each call timed on its own: p50, p99 and max in us, the clock's cost (about 0.05) included."""
    spent: dict[str, list[int]] = {name: [] for name in steps}
    clock = time.perf_counter_ns
    for _ in range(rounds):
        for name, step in steps.items():
            for sample in samples:
                before = clock()
                step(sample)
                spent[name].append(clock() - before)
    return {name: tail_figures(np.array(times) / 1e3) for name, times in spent.items()}


def tail_figures(us: Any) -> dict[str, float]:
    """p50, p99 and max."""
    values = {"p50_us": np.median(us), "p99_us": np.quantile(us, 0.99), "max_us": us.max()}
    return {name: round(float(value), 3) for name, value in values.items()}


def cold(steps: dict[str, Callable[[Any], Any]], samples: list[Any], rounds: int) -> dict[str, float]:
    """Median us of a step after 2.4 MB of other memory was touched, as a 50 to 1000 Hz loop meets it."""
    spent: dict[str, list[int]] = {name: [] for name in steps}
    other = np.zeros(2_400_000 // 8)
    clock = time.perf_counter_ns
    for round_ in range(rounds):
        for name, step in steps.items():
            other += 1.0
            before = clock()
            step(samples[round_ % len(samples)])
            spent[name].append(clock() - before)
    return {name: round(float(np.median(times)) / 1e3, 3) for name, times in spent.items()}


def agree(outputs: dict[str, Any], tolerance: float) -> None:
    """Raise ValueError unless all logits are the first one's, within the tolerance."""
    (first, reference), *others = outputs.items()
    for name, y in others:
        error = float(np.abs(np.asarray(y) - reference).max())
        if not error <= tolerance:
            raise ValueError(f"{name} differs from {first} by {error:.3g}: nothing is timed")


def collect(step: Callable[[Any], Any], samples: Iterable[Any]) -> Any:
    """The logits of every sample."""
    return np.array([np.array(step(sample)) for sample in samples])
