"""A model that comes over the wire in pieces, at the board's end: in order, counted, hashed, applied when whole."""

from __future__ import annotations

from hashlib import sha256
from typing import Any, Protocol

from .messages import BlobBegin, BlobData, Reason


class BoardStore(Protocol):
    """Where a board keeps a model that is pushed to it."""

    def begin(self, size: int) -> bool:
        """Whether `size` bytes can be taken."""
        ...

    def write(self, offset: int, data: bytes) -> None:
        """Keep a piece."""
        ...

    def apply(self, size: int) -> bool:
        """All is here and true: use it."""
        ...


class Blob:
    """At most one on its way. Each answer is the bytes held, or why not."""

    def __init__(self) -> None:
        self._wanted: tuple[int, bytes] | None = None  # size and digest
        self._held = 0
        self._hash: Any = sha256()

    def begin(self, store: BoardStore, begin: BlobBegin) -> Reason | int:
        """Begin, or go on where it was when the same one is asked for again."""
        if len(begin.sha256) != 32:
            return Reason.BAD
        if not store.begin(begin.size):
            return Reason.REFUSED
        if self._wanted != (begin.size, begin.sha256):
            self._wanted, self._held, self._hash = (begin.size, begin.sha256), 0, sha256()
        return self._held

    def take(self, store: BoardStore, piece: BlobData) -> Reason | int:
        """The next piece, no other."""
        if self._wanted is None or piece.offset != self._held or self._held + len(piece.data) > self._wanted[0]:
            return Reason.BAD
        store.write(piece.offset, piece.data)
        self._hash.update(piece.data)
        self._held += len(piece.data)
        return self._held

    def end(self, store: BoardStore) -> Reason | int:
        """Verify and apply; either way it is over."""
        wanted, self._wanted = self._wanted, None
        if wanted is None or (self._held, self._hash.digest()) != wanted:
            return Reason.DAMAGED
        return self._held if store.apply(self._held) else Reason.REFUSED
