"""Causal resampling to the model's rate: samples with times in, samples on a regular grid out. No I/O here.

A straight line between neighbours, so an output waits for the first input at or after its time: at most one input
period. From a rate of 1.5 times the model's or more, each output is the mean of several points of that line since the
output before, which keeps most of what lies above the new band out of it. Any cut of the input gives the same outputs.

The grid's numbers are the outputs' sequence numbers: where neighbours are more than HOLE periods apart nothing is made
up, the numbers jump, and the gap policy does its work. NaN and Inf pass, to be seen as bad samples.
"""

from __future__ import annotations

import math

import numpy as np

from .engine import F32
from .errors import UsageError
from .keys import I64
from .recording import Chunk

HOLE = 1.5
MEAN_FROM = 1.5


class Resampler:
    """From `source_hz` to `rate_hz`; the first sample's time is the grid's zero."""

    def __init__(self, source_hz: float, rate_hz: float) -> None:
        if not (0 < source_hz <= 1e6 and 0 < rate_hz <= 1e6):
            raise UsageError(f"resampling from {source_hz} Hz to {rate_hz} Hz was asked for: expected 0..1e6 Hz")
        self._source_ns = 1e9 / source_hz
        self._points = math.ceil(source_hz / rate_hz - 1e-9) if source_hz >= MEAN_FROM * rate_hz else 1
        self._step_ns = 1e9 / (rate_hz * self._points)
        self.restart()

    def restart(self) -> None:
        """Another recording begins."""
        self._zero: int | None = None
        self._time = 0
        self._value: F32 | None = None
        self._next = 0  # number of the next point of the fine grid
        self._group: list[F32] = []  # points of the output that is being gathered
        self._count = 0  # samples so far, for a source without times

    def push(self, chunk: Chunk) -> Chunk:
        """Take samples; give those of the grid that are known now (perhaps none), with their numbers as `seq`."""
        restart = chunk.restart
        if restart:
            self.restart()
        x, t_ns = self._in_order(chunk)
        if not len(x):
            return Chunk(chunk.samples[:0], seq=np.empty(0, np.int64), restart=restart, name=chunk.name)
        numbers, points = self._line(x, t_ns)
        samples, seq = self._grouped(numbers, points, x.shape[1])
        return Chunk(samples, seq=seq, restart=restart, name=chunk.name)

    def _in_order(self, chunk: Chunk) -> tuple[F32, I64]:
        """Samples and times; what does not come after the one before it is left out."""
        rows = len(chunk.samples)
        if chunk.t_ns is None:
            numbers = np.arange(self._count, self._count + rows) if chunk.seq is None else chunk.seq
            times = np.rint(numbers * self._source_ns).astype(np.int64)
        else:
            times = chunk.t_ns
        self._count += rows
        if not rows:
            return chunk.samples, times
        before = np.concatenate([times[:1] - 1 if self._zero is None else [self._time], times[:-1]])
        later = times > np.maximum.accumulate(before)
        return chunk.samples[later], times[later]

    def _line(self, x: F32, t_ns: I64) -> tuple[I64, F32]:
        """Numbers and values of the points of the fine grid up to the last sample, without those in holes."""
        if self._zero is None or self._value is None:
            self._zero = int(t_ns[0])
            self._time, self._value = self._zero - 1, x[0]
        times = np.concatenate([[self._time], t_ns])
        values = np.concatenate([self._value[None], x])
        self._time, self._value = int(times[-1]), values[-1]
        last = math.floor((self._time - self._zero) / self._step_ns + 1e-9)
        numbers = np.arange(self._next, last + 1)
        self._next = max(self._next, last + 1)
        wanted = self._zero + np.rint(numbers * self._step_ns).astype(np.int64)
        right = np.clip(np.searchsorted(times, wanted), 1, len(times) - 1)
        gap = times[right] - times[right - 1]
        whole = (gap <= HOLE * self._source_ns) | (wanted == times[right])
        right, gap, wanted, numbers = right[whole], gap[whole], wanted[whole], numbers[whole]
        weight = ((wanted - times[right - 1]) / gap)[:, None]
        left_side, right_side = values[right - 1].astype(np.float64), values[right].astype(np.float64)
        with np.errstate(invalid="ignore", over="ignore"):
            points = np.where(weight == 1, right_side, left_side + weight * (right_side - left_side))
            return numbers, points.astype(np.float32)

    def _grouped(self, numbers: I64, points: F32, channels: int) -> tuple[F32, I64]:
        """Means of the points that belong to one output; an output that lacks any of them is a hole."""
        if self._points == 1:
            return points, numbers
        samples: list[F32] = []
        seq: list[int] = []
        for number, point in zip(numbers.tolist(), points, strict=True):
            place = (number - 1) % self._points  # an output at its last point: it looks back
            self._group = [*self._group, point] if place == len(self._group) else ([point] if place == 0 else [])
            if place == self._points - 1 and len(self._group) == self._points:
                samples.append(np.asarray(np.mean(self._group, axis=0, dtype=np.float64), np.float32))
                seq.append(number // self._points)
                self._group = []
        return np.array(samples, np.float32).reshape(-1, channels), np.array(seq, np.int64)
