"""What sockets may send to be read all in one call: frames of the wire, or lines of plain CSV; and where each stands.

It must never lose a byte or a number on the way from a socket's own decoder to the extension and back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..endpoints.sockets import SocketSource
from ..engine import F32, in_c
from ..keys import I64
from .ring import Ring

LONGEST_KEPT = 488
"""Bytes of a line that has not ended which a desk keeps; the line that is longer goes to its socket's decoder."""

Receive = Callable[[Any, F32, I64, I64], list[tuple[int, bytes | int]]]


@dataclass(frozen=True, slots=True)
class Form:
    """`desk` is where a socket stands, as kernel/receive_binding.c has it; `function` of the extension reads many.

    `sit` gives a desk's fields after the file number, None where the next bytes are not of this form; its numbers go on
    where `ring` is. `rise` gives the decoder and the ring back what the desk knows.
    """

    desk: np.dtype[np.void]
    function: str
    sit: Callable[[SocketSource, Ring], tuple[Any, ...] | None]
    rise: Callable[[np.void, SocketSource, Ring], None]

    @property
    def receive(self) -> Receive | None:
        """The extension's reader, where it was built."""
        found: Receive | None = in_c(self.function)
        return found


def _sit_frames(source: SocketSource, ring: Ring) -> tuple[Any, ...] | None:
    if source.frames is None or (head := source.frames.head) is None:
        return None
    session, scale, first, offset = head
    return session, first, scale, offset


def _rise_frames(desk: np.void, source: SocketSource, ring: Ring) -> None:
    assert source.frames is not None
    source.frames.go_on(int(desk["last"]), int(desk["offset"]))


def _sit_lines(source: SocketSource, ring: Ring) -> tuple[Any, ...] | None:
    tail = None if source.frames is not None else source.lines.head
    if tail is None or len(tail) > LONGEST_KEPT:
        return None
    return len(tail), ring.number, 0, np.frombuffer(tail.ljust(LONGEST_KEPT, b"\0"), np.uint8)


def _rise_lines(desk: np.void, source: SocketSource, ring: Ring) -> None:
    source.lines.go_on(int(desk["lines"]), desk["tail"].tobytes()[: int(desk["kept"])])
    ring.number = int(desk["number"])


FRAMES = Form(
    np.dtype([("fd", "i4"), ("session", "u4"), ("last", "u4"), ("scale", "f4"), ("offset", "i8")]),
    "receive_frames",
    _sit_frames,
    _rise_frames,
)
CSV = Form(
    np.dtype([("fd", "i4"), ("kept", "u4"), ("number", "i8"), ("lines", "i8"), ("tail", "u1", (LONGEST_KEPT,))]),
    "receive_csv",
    _sit_lines,
    _rise_lines,
)


def standing(source: SocketSource, ring: Ring) -> tuple[Form, tuple[Any, ...]] | None:
    """The form that a socket's next bytes have, and where it stands; None where it has none that is read together."""
    for form in (FRAMES, CSV):
        stands = form.sit(source, ring)
        if stands is not None and form.receive is not None:
            return form, stands
    return None
