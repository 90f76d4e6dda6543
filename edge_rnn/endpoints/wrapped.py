"""A source around another one: what it does not change is the inner source's. It must never read a chunk itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .sources import Source


class Wrapped:
    """The inner source's lines, names and rate; a subclass iterates."""

    def __init__(self, source: Source) -> None:
        self._source = source

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
