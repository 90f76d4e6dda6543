"""Live statistics against training's: does a source speak the model's units? Samples in, sentences out; no I/O here.

Channels of one unit are looked at together, by the root of their mean square: gravity keeps that of an accelerometer
where it is, however it is worn. A source that is louder by a factor of units, or by anything above LOUD, is told. One
that is quieter is told only where the training's mean is far from zero; a gyroscope may well lie still. The mean
leaves out the loudest fiftieth of the time, so that a spike now and then says nothing of units.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .engine import F32
from .manifest import Channel
from .tracks import F64
from .units import FACTORS, plain

LEAST_SECONDS = 10.0
LOUD = 4.0
SPIKES = 0.02
"""Share of the blocks, the loudest, that is left out."""
BLOCKS = 512
"""Blocks of a second that are kept; then two become one."""
NEAR = 1.35
"""A factor of units is recognised within so much, up or down."""


class LiveStatistics:
    """Mean squares of what came, a channel each, second by second; NaN and Inf are left out."""

    def __init__(self, channels: Sequence[Channel], rate_hz: float) -> None:
        self._channels = channels
        self._least = LEAST_SECONDS * rate_hz
        self._size = max(1, round(rate_hz))  # samples a block
        self._blocks: list[F64] = []  # (2, I): how many good values, and the sum of their squares
        self._open = np.zeros((2, len(channels)))
        self._filled = 0

    def push(self, x: F32) -> None:
        """Take samples (T, I)."""
        good = np.isfinite(x)
        both = np.stack([good, np.square(np.where(good, x, 0), dtype=np.float64)])
        borders = np.arange(self._size - self._filled, len(x), self._size)  # where a block begins
        sums = np.add.reduceat(both, [0, *borders], axis=1) if len(x) else both
        for number in range(sums.shape[1]):
            if number:
                self._close()
            self._open += sums[:, number]
        self._filled = len(x) - int(borders[-1]) if len(borders) else self._filled + len(x)
        if self._filled == self._size:
            self._close()
        while len(self._blocks) >= BLOCKS:
            self._halve()

    def _close(self) -> None:
        self._blocks.append(self._open)
        self._open, self._filled = np.zeros_like(self._open), 0

    def _halve(self) -> None:
        """Two blocks become one; an odd last one goes on with the open block."""
        if len(self._blocks) % 2:
            self._open += self._blocks.pop()
            self._filled += self._size
        self._blocks = [a + b for a, b in zip(self._blocks[::2], self._blocks[1::2], strict=True)]
        self._size *= 2

    def warnings(self) -> list[str]:
        """A sentence for each unit whose channels cannot be in it; none before there are ten seconds."""
        if not self._blocks:
            return []
        counts, squares = np.stack(self._blocks, axis=1)
        found = []
        for unit in dict.fromkeys(channel.unit for channel in self._channels):
            mine = [i for i, channel in enumerate(self._channels) if channel.unit == unit]
            if counts[:, mine].sum(axis=0).min() < self._least:
                continue
            loudness = squares[:, mine].sum(axis=1) / np.maximum(counts[:, mine].mean(axis=1), 1)
            usual = np.sort(loudness)[: -max(1, round(len(loudness) * SPIKES)) or None]
            live = float(np.sqrt(np.mean(usual))) if len(usual) else 0.0
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
