"""Requests on their way to a board: numbered, answered in order, sent again when they must be. No time of its own.

A ticket is a request's number without end; on the wire it is modulo 256.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from .framing import Frame
from .messages import Ack, Nak, Result, StateChunk

Answer = Ack | Nak | Result | StateChunk


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer to a request, in the order of the requests; a Nak is a refusal."""

    ticket: int
    message: Answer


@dataclass(slots=True)
class _Pending:
    wire: Frame
    sent_ns: int
    tries: int = 1
    answer: Answer | None = None


class Window:
    """Go-back-N from the sender's side."""

    def __init__(self) -> None:
        self.base = 0
        """Ticket of the oldest request without a delivered answer."""
        self._pending: deque[_Pending] = deque()
        self._rewound = 0  # tickets before this were sent again for the present gap

    def __len__(self) -> int:
        return len(self._pending)

    def restart(self, ticket: int) -> None:
        """A fresh session: what was asked is void."""
        self._pending.clear()
        self.base = self._rewound = ticket

    def holds(self, seq: int) -> bool:
        """Whether a board that expects `seq` is one that heard us: it is ours to send now, or was and is unanswered."""
        return (seq - self.base) & 255 <= len(self._pending)

    def add(self, kind: int, session: int, payload: bytes, now_ns: int) -> tuple[int, Frame]:
        """A new request: its ticket, and the frame to send."""
        ticket = self.base + len(self._pending)
        frame = Frame(kind, ticket & 255, session, payload)
        self._pending.append(_Pending(frame, now_ns))
        return ticket, frame

    def answer(self, seq: int, answer: Answer, now_ns: int) -> tuple[int | None, list[Frame]] | None:
        """Take an answer: the round trip it measured, and what must be sent again; None when it is a duplicate.

        A round trip is measured by requests that were sent once (Karn). A line does not reorder: an answer overtaken
        by this one was lost, and its request is sent again, once for each gap.
        """
        place = (seq - self.base) & 255
        if place >= len(self._pending) or self._pending[place].answer is not None:
            return None
        request = self._pending[place]
        request.answer = answer
        rtt = now_ns - request.sent_ns if request.tries == 1 else None
        if place == 0 or self.base + place <= self._rewound:
            return rtt, []
        self._rewound = self.base + place
        return rtt, self.again(now_ns, stop=self._rewound)

    def delivered(self) -> list[Answered]:
        """The answers that are next in order, each once."""
        ready: list[Answered] = []
        while self._pending and (answer := self._pending[0].answer) is not None:
            self._pending.popleft()
            ready.append(Answered(self.base, answer))
            self.base += 1
        return ready

    def rewind(self, seq: int, now_ns: int) -> list[Frame]:
        """The board misses `seq`: what to send again, nothing when that was done for this gap."""
        place = (seq - self.base) & 255
        if place >= len(self._pending) or self.base + place < self._rewound:
            return []
        self._rewound = self.base + place + 1
        return self.again(now_ns, self.base + place)

    def again(self, now_ns: int, first: int | None = None, stop: int | None = None) -> list[Frame]:
        """The unanswered requests from ticket `first` up to `stop`, now sent once more."""
        first = self.base if first is None else first
        stop = self.base + len(self._pending) if stop is None else stop
        frames = []
        for place in range(first - self.base, stop - self.base):
            request = self._pending[place]
            if request.answer is None:
                request.tries += 1
                request.sent_ns = now_ns
                frames.append(request.wire)
        return frames
