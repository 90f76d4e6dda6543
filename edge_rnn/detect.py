"""Probabilities in, decisions out: smoothing, hysteresis, minimum duration, refractory time, re-arming.

Per class, at every sample: p is an exponential moving average of the probability. Idle -> active when p >= enter
for min_ms without a break; active -> idle when p < exit; then silence for refractory_ms, and a new start only after
p < exit again. Classes are independent. Time is the sample index; no clock and no I/O here.
"""

from __future__ import annotations

import functools
import math
import struct
from collections.abc import Callable

import numpy as np

from .arrays import NDArray
from .engine import in_c
from .errors import SnapshotError
from .keys import I64
from .manifest import DetectorParams
from .tracks import ACTIVE, CANDIDATE, F64, IDLE, REARMING, Decision, Rule, Track, advance, leap

B1 = NDArray[np.bool_]
Averages = Callable[[F64, I64, F64, F64, I64, I64, I64, F64, B1], None]
"""kernel/abreast_binding.h"""

LEAP = 64
"""Samples from which on a class is looked at as a block."""
FIELDS = 5
AVERAGE, PEAK, FLOOR, CEILING, SILENT = range(FIELDS)
"""What is remembered of each class as numbers: its average (NaN before the first), its peak since it rose, between
which averages nothing happens (idle and below `enter`, or active and not below `exit`), and up to which sample."""
_TRACK = struct.Struct("<IdBqqqd")


def smoothing_factor(smooth_ms: float, rate_hz: float) -> float:
    """The weight of the newest probability, 1 - exp(-1000 / (smooth_ms * rate_hz)): 63 % of a step after smooth_ms."""
    return 1.0 if smooth_ms == 0 else -math.expm1(-1000.0 / (smooth_ms * rate_hz))


def samples_of(ms: float, rate_hz: float) -> int:
    """How many sample periods cover a time."""
    return math.ceil(ms * rate_hz / 1000.0 - 1e-9)


def softmax(logits: NDArray[np.float32]) -> F64:
    """Class probabilities (T, C) of logits (T, C), summed column by column so that a cut of T changes no bit."""
    e = logits.astype(np.float64, order="C")
    (in_c("below_largest") or below_largest_in_numpy)(e)
    np.exp(e, out=e)
    (in_c("shares") or shares_in_numpy)(e)
    return e


def below_largest_in_numpy(e: F64) -> None:
    """Each row of e (T, C) less its largest, in place."""
    rows, classes = e.shape
    # NumPy reduces short rows at 50 ns a row: many of them are looked at column by column
    largest = e.max(axis=1) if rows < 8 * classes else functools.reduce(np.maximum, e.T)
    e -= largest[:, None]


def shares_in_numpy(e: F64) -> None:
    """Each row of e (T, C) divided by its sum, in place."""
    total = e[:, 0].copy()
    for k in range(1, e.shape[1]):
        total += e[:, k]
    e /= total[:, None]


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
        self._labels = np.array([rule.label for rule in self._rules], np.int64)
        self._alpha = np.array([rule.alpha for rule in self._rules])
        self._memory: F64 = np.empty((FIELDS, 1, len(self._rules)))
        self._at = 0  # which of the detectors in this memory
        self._forget()
        self._next = 0  # the sample after the last one

    def _forget(self) -> None:
        self._tracks = [Track() for _ in self._rules]
        self._memory[AVERAGE, self._at], self._memory[PEAK, self._at] = math.nan, 0.0
        for column in range(len(self._rules)):
            self._set_band(column)

    def _set_band(self, column: int) -> None:
        """Between which averages nothing happens, and until when."""
        rule, phase = self._rules[column], self._tracks[column].phase
        floor = -math.inf if phase == IDLE else rule.exit if phase == ACTIVE else math.inf
        ceiling = rule.enter if phase == IDLE else math.inf
        silent = self._tracks[column].ready if phase == REARMING else -math.inf
        self._memory[FLOOR:, self._at, column] = floor, ceiling, silent

    def move(self, memory: F64, at: int) -> None:
        """From now on remember as the `at`-th of the detectors that share an array (FIELDS, N, K)."""
        memory[:, at] = self._memory[:, self._at]
        self._memory, self._at = memory, at

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
        where, upto = np.array([self._at]), np.array([self._next])
        averages, quiet = self.average(self._memory, probabilities, np.array([rows]), where, upto)
        return [] if quiet.all() else self.decide(averages, quiet[0], first)

    def average(self, memory: F64, probabilities: F64, rows: I64, where: I64, upto: I64) -> tuple[F64, B1]:
        """The averages (R, K) of M detectors with these rules, and which classes of which of them are quiet (M, K).

        `probabilities` (R, C) are `rows[m]` > 0 for one, then those for the next, up to sample `upto[m] - 1`. `memory`
        (FIELDS, N, K) is what N detectors remember; those `where` (M,) it says move on.
        """
        averages, quiet = np.empty((len(probabilities), self.classes)), np.empty((len(where), self.classes), np.bool_)
        _averages()(probabilities, self._labels, self._alpha, memory, rows, where, upto, averages, quiet)
        return averages, quiet

    def decide(self, averages: F64, quiet: B1, first: int) -> list[Decision]:
        """What `average` found not to be quiet: averages (T, K) of the samples from `first` on, quiet (K,)."""
        decisions: list[Decision] = []
        self._next = first + len(averages)
        for column in np.flatnonzero(~quiet).tolist():
            rule, track = self._rules[column], self._tracks[column]
            track.peak = float(self._memory[PEAK, self._at, column])
            if len(averages) >= LEAP:
                leap(rule, track, averages[:, column], first, decisions)
            else:
                for index, p in enumerate(averages[:, column].tolist(), first):
                    advance(rule, track, p, index, decisions)
            self._memory[PEAK, self._at, column] = track.peak
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
            for rule, track, peak in zip(self._rules, self._tracks, self._memory[PEAK, self._at].tolist(), strict=True)
            if track.phase == ACTIVE
        ]
        self._forget()
        return ended

    def snapshot(self) -> bytes:
        """What is remembered, as bytes."""
        tracks = zip(self._rules, self._tracks, *self._memory[:FLOOR, self._at].tolist(), strict=True)
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
            self._memory[:FLOOR, self._at, column] = row[1], row[-1]
            self._set_band(column)


def _averages() -> Averages:
    """The extension's loop where it was built, else the same in NumPy; both give the same bits."""
    return in_c("averages") or averages_in_numpy


def averages_in_numpy(
    p: F64, labels: I64, alpha: F64, memory: F64, rows: I64, where: I64, upto: I64, averages: F64, quiet: B1
) -> None:
    """What Detector.average says, into `averages` (R, K) and `quiet` (M, K)."""
    p.take(labels, axis=1, out=averages)
    stops = rows.cumsum()
    starts = stops - rows
    for at, start, stop in zip(where.tolist(), starts.tolist(), stops.tolist(), strict=True):
        last = memory[AVERAGE, at]
        for row in averages[start:stop]:
            row[:] = np.where(np.isnan(last), row, last + alpha * (row - last))
            last[:] = row
    lowest, highest = np.minimum.reduceat(averages, starts), np.maximum.reduceat(averages, starts)
    floor, peak = memory[FLOOR, where], memory[PEAK, where]
    np.logical_and(lowest >= floor, highest < memory[CEILING, where], out=quiet)
    active = quiet & (floor > -math.inf)
    memory[PEAK, where] = np.where(active, np.maximum(peak, highest), peak)
    quiet |= upto[:, None] <= memory[SILENT, where]
