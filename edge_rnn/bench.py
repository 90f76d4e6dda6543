"""Time one step of each engine against the others: interleaved in one process, each call timed, verified first.

A speed is a ratio in one run; machines are noisy, so absolute times are never a verdict.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .engine import F32, Step
from .errors import ParityError

CHUNK = 200


def walk(mean: Sequence[float], std: Sequence[float], steps: int, seed: int = 1) -> F32:
    """Input (steps, I) that looks like a sensor: a slow random walk inside the training range."""
    rng = np.random.default_rng(seed)
    pull = np.zeros((steps, len(mean)))
    for t in range(1, steps):
        pull[t] = 0.95 * pull[t - 1] + 0.3 * rng.standard_normal(len(mean))
    return np.ascontiguousarray(np.asarray(mean) + np.asarray(std) * pull, np.float32)


def check_same(steps: dict[str, Step], x: F32, tolerance: float = 1e-3) -> None:
    """Raise ParityError unless every step function gives the same logits on `x`, to 1e-3 + 1e-3 |y|."""
    results = {name: np.array([np.array(step(sample)) for sample in x]) for name, step in steps.items()}
    first, reference = next(iter(results.items()))
    for name, y in results.items():
        error = np.abs(y - reference) - tolerance * np.abs(reference)
        if not np.all(error <= tolerance):
            raise ParityError(f"{name} and {first} differ by {np.abs(y - reference).max():.3g}: nothing is timed")


def interleave(
    steps: dict[str, Step],
    x: F32,
    rounds: int,
    *,
    clock_ns: Callable[[], int] = time.perf_counter_ns,
    on_round: Callable[[], None] = lambda: None,
) -> dict[str, dict[str, Any]]:
    """Time every call, CHUNK calls of one engine after CHUNK of another: name -> p50, p99, max and min in us.

    The clock's own cost, measured in the same run, is taken off.
    """
    samples = [x[i % len(x)] for i in range(CHUNK)]
    names = [*steps, ""]
    functions: dict[str, Callable[[Any], Any]] = {**steps, "": lambda _: None}
    spent = {name: np.empty((rounds, CHUNK)) for name in names}
    for number in range(-max(1, rounds // 10), rounds):
        for name in names:
            row = _time_calls(functions[name], samples, clock_ns)
            if number >= 0:
                spent[name][number] = row
        on_round()
    idle = float(np.median(spent.pop("")))
    return {name: _figures(times - idle) for name, times in spent.items()}


def ratios(figures: dict[str, dict[str, Any]], base: str) -> dict[str, float]:
    """Name as other/base -> how many times longer the other's median step takes."""
    own = figures[base]["p50_us"]
    return {f"{name}/{base}": round(f["p50_us"] / own, 2) for name, f in figures.items() if name != base and own > 0}


def table(figures: dict[str, dict[str, float]]) -> str:
    """The figures as aligned text, fastest first."""
    rows = [f"{'engine':<14}{'p50 us':>10}{'p99 us':>10}{'max us':>10}"]
    for name, f in sorted(figures.items(), key=lambda item: item[1]["p50_us"]):
        rows.append(f"{name:<14}{f['p50_us']:>10.2f}{f['p99_us']:>10.2f}{f['max_us']:>10.1f}")
    return "\n".join(rows)


def _time_calls(function: Callable[[Any], Any], samples: list[Any], clock_ns: Callable[[], int]) -> list[int]:
    times = []
    for sample in samples:
        before = clock_ns()
        function(sample)
        times.append(clock_ns() - before)
    return times


def _figures(times_ns: Any) -> dict[str, Any]:
    us = np.maximum(times_ns, 0.0) / 1e3
    quantiles = {"min_us": us.min(), "p50_us": np.median(us), "p99_us": np.quantile(us, 0.99), "max_us": us.max()}
    return {**{name: round(float(value), 3) for name, value in quantiles.items()}, "calls": int(us.size)}
