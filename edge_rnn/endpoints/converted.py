"""A source whose values are multiplied, channel by channel: other units into the model's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from ..recording import Chunk
from .sources import Source


class Converted:
    """Wraps a source; `factors` has one for each of its channels."""

    def __init__(self, source: Source, factors: Sequence[float]) -> None:
        self._source = source
        self._factors = np.array(factors, np.float64)

    @property
    def malformed(self) -> int:
        """Lines that were skipped."""
        return self._source.malformed

    @property
    def reports(self) -> list[str]:
        """What was wrong with the first of them."""
        return self._source.reports

    @property
    def channels(self) -> tuple[str, ...]:
        """The source's."""
        return self._source.channels

    @property
    def rate_hz(self) -> float:
        """The source's."""
        return self._source.rate_hz

    def __iter__(self) -> Iterator[Chunk]:
        """The source's chunks, converted; rounded to float32 once."""
        for chunk in self._source:
            with np.errstate(over="ignore"):
                yield replace(chunk, samples=(chunk.samples * self._factors).astype(np.float32))
