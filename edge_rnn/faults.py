"""Which values are no measurement: NaN, Inf, absurd, saturated or stuck. Samples in, reasons out; no model or I/O here.

A value is
    NaN, Inf    not a number
    range       more than REACH times the training range away from it, or more than the model can add up
    saturated   outside the training range, and the same for longer than training ever saw: a sensor at its stop
    stuck       the same for STUCK times longer than training ever saw

The last two need `Channel.constant`, what training saw. They take as many samples to notice as they say; from then on
no sample passes until the channel moves.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence

import numpy as np

from .arrays import NDArray
from .engine import F32
from .errors import SnapshotError
from .manifest import Channel
from .reach import LARGEST

U8 = NDArray[np.uint8]
B1 = NDArray[np.bool_]
I64 = NDArray[np.int64]

REASONS = ("", "NaN", "Inf", "range", "saturated", "stuck")
NAN, INF, RANGE, SATURATED_CODE, STUCK_CODE = range(1, 6)
REACH = 1000.0
SATURATED_SAMPLES, STUCK_SAMPLES = 3, 25
"""The least samples for each of the two."""
STUCK = 4
_RUN = struct.Struct("<fq")
_WHOLE = np.zeros(1, np.int64)
_APART, _NEVER = 1 << 40, -(1 << 62)


class Watch:
    """Remembers each channel's `last` value (I,) and for how many samples it has been the same, `run` (I,)."""

    def __init__(self, channels: Sequence[Channel], reach: float = LARGEST) -> None:
        self._names = [channel.name for channel in channels]
        low, high = (np.array([getattr(c, side) for c in channels], np.float64) for side in ("min", "max"))
        known = low < high
        self._low = np.where(known, low, -math.inf)
        self._high = np.where(known, high, math.inf)
        span = np.where(known, high - low, 1.0)
        with np.errstate(over="ignore"):
            self._floor = np.maximum(self._low - REACH * span, -reach).astype(np.float32)
            self._ceiling = np.minimum(self._high + REACH * span, reach).astype(np.float32)
        seen = np.array([c.constant or 1 << 60 for c in channels], np.int64)
        self._longest = np.maximum(seen, SATURATED_SAMPLES)
        self._stuck = np.maximum(seen * STUCK, STUCK_SAMPLES)
        self.limits = (self._floor, self._ceiling, self._low, self._high, self._longest, self._stuck)
        """For the extension, which does in `plain` what `calm` does."""
        self._shortest = int(min(self._longest.min(), self._stuck.min()))
        self.last = np.full(len(self._names), np.nan, np.float32)
        self.run = np.zeros(len(self._names), np.int64)

    def reset(self) -> None:
        """Forget the past."""
        self.last.fill(np.nan)
        self.run.fill(0)

    def move(self, last: F32, run: I64) -> None:
        """From now on remember in these arrays (I,), rows of one that many watches share."""
        last[:], run[:] = self.last, self.run
        self.last, self.run = last, run

    def check(self, x: F32) -> U8 | None:
        """Reasons (T, I), indexes into REASONS, of samples x (T, I); None when all is well."""
        if not len(x):
            return None
        inside = (x >= self._floor) & (x <= self._ceiling)
        runs = _runs(x, _WHOLE, self.last[None], self.run[None])
        frozen = None if runs is None else self._frozen(x, runs)
        if frozen is None and inside.all():
            return None
        reasons = np.zeros(x.shape, np.uint8) if frozen is None else frozen
        reasons[~inside] = RANGE
        reasons[np.isinf(x)] = INF
        reasons[np.isnan(x)] = NAN
        return reasons

    def calm(self, x: F32, starts: I64, last: F32, run: I64) -> B1:
        """Which of M streams of these channels `check` would find well (M,).

        Samples x (R, I) are those of one stream after the other, each from row `starts[m]` on and with a row at least.
        `last` and `run` (M, I) are those streams' own, and move on.
        """
        runs = _runs(x, starts, last, run)
        inside = (x >= self._floor) & (x <= self._ceiling)
        frozen = None if runs is None else self._frozen(x, runs)
        if frozen is None and inside.all():
            return np.ones(len(starts), np.bool_)
        if frozen is not None:
            inside &= frozen == 0
        well: B1 = np.logical_and.reduceat(inside.all(axis=1), starts)
        return well

    def _frozen(self, x: F32, runs: I64) -> U8 | None:
        if runs.max() <= self._shortest:
            return None
        saturated = (runs > self._longest) & ((x < self._low) | (x > self._high))
        stuck = runs > self._stuck
        if not saturated.any() and not stuck.any():
            return None
        reasons = np.where(stuck, STUCK_CODE, 0)
        return np.where(saturated, SATURATED_CODE, reasons).astype(np.uint8)

    def snapshot(self) -> bytes:
        """What is remembered, as bytes."""
        return b"".join(_RUN.pack(*pair) for pair in zip(self.last.tolist(), self.run.tolist(), strict=True))

    def restore(self, blob: bytes) -> None:
        """Take what `snapshot` gave; raises SnapshotError when it is of another number of channels."""
        if len(blob) != _RUN.size * len(self._names):
            raise SnapshotError(f"the snapshot's channels are not the {len(self._names)} of this stream")
        pairs = list(_RUN.iter_unpack(blob))
        self.last[:] = [value for value, _ in pairs]
        self.run[:] = [run for _, run in pairs]


def _runs(x: F32, starts: I64, last: F32, run: I64) -> I64 | None:
    """For how many samples each value of x (R, I) has been the same; None when every value is new.

    x holds M streams, one after the other, each from row `starts[m]` on. `last` and `run` (M, I) are the values before
    and for how long they had been the same; they move on.
    """
    same = np.empty(x.shape, np.bool_)
    np.equal(x[1:], x[:-1], out=same[1:])
    same[starts] = x[starts] == last
    stops = np.append(starts[1:], len(x)) - 1
    last[...] = x[stops]
    if not same.any():
        run.fill(1)
        return None
    # the row where a run began, of all so far the last; streams lie so far apart that none reaches into another
    rows = np.arange(len(x)) + np.repeat(np.arange(len(starts)) * _APART, stops - starts + 1)
    began = np.where(same, _NEVER, rows[:, None])
    first = rows[starts, None]
    began[starts] = np.where(same[starts], first - run, first)
    runs: I64 = rows[:, None] - np.maximum.accumulate(began, axis=0) + 1
    run[...] = runs[stops]
    return runs
