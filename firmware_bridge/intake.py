"""A board's own stream from the host's side: which frame is next, and what to tell the board. No time, no I/O."""

from __future__ import annotations

from .messages import Ack, Nak, Reason

CREDITS = 32
"""Frames of a board's stream the host takes before its next ACK."""


class Intake:
    """Go-back-N from the receiver's side. `tell` numbers what it gives: a GONE gives that number back."""

    def __init__(self) -> None:
        self.expected = 0
        self._asked = False  # a NAK is out for the present gap
        self._told = 0  # number of the last ACK or NAK
        self._told_since = 0  # the first of them that named the frame expected now

    def expect(self, seq: int) -> None:
        """Go on from there."""
        self.expected = seq & 255
        self._asked = False
        self._told_since = (self._told + 1) & 255

    def takes(self, seq: int) -> bool:
        """Whether this frame is the next one; if so, it is taken."""
        if seq != self.expected:
            return False
        self.expect(seq + 1)
        return True

    def is_old(self, seq: int) -> bool:
        """Whether a frame that is not the next one came before."""
        return (seq - self.expected) & 255 >= 128

    def is_gone(self, told: int) -> bool:
        """Whether a GONE answers what we said of the frame expected now; an older word would lead back."""
        return (told - self._told_since) & 255 < 128

    def first_of_gap(self) -> bool:
        """Whether the board has not yet been told of the present gap; from now on it has."""
        asked, self._asked = self._asked, True
        return not asked

    def ask_anew(self) -> None:
        """What was asked may not have been heard."""
        self._asked = False

    def ack(self) -> tuple[int, Ack]:
        """All before the expected frame is here."""
        return self._number(), Ack(self.expected, CREDITS)

    def nak(self) -> tuple[int, Nak]:
        """Send again from the expected frame."""
        return self._number(), Nak(self.expected, Reason.GAP)

    def _number(self) -> int:
        self._told = (self._told + 1) & 255
        return self._told
