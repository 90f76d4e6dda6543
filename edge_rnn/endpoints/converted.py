"""A source whose values are multiplied, channel by channel: other units into the model's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from ..recording import Chunk
from .sources import Source
from .wrapped import Wrapped


class Converted(Wrapped):
    """Wraps a source; `factors` has one for each of its channels."""

    def __init__(self, source: Source, factors: Sequence[float]) -> None:
        super().__init__(source)
        self._factors = np.array(factors, np.float64)

    def __iter__(self) -> Iterator[Chunk]:
        """The source's chunks, converted; rounded to float32 once."""
        for chunk in self._source:
            with np.errstate(over="ignore"):
                yield replace(chunk, samples=(chunk.samples * self._factors).astype(np.float32))
