"""Exact confidence intervals of a share and of a rate, by bisection on sums of probabilities. NumPy is not needed.

Clopper and Pearson 1934 for k of n; Garwood 1936 for k events in a time.
"""

from __future__ import annotations

import math
from collections.abc import Callable


def share(k: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Interval of a probability of which k of n were seen; (0, 1) when n is 0."""
    if n == 0:
        return 0.0, 1.0
    tail = (1 - confidence) / 2
    low = 0.0 if k == 0 else _root(lambda p: 1 - _binomial_cdf(k - 1, n, p) - tail, 0.0, 1.0)
    high = 1.0 if k == n else _root(lambda p: tail - _binomial_cdf(k, n, p), 0.0, 1.0)
    return low, high


def rate(k: int, time: float, confidence: float = 0.95) -> tuple[float, float]:
    """Interval of events per unit of time of which k were seen in `time`.

    For k = 0 the whole doubt is above: 0 in 2 h proves less than 1.5 an hour ("rule of three").
    """
    if time <= 0:
        return 0.0, math.inf
    tail = (1 - confidence) / 2 if k else 1 - confidence
    top = 10.0 * (k + 10)
    low = 0.0 if k == 0 else _root(lambda m: 1 - _poisson_cdf(k - 1, m) - tail, 0.0, top)
    return low / time, _root(lambda m: tail - _poisson_cdf(k, m), 0.0, top) / time


def _binomial_cdf(k: int, n: int, p: float) -> float:
    if p <= 0:
        return 1.0
    if p >= 1:
        return 1.0 if k >= n else 0.0
    logs = (math.log(math.comb(n, i)) + i * math.log(p) + (n - i) * math.log1p(-p) for i in range(k + 1))
    return min(1.0, math.fsum(map(math.exp, logs)))


def _poisson_cdf(k: int, mean: float) -> float:
    if mean <= 0:
        return 1.0
    return min(1.0, math.fsum(math.exp(i * math.log(mean) - mean - math.lgamma(i + 1)) for i in range(k + 1)))


def _root(rising: Callable[[float], float], low: float, high: float) -> float:
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (low, middle) if rising(middle) > 0 else (middle, high)
    return (low + high) / 2
