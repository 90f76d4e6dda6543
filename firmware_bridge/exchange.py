"""Question and answer over a port: one turn of what everybody does who asks a board and waits for its answers.

It must never wait longer than its patience for a board that says nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from edge_rnn.errors import LinkError

from .link import Event, Link, Opened
from .messages import Stats
from .port import Port
from .window import Answered

PATIENCE_S = 10.0
LONGEST_WAIT_S = 0.1


class Exchange:
    """A port and the link over it. `clock_ns` is asked before and after each wait."""

    def __init__(self, port: Port, link: Link, patience_s: float, clock_ns: Callable[[], int]) -> None:
        self.port, self.link = port, link
        self._patience_ns, self._clock_ns = int(patience_s * 1e9), clock_ns
        self._opened = 0
        self._live_ns = clock_ns()

    def turn(self, ask: Callable[[int], None]) -> list[Event]:
        """Wait for the wire once: what it brings. `ask` is called with the time in ns to make what requests have room.

        A port that was opened anew begins with a HELLO. Raises LinkError when no answer came for `patience_s`.
        """
        now = self._clock_ns()
        if self.port.up and self.port.opened != self._opened:
            self._opened = self.port.opened
            self.link.open(now)
        ask(now)
        self.link.tick(now)
        self.port.write(self.link.take())
        due = self.link.deadline_ns
        data = self.port.read(LONGEST_WAIT_S if due is None else min(max((due - now) / 1e9, 0.0), LONGEST_WAIT_S))
        now = self._clock_ns()
        events = self.link.feed(data, now)
        if any(isinstance(event, Opened | Answered | Stats) for event in events):
            self._live_ns = now
        if now - self._live_ns > self._patience_ns:
            heard = self.link.damaged
            hint = f", {heard} damaged frames came: is {self.port.baud} the baud rate?" if heard else ""
            raise LinkError(f"no answer from {self.port.name} for {self._patience_ns / 1e9:g} s{hint}")
        return events
