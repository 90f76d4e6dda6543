"""Live statistics against training's: does a source speak the model's units? Samples in, sentences out; no I/O here.

Channels of one unit are looked at together, by the root of their mean square: gravity keeps that of an accelerometer
where it is, however it is worn. A source that is louder by a factor of units, or by anything above LOUD, is told. One
that is quieter is told only where the training's mean is far from zero; a gyroscope may well lie still.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .engine import F32
from .manifest import Channel
from .units import FACTORS, plain

LEAST_SECONDS = 10.0
LOUD = 4.0
NEAR = 1.35
"""A factor of units is recognised within so much, up or down."""


class LiveStatistics:
    """Sums of squares of what came, a channel each; NaN and Inf are left out."""

    def __init__(self, channels: Sequence[Channel], rate_hz: float) -> None:
        self._channels = channels
        self._least = LEAST_SECONDS * rate_hz
        self._count = np.zeros(len(channels), np.int64)
        self._squares = np.zeros(len(channels))

    def push(self, x: F32) -> None:
        """Take samples (T, I)."""
        good = np.isfinite(x)
        wide = np.where(good, x, 0).astype(np.float64)
        self._count += good.sum(axis=0)
        self._squares += np.einsum("ij,ij->j", wide, wide)

    def warnings(self) -> list[str]:
        """A sentence for each unit whose channels cannot be in it; none before there are ten seconds."""
        found = []
        for unit in dict.fromkeys(channel.unit for channel in self._channels):
            mine = [i for i, channel in enumerate(self._channels) if channel.unit == unit]
            if self._count[mine].min() < self._least:
                continue
            live = float(np.sqrt(np.sum(self._squares[mine] / self._count[mine])))
            means = math.sqrt(sum(self._channels[i].mean ** 2 for i in mine))
            spread = math.sqrt(sum(self._channels[i].std ** 2 for i in mine))
            sentence = _judge(live / max(math.hypot(means, spread), 1e-30), unit, means > spread)
            if sentence:
                found.append(f"{', '.join(self._channels[i].name for i in mine)} {sentence}")
        return found


def _judge(ratio: float, unit: str, steady: bool) -> str:
    """What a group that is `ratio` times training's looks like; "" when it is nothing to speak of."""
    if 1 / LOUD < ratio < LOUD or (ratio < 1 and not steady):
        return ""
    for one, other, factor in FACTORS:
        for mine, theirs, by in ((one, other, factor), (other, one, 1 / factor)):
            if mine == plain(unit) and 1 / NEAR < ratio / by < NEAR:
                return f"look like {theirs}, the model wants {unit}: --convert {theirs}:{unit}"
    how = f"{ratio:.3g} times larger" if ratio > 1 else f"{1 / ratio:.3g} times smaller"
    wanted = f"it wants {unit}" if unit else "it does not say its unit"
    return f"are {how} than what the model was trained on: check the unit, {wanted}"
