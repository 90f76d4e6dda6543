"""How long to wait before the next try: doubles from `first` to `most`, and begins anew after a success. No clock."""

from __future__ import annotations


class Backoff:
    """Seconds."""

    def __init__(self, first: float, most: float) -> None:
        self._first, self._most = first, most
        self._next = first

    def wait(self) -> float:
        """The time to wait now."""
        now, self._next = self._next, min(self._next * 2, self._most)
        return now

    def success(self) -> None:
        """It worked."""
        self._next = self._first
