"""A histogram of durations in fixed memory: log-spaced buckets 1.5 % apart, from 1 ns to 100 s. No clock here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

I64 = npt.NDArray[np.int64]
_TOTAL, _LARGEST = range(2)
_PER_DECADE = 155
_BUCKETS = 11 * _PER_DECADE + 1


class Histogram:
    """Durations in nanoseconds, each with a weight (how many samples it stands for)."""

    def __init__(self) -> None:
        self._counts = np.zeros(_BUCKETS, np.int64)
        self._sums = np.zeros(2)

    def add(self, duration_ns: float, weight: int = 1) -> None:
        """Count a duration `weight` times."""
        self._counts[_bucket(duration_ns)] += weight
        self._sums[_TOTAL] += duration_ns * weight
        if duration_ns > self._sums[_LARGEST]:
            self._sums[_LARGEST] = duration_ns

    @property
    def total_ns(self) -> float:
        """The sum of all durations."""
        return float(self._sums[_TOTAL])

    @property
    def count(self) -> int:
        """How many were added."""
        return int(self._counts.sum())

    def quantile_us(self, q: float) -> float:
        """The q-quantile in microseconds, at most 1.5 % too high; 0 when nothing was added."""
        count = self.count
        if not count:
            return 0.0
        bucket = int(np.searchsorted(np.cumsum(self._counts), q * count))
        return min(10 ** (bucket / _PER_DECADE), float(self._sums[_LARGEST])) / 1e3

    def at_most(self, seconds: float) -> int:
        """How many were no longer than that, at most 1.5 % of it too many."""
        return int(self._counts[: math.ceil(_PER_DECADE * math.log10(seconds * 1e9)) + 1].sum())

    def to_json(self) -> dict[str, Any]:
        """p50, p99 and max in microseconds."""
        values = {
            "p50_us": self.quantile_us(0.5),
            "p99_us": self.quantile_us(0.99),
            "max_us": float(self._sums[_LARGEST]) / 1e3,
        }
        return {name: round(value, 3) for name, value in values.items()}


class Histograms:
    """Histograms that get the same durations at once, each with a weight of its own; they go on as they are."""

    def __init__(self, members: Sequence[Histogram]) -> None:
        self._counts = np.stack([one._counts for one in members], axis=1)  # a bucket's counts lie side by side
        self._sums = np.stack([one._sums for one in members], axis=1)
        for at, one in enumerate(members):
            one._counts, one._sums = self._counts[:, at], self._sums[:, at]

    def add(self, where: I64, duration_ns: float, weights: I64) -> None:
        """Count a duration in the members `where` (M,), each once, `weights` (M,) times."""
        np.add.at(self._counts[_bucket(duration_ns)], where, weights)
        np.add.at(self._sums[_TOTAL], where, duration_ns * weights)
        np.maximum.at(self._sums[_LARGEST], where, duration_ns)


def _bucket(duration_ns: float) -> int:
    return min(math.ceil(_PER_DECADE * math.log10(max(duration_ns, 1.0))), _BUCKETS - 1)


def spoken(us: float) -> str:
    """Microseconds for people: 0.45 us, 71 us, 8.4 ms."""
    return f"{us:.3g} us" if us < 999.5 else f"{us / 1e3:.3g} ms" if us < 999.5e3 else f"{us / 1e6:.3g} s"
