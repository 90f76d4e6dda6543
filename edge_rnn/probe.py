"""Input that tries an engine: walks inside the training range, bursts far out of it, values that saturate.

Made from a seed and the manifest's channel statistics, nothing else, so that everybody gets the same samples.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .engine import F32
from .manifest import Channel

SEED = 20260101
BURST = 10.0
SATURATION = 100.0
"""Times the largest training value: above the widest range an int8 input scale can have (80 times)."""


def probe(channels: Sequence[Channel], steps: int, seed: int = SEED) -> F32:
    """(steps, I) float32: half walks, a quarter bursts, a quarter saturating."""
    walks, bursts = steps // 2, steps // 4
    rng = np.random.default_rng(seed)
    parts = (walk(channels, walks, rng), burst(channels, bursts, rng), saturate(channels, steps - walks - bursts, rng))
    return np.concatenate(parts)


def walk(channels: Sequence[Channel], steps: int, rng: np.random.Generator) -> F32:
    """Random walks that are reflected at each channel's training minimum and maximum."""
    low, high, std = (np.array([getattr(c, key) for c in channels]) for key in ("min", "max", "std"))
    span = np.maximum(high - low, 1e-12)
    start = rng.uniform(0, 1, len(channels)) * span
    path = start + np.cumsum(rng.normal(0, 0.25, (steps, len(channels))) * std, axis=0)
    folded = np.abs((path + span) % (2 * span) - span)
    return np.asarray(low + folded, np.float32)


def burst(channels: Sequence[Channel], steps: int, rng: np.random.Generator) -> F32:
    """Walks of which random stretches of 5 to 20 samples are up to BURST times larger."""
    x = walk(channels, steps, rng)
    at = 0
    while at < steps:
        at += int(rng.integers(5, 40))
        length = int(rng.integers(5, 20))
        x[at : at + length] *= np.float32(rng.uniform(1, BURST))
        at += length
    return x


def saturate(channels: Sequence[Channel], steps: int, rng: np.random.Generator) -> F32:
    """Either sign of SATURATION times the largest training value, each channel held for 1 to 30 samples at a time."""
    largest = np.array([max(abs(c.min), abs(c.max), c.std) for c in channels])
    x = np.empty((steps, len(channels)), np.float32)
    for j, peak in enumerate(largest):
        at = 0
        while at < steps:
            length = int(rng.integers(1, 31))
            x[at : at + length, j] = rng.choice([-1.0, 1.0]) * SATURATION * peak
            at += length
    return x
