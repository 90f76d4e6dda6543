"""Probabilities in, decisions out: smoothing, hysteresis, minimum duration, refractory time, re-arming.

Per class, at every sample: p is an exponential moving average of the probability. Idle -> active when p >= enter
for min_ms without a break; active -> idle when p < exit; then silence for refractory_ms, and a new start only after
p < exit again. Classes are independent. Time is the sample index; no clock and no I/O here.
"""

from __future__ import annotations

import functools
import importlib
import math
import struct
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from .errors import SnapshotError
from .manifest import DetectorParams
from .tracks import ACTIVE, CANDIDATE, F64, IDLE, REARMING, Decision, Rule, Track, advance, leap

LEAP = 64
"""Samples from which on a class is looked at as a block."""
_TRACK = struct.Struct("<IdBqqqd")


def smoothing_factor(smooth_ms: float, rate_hz: float) -> float:
    """The weight of the newest probability, 1 - exp(-1000 / (smooth_ms * rate_hz)): 63 % of a step after smooth_ms."""
    return 1.0 if smooth_ms == 0 else -math.expm1(-1000.0 / (smooth_ms * rate_hz))


def samples_of(ms: float, rate_hz: float) -> int:
    """How many sample periods cover a time."""
    return math.ceil(ms * rate_hz / 1000.0 - 1e-9)


def softmax(logits: npt.NDArray[np.float32]) -> F64:
    """Class probabilities (T, C) of logits (T, C), summed column by column so that a cut of T changes no bit."""
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=1, keepdims=True)
    e: F64 = np.exp(shifted)
    total = e[:, 0].copy()
    for k in range(1, e.shape[1]):
        total += e[:, k]
    e /= total[:, None]
    return e


class Detector:
    """Decides, sample by sample, which classes are on. `rules` holds label index -> parameters."""

    def __init__(self, rules: dict[int, DetectorParams], rate_hz: float) -> None:
        self._rules = [
            Rule(
                label,
                smoothing_factor(params.smooth_ms, rate_hz),
                params.enter,
                params.exit,
                samples_of(params.min_ms, rate_hz),
                samples_of(params.refractory_ms, rate_hz),
            )
            for label, params in sorted(rules.items())
        ]
        self._tracks = [Track() for _ in self._rules]
        self._next = 0  # the sample after the last one

    @property
    def next_index(self) -> int | None:
        """The sample after the last one; None where nothing is watched."""
        return self._next if self._rules else None

    @property
    def active(self) -> bool:
        """Whether any class is watched."""
        return bool(self._rules)

    def push(self, probabilities: F64, first: int) -> list[Decision]:
        """Take probabilities (T, C) of the samples from `first` on; decisions in order of time, then label.

        Samples left out since the last push are a break: a class that was about to start begins its minimum again.
        """
        return push_abreast([self], probabilities[None], [first])[0]

    def same_rules(self, other: Detector) -> bool:
        """Whether both decide alike."""
        return self._rules == other._rules

    def _decide(self, averages: F64, lowest: list[float], highest: list[float], first: int) -> list[Decision]:
        """Take averages (T, K) with the least and the largest of each column."""
        decisions: list[Decision] = []
        if first != self._next:
            for track in self._tracks:
                track.phase = IDLE if track.phase == CANDIDATE else track.phase
        self._next = first + len(averages)
        if not len(averages):
            return decisions
        for column, (rule, track) in enumerate(zip(self._rules, self._tracks, strict=True)):
            # Most chunks decide nothing: idle and never over enter, or active and never under exit.
            if track.phase == IDLE and highest[column] < rule.enter:
                continue
            if track.phase == ACTIVE and lowest[column] >= rule.exit:
                track.peak = max(track.peak, highest[column])
                continue
            if len(averages) >= LEAP:
                leap(rule, track, averages[:, column], first, decisions)
                continue
            for index, p in enumerate(averages[:, column].tolist(), first):
                advance(rule, track, p, index, decisions)
        if len(decisions) > 1:
            decisions.sort(key=lambda decision: decision.at)  # stable: label by label within a sample
        return decisions

    def end(self, at: int, reason: str) -> list[Decision]:
        """End what is active and forget everything, as after a reset."""
        ended = [
            Decision(rule.label, track.first, at, track.started, track.peak, reason)
            for rule, track in zip(self._rules, self._tracks, strict=True)
            if track.phase == ACTIVE
        ]
        self._tracks = [Track() for _ in self._rules]
        return ended

    def snapshot(self) -> bytes:
        """What is remembered, as bytes."""
        tracks = zip(self._rules, self._tracks, strict=True)
        packed = (_TRACK.pack(r.label, t.p, t.phase, t.first, t.started, t.ready, t.peak) for r, t in tracks)
        return self._next.to_bytes(8, "little") + b"".join(packed)

    def restore(self, blob: bytes) -> None:
        """Take what `snapshot` gave; raises SnapshotError when it is of another number of classes."""
        try:
            rows = list(_TRACK.iter_unpack(blob[8:]))
        except struct.error as error:
            raise SnapshotError("the snapshot's detector is truncated: take a new one") from error
        if [row[0] for row in rows] != [rule.label for rule in self._rules]:
            raise SnapshotError("the snapshot's detector watches other classes than this stream's")
        tracks = [Track(*row[1:]) for row in rows]
        if any(track.phase > REARMING for track in tracks):
            raise SnapshotError("the snapshot's detector is in a phase that does not exist: it is damaged")
        self._tracks, self._next = tracks, int.from_bytes(blob[:8], "little")


def push_abreast(detectors: Sequence[Detector], probabilities: F64, firsts: Sequence[int]) -> list[list[Decision]]:
    """`push` of N detectors with the same rules: probabilities (N, T, C), each one's from sample `firsts[n]` on."""
    rules, (streams, rows, _) = detectors[0]._rules, probabilities.shape
    if not rows or not rules:
        return [
            d._decide(p, [], [], first) for d, p, first in zip(detectors, probabilities[:, :0], firsts, strict=True)
        ]
    watched = probabilities[:, :, [rule.label for rule in rules]]
    averages: F64 = np.ascontiguousarray(watched.transpose(1, 0, 2)).reshape(rows, streams * len(rules))
    tracks = [track for detector in detectors for track in detector._tracks]
    last = np.array([track.p for track in tracks])
    _moving_average()(averages, last, np.array([rule.alpha for rule in rules] * streams))
    for track, p in zip(tracks, last.tolist(), strict=True):
        track.p = p
    lowest, highest = averages.min(axis=0).tolist(), averages.max(axis=0).tolist()
    found = []
    for at, (detector, first) in enumerate(zip(detectors, firsts, strict=True)):
        mine = slice(at * len(rules), (at + 1) * len(rules))
        found.append(detector._decide(averages[:, mine], lowest[mine], highest[mine], first))
    return found


@functools.cache
def _moving_average() -> Callable[[F64, F64, F64], None]:
    """The extension's loop where it was built, else the same line in Python; both give the same bits."""
    try:
        smooth: Callable[[F64, F64, F64], None] = importlib.import_module("edge_rnn._native").smooth
    except (ImportError, AttributeError):  # not built, or from sources that had no such function
        return _smooth_in_python
    return smooth


def _smooth_in_python(averages: F64, last: F64, alpha: F64) -> None:
    for row in averages:
        row[:] = np.where(np.isnan(last), row, last + alpha * (row - last))
        last[:] = row
