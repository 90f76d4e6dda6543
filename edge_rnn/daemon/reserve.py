"""A file that keeps room on the disk: on a full one even a DELETE needs some, and this is given up for it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

RESERVE_BYTES = 1 << 20


class Reserve:
    """RESERVE_BYTES of real blocks at a path."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def spend(self) -> bool:
        """Give the room to the file system; False when it was spent before."""
        with contextlib.suppress(OSError):
            if self._path.stat().st_size:
                os.truncate(self._path, 0)
                return True
        return False

    def refill(self) -> bool:
        """Take the room again; False when there is not enough."""
        try:
            if self._path.exists() and self._path.stat().st_size == RESERVE_BYTES:
                return True
            with self._path.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, RESERVE_BYTES)
        except OSError:
            self.spend()
            return False
        return True
