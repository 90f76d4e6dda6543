"""State lint: what a recurrent model does over minutes and hours, before it ships. Model in, figures out; no files.

settle    a stream from the zero state and one that has run on for long, on the same input: how long until they agree
memory    one second of loud input in a calm stream: how long until nothing of it is left in the probabilities
idle      an hour of the channels' mean values: how far probabilities wander after the first minute
units     how much of their time the units of each state are at their stop, and which never move

"Agree" is a difference of at most AGREE in every probability from then on, in the median and the worst of TRIALS.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .bench import walk
from .detect import softmax
from .engine import F32, State
from .model import Model
from .tracks import F64

AGREE = 0.05
TRIALS = 8
LONGEST_S = 120.0
IDLE_S = 3600.0
MOST_IDLE_STEPS = 200_000
STOP = 0.995
_ONE = {"h": {"float32": 1.0, "int16": 2.0**15}, "s": {"int32": 2.0**28}, "c": {"float32": 1.0, "int32": 2.0**20}}


@dataclass(frozen=True)
class Dynamics:
    """Seconds and shares; curves for the picture: (T,) worst difference in the median trial, (M, C) idle."""

    rate_hz: float
    labels: tuple[str, ...]
    settle_s: tuple[float, float]
    memory_s: tuple[float, float]
    idle_drift: float
    idle_decision: tuple[str, str]
    idle_hours: float
    units: dict[str, dict[str, float]]
    settle_curve: F64
    memory_curve: F64
    idle_curve: F64
    warmup_s: float

    def warnings(self) -> list[str]:
        """Sentences on what a user would rather know before shipping."""
        found = []
        if self.settle_s[1] >= LONGEST_S:
            found.append(f"two streams may not agree after {LONGEST_S:g} s: the state latches, reset it on purpose")
        elif self.settle_s[0] > self.warmup_s > 0:
            found.append(
                f"it settles in {self.settle_s[0]:.2g} s, the warm-up is {self.warmup_s:.2g} s: "
                "train on longer stretches, or expect less after a reset"
            )
        if self.idle_drift > 0.2:
            before, after = self.idle_decision
            wander = f"and decides {after} instead of {before}" if before != after else "without another decision"
            found.append(f"in an idle hour a probability wanders by {self.idle_drift:.2f}, {wander}")
        for name, unit in self.units.items():
            if unit["at_stop"] > 0.5:
                found.append(f"state {name}: units are at their stop {100 * unit['at_stop']:.0f} % of the time")
            if unit["still"] > 0.25:
                found.append(
                    f"state {name}: {100 * unit['still']:.0f} % of the units never move: a smaller net would do"
                )
        return found

    def to_json(self) -> dict[str, Any]:
        """For `inspect --dynamics --json`."""
        pairs = {"settle_s": self.settle_s, "memory_s": self.memory_s}
        spans = {name: {"median": round(a, 3), "worst": round(b, 3)} for name, (a, b) in pairs.items()}
        idle = {"hours": round(self.idle_hours, 3), "drift": round(self.idle_drift, 4), "decision": self.idle_decision}
        units = {name: {key: round(v, 4) for key, v in unit.items()} for name, unit in self.units.items()}
        return {**spans, "idle": idle, "units": units, "warnings": self.warnings()}


def measure(model: Model, seed: int = 1) -> Dynamics:
    """Measure; about a million steps at 50 Hz."""
    manifest = model.manifest
    rate = manifest.rate_hz
    steps = max(50, round(LONGEST_S * rate))
    mean, std = ([getattr(c, key) for c in manifest.channels] for key in ("mean", "std"))
    settle, memory = np.zeros((TRIALS, steps)), np.zeros((TRIALS, steps))
    visited: list[list[np.ndarray[Any, Any]]] = []
    for trial in range(TRIALS):
        x = walk(mean, std, 2 * steps, seed + trial)
        old, fresh = State(manifest.states), State(manifest.states)
        _run(model, x[:steps], old)
        settle[trial] = _apart(_run(model, x[steps:], old), _run(model, x[steps:], fresh))
        calm = np.ascontiguousarray(np.asarray(mean) + 0.3 * (x[steps:] - np.asarray(mean)), np.float32)
        struck = fresh.copy()
        burst = walk(mean, [3 * s for s in std], max(1, round(rate)), seed + 100 + trial)
        _run(model, burst, struck)
        _run(model, calm[: len(burst)], fresh)
        memory[trial] = _apart(_run(model, calm, fresh), _run(model, calm, struck))
        visited.append(_visit(model, x[:steps]))
    idle_p, idle_hours = _idle(model, mean)
    minute = min(len(idle_p) - 1, 1)
    worst = np.abs(idle_p[minute:] - idle_p[minute]).max()
    decisions = (manifest.labels[int(idle_p[minute].argmax())], manifest.labels[int(idle_p[-1].argmax())])
    warmup = manifest.warmup_samples / rate
    curves = (np.median(settle, axis=0), np.median(memory, axis=0), idle_p)
    spans = (_span(settle, rate), _span(memory, rate))
    units = _units(model, visited)
    return Dynamics(rate, manifest.labels, *spans, float(worst), decisions, idle_hours, units, *curves, warmup)


def _run(model: Model, x: F32, state: State) -> F64:
    y = np.empty((len(x), model.outputs), np.float32)
    model.engine.run(np.ascontiguousarray(x), state, y)
    return softmax(y)


def _apart(one: F64, other: F64) -> F64:
    """The largest difference of any probability at each step, or later: when it is small it stays so."""
    apart: F64 = np.abs(one - other).max(axis=1)
    later: F64 = np.maximum.accumulate(apart[::-1])[::-1]
    return later


def _span(apart: F64, rate_hz: float) -> tuple[float, float]:
    """Seconds until the trials agree: median, worst."""
    seconds = [float(np.sum(trial > AGREE)) / rate_hz for trial in apart]
    return float(np.median(seconds)), max(seconds)


def _idle(model: Model, mean: list[float]) -> tuple[F64, float]:
    """Probabilities (M, C) once a minute over an hour of mean values, and how many hours were run."""
    rate = model.manifest.rate_hz
    minute = max(1, round(60 * rate))
    minutes = max(2, min(round(IDLE_S / 60), MOST_IDLE_STEPS // minute))
    x = np.tile(np.asarray(mean, np.float32), (minute, 1))
    state = State(model.manifest.states)
    rows = [_run(model, x, state)[-1] for _ in range(minutes)]
    return np.array(rows), minutes * minute / rate / 3600


def _visit(model: Model, x: F32) -> list[np.ndarray[Any, Any]]:
    """The state's arrays (K, width) at every 10th step."""
    state, kept = State(model.manifest.states), []
    for at in range(0, len(x) - 10, 10):
        _run(model, x[at : at + 10], state)
        kept.append([array[0].copy() for array in state.arrays])
    return [np.array(column) for column in zip(*kept, strict=True)]


def _units(model: Model, visited: list[list[np.ndarray[Any, Any]]]) -> dict[str, dict[str, float]]:
    units = {}
    for index, spec in enumerate(model.manifest.states):
        name = spec.name.rstrip("0123456789")
        if name not in _ONE:
            continue  # a past of samples, keys or values has no units that could be stuck
        values = np.concatenate([trial[index] for trial in visited]) / _ONE[name][spec.dtype]
        unit = {"still": float(np.mean(np.ptp(values, axis=0) < 1e-3)), "largest": float(np.abs(values).max())}
        bounded = name != "c"
        units[spec.name] = {"at_stop": float(np.mean(np.abs(values) > STOP)) if bounded else 0.0, **unit}
    return units
