"""Sockets whose next bytes are of one plain form: the extension reads and decodes all of them in one call.

It must never wait, and never guess: whatever is not plain goes back to its seat as bytes.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..engine import F32
from ..keys import I64
from ..recording import Chunk
from .forms import Form
from .ring import Ring
from .seat import Seat

ROOM = 8192
"""So many samples are taken in a round; what comes beyond is decoded by its seat."""


@dataclass(frozen=True, slots=True)
class Sheaf:
    """Numbered samples of many live sources: x (R, I) and seq (R,) hold `rows[m]` for `rings[m]`, then the next one's.

    They came at `came_ns` (time.monotonic_ns). The arrays are used again in the next round.
    """

    rings: list[Ring]
    rows: I64
    x: F32
    seq: I64
    came_ns: int

    def part(self, chosen: Sequence[int]) -> Sheaf:
        """Only these of it."""
        kept = np.zeros(len(self.rings), np.bool_)
        kept[chosen] = True
        mine = np.repeat(kept, self.rows)
        return Sheaf([self.rings[m] for m in chosen], self.rows[kept], self.x[mine], self.seq[mine], self.came_ns)

    def put_back(self, m: int) -> None:
        """Give one source's samples to its ring, before what came there after them."""
        stop = int(self.rows[: m + 1].sum())
        mine = slice(stop - int(self.rows[m]), stop)
        self.rings[m].put_back(Chunk(self.x[mine].copy(), None, self.seq[mine].copy()), self.came_ns)


class Intake:
    """Seats of a form whose samples have so many channels; only where `form.receive` is there."""

    def __init__(self, form: Form, channels: int) -> None:
        self._form = form
        self._seats: list[Seat] = []
        self._rings: list[Ring] = []
        self._desks = np.zeros(0, form.desk)  # one for each seat
        self._x, self._seq = np.empty((ROOM, channels), np.float32), np.empty(ROOM, np.int64)

    def enter(self, seat: Seat, ring: Ring, stands: tuple[Any, ...]) -> None:
        """Read it here from now on, from where `form.sit` says it stands; its samples go nowhere but to `ring`."""
        desk = np.array([(seat.source.socket.fileno(), *stands)], self._form.desk)
        self._desks = np.concatenate([self._desks, desk])
        self._seats, self._rings = [*self._seats, seat], [*self._rings, ring]

    def leave(self, seat: Seat) -> None:
        """Read it here no more; its decoder goes on where this one is."""
        at = self._seats.index(seat)
        self._form.rise(self._desks[at], seat.source, self._rings[at])
        self._desks = np.delete(self._desks, at)
        self._seats = self._seats[:at] + self._seats[at + 1 :]
        self._rings = self._rings[:at] + self._rings[at + 1 :]  # a new list: sheaves keep theirs

    def read(self) -> tuple[Sheaf | None, list[tuple[Seat, bytes | int]]]:
        """Read all; and of some, in order, what came that is not plain (b"": the end), or an errno."""
        receive = self._form.receive
        assert receive is not None
        rows, rings = np.zeros(len(self._seats), np.int64), self._rings
        rest = [(self._seats[m], what) for m, what in receive(self._desks, self._x, self._seq, rows)]
        came = int(rows.sum())
        if not came:
            return None, rest
        if not rows.all():
            rings, rows = [ring for ring, count in zip(rings, rows.tolist(), strict=True) if count], rows[rows > 0]
        return Sheaf(rings, rows, self._x[:came], self._seq[:came], time.monotonic_ns()), rest
