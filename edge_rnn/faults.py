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
import numpy.typing as npt

from .engine import F32
from .errors import SnapshotError
from .manifest import Channel
from .reach import LARGEST

U8 = npt.NDArray[np.uint8]

REASONS = ("", "NaN", "Inf", "range", "saturated", "stuck")
NAN, INF, RANGE, SATURATED_CODE, STUCK_CODE = range(1, 6)
REACH = 1000.0
SATURATED_SAMPLES, STUCK_SAMPLES = 3, 25
"""The least samples for each of the two."""
STUCK = 4
_RUN = struct.Struct("<fq")


class Watch:
    """Remembers each channel's last value and for how many samples it has been the same."""

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
        self.reset()

    def reset(self) -> None:
        """Forget the past."""
        self._last = np.full(len(self._names), np.nan, np.float32)
        self._run = np.zeros(len(self._names), np.int64)

    def check(self, x: F32) -> U8 | None:
        """Reasons (T, I), indexes into REASONS, of samples x (T, I); None when all is well."""
        if not len(x):
            return None
        inside = (x >= self._floor) & (x <= self._ceiling)
        runs = self._runs(x)
        frozen = None if runs is None else self._frozen(x, runs)
        if frozen is None and inside.all():
            return None
        reasons = np.zeros(x.shape, np.uint8) if frozen is None else frozen
        reasons[~inside] = RANGE
        reasons[np.isinf(x)] = INF
        reasons[np.isnan(x)] = NAN
        return reasons

    def _runs(self, x: F32) -> npt.NDArray[np.int64] | None:
        """For how many samples each value has been the same (T, I); None when every value is new."""
        same = x == np.concatenate([self._last[None], x[:-1]])
        self._last = x[-1].copy()
        if not same.any():
            self._run.fill(1)
            return None
        rows = np.arange(1, len(x) + 1)[:, None]
        began = np.maximum.accumulate(np.where(same, 0, rows), axis=0)  # the row where the run began; 0: before these
        runs: npt.NDArray[np.int64] = np.where(began > 0, rows - began + 1, rows + self._run)
        self._run = runs[-1].copy()
        return runs

    def _frozen(self, x: F32, runs: npt.NDArray[np.int64]) -> U8 | None:
        saturated = (runs > self._longest) & ((x < self._low) | (x > self._high))
        stuck = runs > self._stuck
        if not saturated.any() and not stuck.any():
            return None
        reasons = np.where(stuck, STUCK_CODE, 0)
        return np.where(saturated, SATURATED_CODE, reasons).astype(np.uint8)

    def snapshot(self) -> bytes:
        """What is remembered, as bytes."""
        return b"".join(_RUN.pack(*pair) for pair in zip(self._last.tolist(), self._run.tolist(), strict=True))

    def restore(self, blob: bytes) -> None:
        """Take what `snapshot` gave; raises SnapshotError when it is of another number of channels."""
        if len(blob) != _RUN.size * len(self._names):
            raise SnapshotError(f"the snapshot's channels are not the {len(self._names)} of this stream")
        pairs = list(_RUN.iter_unpack(blob))
        self._last = np.array([value for value, _ in pairs], np.float32)
        self._run = np.array([run for _, run in pairs], np.int64)
