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
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from .errors import SnapshotError
from .keys import I64
from .manifest import DetectorParams
from .tracks import ACTIVE, CANDIDATE, F64, IDLE, REARMING, Decision, Rule, Track, advance, leap

B1 = npt.NDArray[np.bool_]

LEAP = 64
"""Samples from which on a class is looked at as a block."""
FIELDS = 4
AVERAGE, PEAK, FLOOR, CEILING = range(FIELDS)
"""What is remembered of each class as numbers: its average (NaN before the first), its peak since it rose, and between
which averages nothing happens: idle and below `enter`, or active and not below `exit`."""
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
        self._labels = np.array([rule.label for rule in self._rules], np.intp)
        self._alpha = np.array([rule.alpha for rule in self._rules])
        self._memory: F64 = np.empty((FIELDS, len(self._rules)))
        self._forget()
        self._next = 0  # the sample after the last one

    def _forget(self) -> None:
        self._tracks = [Track() for _ in self._rules]
        self._memory[AVERAGE], self._memory[PEAK] = math.nan, 0.0
        for column in range(len(self._rules)):
            self._set_band(column)

    def _set_band(self, column: int) -> None:
        """Between which averages nothing happens."""
        rule, phase = self._rules[column], self._tracks[column].phase
        floor = -math.inf if phase == IDLE else rule.exit if phase == ACTIVE else math.inf
        ceiling = rule.enter if phase == IDLE else math.inf
        self._memory[FLOOR, column], self._memory[CEILING, column] = floor, ceiling

    def move(self, memory: F64) -> None:
        """From now on remember in this array (FIELDS, K), a part of one that many detectors share."""
        memory[:] = self._memory
        self._memory = memory

    @property
    def next_index(self) -> int | None:
        """The sample after the last one; None where nothing is watched."""
        return self._next if self._rules else None

    @property
    def classes(self) -> int:
        """How many classes are watched."""
        return len(self._rules)

    @property
    def active(self) -> bool:
        """Whether any class is watched."""
        return bool(self._rules)

    def push(self, probabilities: F64, first: int) -> list[Decision]:
        """Take probabilities (T, C) of the samples from `first` on; decisions in order of time, then label.

        Samples left out since the last push are a break: a class that was about to start begins its minimum again.
        """
        rows = len(probabilities)
        if first != self._next:
            for column, track in enumerate(self._tracks):
                if track.phase == CANDIDATE:
                    track.phase = IDLE
                    self._set_band(column)
        self._next = first + rows
        if not rows or not self._rules:
            return []
        averages, quiet = self.average(self._memory[:, None], probabilities, np.array([rows]))
        return [] if quiet.all() else self.decide(averages, quiet[0], first)

    def average(self, memory: F64, probabilities: F64, stops: I64) -> tuple[F64, B1]:
        """The averages (R, K) of M streams, and which classes of which of them decide nothing (M, K).

        `probabilities` (R, C) are those of one stream after the other, the n-th ending before row `stops[n]`, each
        with a row at least. `memory` (FIELDS, M, K) is what detectors with these rules remember, and moves on.
        """
        averages: F64 = probabilities.take(self._labels, axis=1)
        _moving_averages()(averages, memory[AVERAGE], self._alpha, stops)
        starts = np.concatenate([[0], stops[:-1]])
        lowest, highest = np.minimum.reduceat(averages, starts), np.maximum.reduceat(averages, starts)
        floor, peak = memory[FLOOR], memory[PEAK]
        quiet: B1 = (lowest >= floor) & (highest < memory[CEILING])
        np.maximum(peak, highest, out=peak, where=quiet & (floor > -math.inf))  # those that are active
        return averages, quiet

    def decide(self, averages: F64, quiet: B1, first: int) -> list[Decision]:
        """What `average` found not to be quiet: averages (T, K) of the samples from `first` on, quiet (K,)."""
        decisions: list[Decision] = []
        self._next = first + len(averages)
        for column in np.flatnonzero(~quiet).tolist():
            rule, track = self._rules[column], self._tracks[column]
            track.peak = float(self._memory[PEAK, column])
            if len(averages) >= LEAP:
                leap(rule, track, averages[:, column], first, decisions)
            else:
                for index, p in enumerate(averages[:, column].tolist(), first):
                    advance(rule, track, p, index, decisions)
            self._memory[PEAK, column] = track.peak
            self._set_band(column)
        if len(decisions) > 1:
            decisions.sort(key=lambda decision: decision.at)  # stable: label by label within a sample
        return decisions

    def passed(self, upto: int) -> None:
        """The samples before `upto` were averaged beside those of others, in what `move` shares."""
        self._next = upto

    def same_rules(self, other: Detector) -> bool:
        """Whether both decide alike."""
        return self._rules == other._rules

    def end(self, at: int, reason: str) -> list[Decision]:
        """End what is active and forget everything, as after a reset."""
        ended = [
            Decision(rule.label, track.first, at, track.started, peak, reason)
            for rule, track, peak in zip(self._rules, self._tracks, self._memory[PEAK].tolist(), strict=True)
            if track.phase == ACTIVE
        ]
        self._forget()
        return ended

    def snapshot(self) -> bytes:
        """What is remembered, as bytes."""
        tracks = zip(self._rules, self._tracks, *self._memory[:FLOOR].tolist(), strict=True)
        packed = (_TRACK.pack(r.label, p, t.phase, t.first, t.started, t.ready, peak) for r, t, p, peak in tracks)
        return self._next.to_bytes(8, "little") + b"".join(packed)

    def restore(self, blob: bytes) -> None:
        """Take what `snapshot` gave; raises SnapshotError when it is of another number of classes."""
        try:
            rows = list(_TRACK.iter_unpack(blob[8:]))
        except struct.error as error:
            raise SnapshotError("the snapshot's detector is truncated: take a new one") from error
        if [row[0] for row in rows] != [rule.label for rule in self._rules]:
            raise SnapshotError("the snapshot's detector watches other classes than this stream's")
        tracks = [Track(*row[2:]) for row in rows]
        if any(track.phase > REARMING for track in tracks):
            raise SnapshotError("the snapshot's detector is in a phase that does not exist: it is damaged")
        self._tracks, self._next = tracks, int.from_bytes(blob[:8], "little")
        for column, row in enumerate(rows):
            self._memory[AVERAGE, column], self._memory[PEAK, column] = row[1], row[-1]
            self._set_band(column)


@functools.cache
def _moving_averages() -> Callable[[F64, F64, F64, I64], None]:
    """The extension's loop where it was built, else the same line in Python; both give the same bits."""
    try:
        found: Callable[[F64, F64, F64, I64], None] = importlib.import_module("edge_rnn._native").averages
    except (ImportError, AttributeError):  # not built, or from sources that had no such function
        return _averages_in_python
    return found


def _averages_in_python(p: F64, last: F64, alpha: F64, stops: I64) -> None:
    start = 0
    for now, stop in zip(last, stops.tolist(), strict=True):
        for row in p[start:stop]:
            row[:] = np.where(np.isnan(now), row, now + alpha * (row - now))
            now[:] = row
        start = stop
