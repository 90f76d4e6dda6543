"""How fast a source really runs: rate, drift and jitter out of the samples' times. Times are data; no clock here.

The rate is a Theil-Sen slope (the median of the slopes between all pairs of points; Sen 1968) of time over sample
number, on at most POINTS points; a burst, a stall or a jump of the clock moves it little, and the time of a hole is
counted as the samples that are missing in it. Memory is fixed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .keys import I64

F64 = npt.NDArray[np.float64]

POINTS = 256
LEAST = 20
TOLERATED_PPM = 20_000
PAUSE_NS, RARE = 1e9, 0.1
"""A step in time is a hole, and no wait for a burst, when it is so long and no larger share of the steps are such."""


class RateEstimate:
    """Give it the times of the samples in the order they came."""

    def __init__(self, rate_hz: float) -> None:
        self._nominal_hz = rate_hz
        self._every = 1
        self._count = 0
        self._points: list[tuple[int, int]] = []  # (sample number, t_ns), every `_every`-th

    def push(self, t_ns: I64, seq: I64 | None = None) -> None:
        """Times (T,) and, where the source has them, sequence numbers."""
        numbers = np.arange(self._count, self._count + len(t_ns)) if seq is None else seq
        first = -self._count % self._every
        self._points += zip(numbers[first :: self._every].tolist(), t_ns[first :: self._every].tolist(), strict=True)
        self._count += len(t_ns)
        while len(self._points) > POINTS:
            self._points = self._points[::2]
            self._every *= 2

    @property
    def rate_hz(self) -> float | None:
        """Samples a second; None before there is enough to say."""
        period = self._period_ns()
        return None if period is None else 1e9 / period

    @property
    def drift_ppm(self) -> float | None:
        """How much faster than its nominal rate the source runs."""
        rate = self.rate_hz
        return None if rate is None else (rate / self._nominal_hz - 1) * 1e6

    def to_json(self) -> dict[str, Any] | None:
        """Rate, drift and jitter (the median deviation from the line, in ms); None before there is enough."""
        period = self._period_ns()
        if period is None:
            return None
        n, t = self._line()
        rest = (t - t[0]) - (n - n[0]) * period
        jitter_ms = float(np.median(np.abs(rest - np.median(rest)))) / 1e6
        ppm = (1e9 / period / self._nominal_hz - 1) * 1e6
        return {"rate_hz": round(1e9 / period, 6), "drift_ppm": round(ppm, 1), "jitter_ms": round(jitter_ms, 4)}

    def warning(self) -> str | None:
        """A sentence where the source runs at quite another rate than the model's."""
        ppm = self.drift_ppm
        if ppm is None or abs(ppm) <= TOLERATED_PPM:
            return None
        return f"the source runs at {self.rate_hz:.4g} Hz, the model wants {self._nominal_hz:.4g} Hz: use --resample"

    def _period_ns(self) -> float | None:
        if self._count < LEAST:
            return None
        n, t = self._line()
        i, j = np.triu_indices(len(n), 1)
        steps = n[j] - n[i]
        slopes = (t[j] - t[i])[steps > 0] / steps[steps > 0]
        if not slopes.size or not (period := float(np.median(slopes))) > 0:
            return None
        return period

    def _line(self) -> tuple[F64, F64]:
        """Numbers and times of the points; without numbers of the samples' own, a hole counts as its time says."""
        n, t = np.array(self._points, np.float64).T
        steps, took = np.diff(n), np.diff(t)
        period = float(np.median(took[steps > 0] / steps[steps > 0])) if (steps > 0).any() else 0.0
        if not period > 0:
            return n, t
        excess = took / period - steps
        hole = (excess > 0.1 * steps) & (excess * period > PAUSE_NS)
        if hole.mean() <= RARE:
            n[1:] += np.cumsum(np.where(hole, excess, 0.0))
        return n, t
