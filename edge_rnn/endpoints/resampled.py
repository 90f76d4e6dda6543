"""A source at the model's rate: whatever its own rate is, told by it, measured from its first times, or given."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

import numpy as np

from ..clock import RateEstimate
from ..errors import UsageError
from ..keys import I64
from ..recording import Chunk
from ..resample import Resampler
from .sources import Source
from .wrapped import Wrapped

MEASURED = 100
"""Samples whose times are looked at where the source does not say its rate."""


class Resampled(Wrapped):
    """Wraps a source; without `source_hz` its own rate holds, and where it has none its times say."""

    def __init__(self, source: Source, rate_hz: float, source_hz: float = 0.0) -> None:
        super().__init__(source)
        self._rate_hz, self._given_hz = rate_hz, source_hz
        self.clock = RateEstimate(rate_hz)

    @property
    def rate_hz(self) -> float:
        """The model's."""
        return self._rate_hz

    def __iter__(self) -> Iterator[Chunk]:
        """Chunks on the model's grid; raises UsageError where nothing tells the source's rate."""
        chunks = iter(self._source)
        resampler, first = self._open(chunks)
        for chunk in chain(first, chunks):
            if chunk.t_ns is not None:
                self.clock.push(chunk.t_ns, chunk.seq)
            yield resampler.push(chunk)

    def _open(self, chunks: Iterator[Chunk]) -> tuple[Resampler, list[Chunk]]:
        """The resampler, and the chunks that were read to know its rate."""
        read: list[Chunk] = []
        times: list[I64] = []
        estimate = RateEstimate(self.rate_hz)
        for chunk in chunks:
            read.append(chunk)
            hz = self._given_hz or self._source.rate_hz
            if hz:
                return Resampler(hz, self.rate_hz), read
            if chunk.t_ns is None:
                break
            estimate.push(chunk.t_ns, chunk.seq)
            times.append(chunk.t_ns)
            if sum(map(len, times)) >= MEASURED:
                break
        if not read:
            return Resampler(self.rate_hz, self.rate_hz), read
        if estimate.rate_hz is None:
            raise UsageError("--resample needs the source's rate, which it does not tell: give --source-rate")
        return Resampler(_rounded(estimate.rate_hz), self.rate_hz), read


def _rounded(hz: float) -> float:
    """A nominal rate near a measured one: three significant digits."""
    return float(np.format_float_positional(hz, precision=3, unique=False, fractional=False))
