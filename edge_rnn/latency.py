"""A histogram of durations in fixed memory: log-spaced buckets 1.5 % apart, from 1 ns to 100 s. No clock here."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

_PER_DECADE = 155
_BUCKETS = 11 * _PER_DECADE + 1


class Histogram:
    """Durations in nanoseconds, each with a weight (how many samples it stands for)."""

    def __init__(self) -> None:
        self._counts = [0] * _BUCKETS
        self._max_ns = 0.0
        self.total_ns = 0.0
        """Their sum."""

    def add(self, duration_ns: float, weight: int = 1) -> None:
        """Count a duration `weight` times."""
        self._counts[_bucket(duration_ns)] += weight
        if duration_ns > self._max_ns:
            self._max_ns = duration_ns
        self.total_ns += duration_ns * weight

    @property
    def count(self) -> int:
        """How many were added."""
        return sum(self._counts)

    def quantile_us(self, q: float) -> float:
        """The q-quantile in microseconds, at most 1.5 % too high; 0 when nothing was added."""
        if not self.count:
            return 0.0
        bucket = int(np.searchsorted(np.cumsum(self._counts), q * self.count))
        return float(min(10 ** (bucket / _PER_DECADE), self._max_ns)) / 1e3

    def at_most(self, seconds: float) -> int:
        """How many were no longer than that, at most 1.5 % of it too many."""
        return sum(self._counts[: math.ceil(_PER_DECADE * math.log10(seconds * 1e9)) + 1])

    def to_json(self) -> dict[str, Any]:
        """p50, p99 and max in microseconds."""
        values = {"p50_us": self.quantile_us(0.5), "p99_us": self.quantile_us(0.99), "max_us": self._max_ns / 1e3}
        return {name: round(value, 3) for name, value in values.items()}


@functools.lru_cache(maxsize=1)  # many histograms get the same duration, one after the other
def _bucket(duration_ns: float) -> int:
    return min(math.ceil(_PER_DECADE * math.log10(max(duration_ns, 1.0))), _BUCKETS - 1)


def spoken(us: float) -> str:
    """Microseconds for people: 0.45 us, 71 us, 8.4 ms."""
    return f"{us:.3g} us" if us < 999.5 else f"{us / 1e3:.3g} ms" if us < 999.5e3 else f"{us / 1e6:.3g} s"
