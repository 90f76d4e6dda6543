"""The host's end of the wire: bytes in, messages out, bytes to send. Time is an argument (ns); no I/O, no clock here.

It must never deliver a sample or an answer twice or out of order, whatever the wire loses, repeats or invents, and it
raises nothing but LinkError. All timers are the host's: a board only ever answers (docs/wire.md, "Who keeps time").
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass

from edge_rnn.errors import LinkError

from .clock import ClockSync
from .framing import Decoder, Frame, encode
from .messages import (
    FROM_BOARD,
    MAJOR,
    SEQUENCED,
    Ack,
    Data,
    Datagram,
    FromBoard,
    Hello,
    Info,
    Log,
    Nak,
    Ping,
    Reason,
    Request,
    Result,
    Role,
    StateChunk,
    Stats,
    TimeSync,
)

FIRST_RTO_NS = 100_000_000
MIN_RTO_NS, MAX_RTO_NS = 20_000_000, 1_000_000_000
CREDITS = 32
"""Frames of a board's stream the host takes before its next ACK."""
SILENT_ASKS = 4
"""Questions into the silence before HELLO asks whether the board is still the same."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A board answered. `fresh`: it is not the session we spoke with before, its state and our requests are gone."""

    info: Info
    session: int
    fresh: bool


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer to a request, in the order of the requests; a Nak is a refusal."""

    ticket: int
    message: Ack | Nak | Result | StateChunk


Event = Opened | Answered | Data | Result | Log | Stats | Ping


@dataclass(slots=True)
class Counters:
    """What the wire did to us."""

    foreign: int = 0  # frames of another session
    malformed: int = 0  # true frames that are not messages of ours
    duplicates: int = 0
    resent: int = 0
    gaps: int = 0
    timeouts: int = 0
    gone: int = 0  # times a board no longer held what we missed
    reopened: int = 0


@dataclass(slots=True)
class _Pending:
    """A request on its way."""

    wire: Frame
    sent_ns: int
    tries: int = 1
    answer: Ack | Nak | Result | StateChunk | None = None


class Link:
    """One board. `open`, then `feed` what came, `tick` when `deadline_ns` is reached, and write what `take` gives.

    `model_hash` is what the board must run; None takes any. `rng` makes the nonces that tell a board's boots apart.
    """

    def __init__(self, model_hash: int | None = None, rng: random.Random | None = None) -> None:
        self.info: Info | None = None
        self.session = 0
        self.clock: ClockSync | None = None
        self.counters = Counters()
        self.decoder = Decoder()
        self._model_hash = model_hash
        self._rng = rng or random.Random()
        self._out: list[bytes] = []
        self._pending: deque[_Pending] = deque()
        self._base = 0  # ticket of the oldest request without a delivered answer
        self._rewound = 0  # tickets before this were sent again for the present gap
        self._credits = 1
        self._expected = 0  # next frame of the board's stream
        self._hellos = 0
        self._unanswered: set[int] = set()  # numbers of the HELLOs that an INFO may answer
        self._asked = False  # a NAK is out for the present gap of the stream
        self._told = 0  # number of the last ACK or NAK, which a GONE gives back
        self._told_since = 0  # the first of them that named the frame expected now
        self._rto_ns = FIRST_RTO_NS
        self._backoff = 0
        self._silent = 0
        self._due: int | None = None

    @property
    def room(self) -> int:
        """Requests that may be made now."""
        return max(0, min(self._credits, self.info.credits) - len(self._pending)) if self.info else 0

    @property
    def streaming(self) -> bool:
        """Whether the board sends by itself."""
        return self.info is not None and self.info.role != Role.INFERENCE

    @property
    def deadline_ns(self) -> int | None:
        """When `tick` wants to be called."""
        return self._due

    def take(self) -> bytes:
        """What is to be written to the wire now."""
        out, self._out = b"".join(self._out), []
        return out

    def open(self, now_ns: int) -> None:
        """The wire is there, or there again: end what half frame lies on it and ask who answers."""
        self._out = [b"\0"]
        self.decoder = Decoder()
        self.info, self._backoff, self._silent = None, 0, 0
        self._hello(now_ns)

    def request(self, message: Request, now_ns: int) -> int:
        """Send a request; its ticket comes back with its answer. LinkError when there is no room."""
        if self.room < 1 or self.info is None:
            raise LinkError("no request can be made before the board has answered those it has: wait for an answer")
        payload = message.pack()
        if len(payload) > self.info.max_payload:
            raise LinkError(f"a request of {len(payload)} bytes was made, the board takes {self.info.max_payload}")
        ticket = self._base + len(self._pending)
        frame = Frame(message.TYPE, ticket & 255, self.session, payload)
        if not self._pending:
            self._backoff = 0
        self._pending.append(_Pending(frame, now_ns))
        self._out.append(encode(frame))
        self._arm(now_ns)
        return ticket

    def send(self, message: Datagram) -> None:
        """Send what may be lost."""
        self._out.append(encode(Frame(message.TYPE, 0, self.session, message.pack())))

    def sync(self, now_ns: int) -> None:
        """Ask for the board's time."""
        self.send(TimeSync(now_ns))

    def feed(self, data: bytes, now_ns: int) -> list[Event]:
        """Take bytes as they come; give what they mean. LinkError when the board is not one we can talk to."""
        events: list[Event] = []
        before = self._expected
        for frame in self.decoder.feed(data, now_ns):
            message = self._read(frame)
            if message is not None:
                events += self._hear(frame, message, now_ns)
        if self._expected != before:
            self._acknowledge()
        return events

    def tick(self, now_ns: int) -> None:
        """Time has passed: ask again for what is overdue."""
        if self._due is None or now_ns < self._due:
            return
        if self.info is None:
            self._backoff += 1
            self._hello(now_ns)
            return
        if not self._pending and not self.streaming:
            self._due = None
            return
        self.counters.timeouts += 1
        self._silent += 1
        self._backoff += 1
        self._send_again(self._base, now_ns)
        if self.streaming:
            self._ask_again()
        if self._silent >= SILENT_ASKS:
            self._hello(now_ns)
        self._arm(now_ns)

    def _hello(self, now_ns: int) -> None:
        self._hellos = (self._hellos + 1) & 255
        self._unanswered.add(self._hellos)
        self._out.append(encode(Frame(Hello.TYPE, self._hellos, 0, Hello(self._nonce()).pack())))
        self._arm(now_ns)

    def _nonce(self) -> int:
        nonce = self._rng.randrange(1, 1 << 16)
        return nonce if nonce != self.session else (nonce ^ 1) or 2

    def _arm(self, now_ns: int) -> None:
        self._due = now_ns + min(self._rto_ns << min(self._backoff, 10), MAX_RTO_NS)

    def _read(self, frame: Frame) -> FromBoard | None:
        if frame.type != Info.TYPE and (self.info is None or frame.session != self.session):
            self.counters.foreign += 1
            return None
        try:
            return FROM_BOARD[frame.type].unpack(frame.payload)
        except (KeyError, LinkError):
            self.counters.malformed += 1
            return None

    def _hear(self, frame: Frame, message: FromBoard, now_ns: int) -> list[Event]:
        if isinstance(message, Info):
            return self._opened(frame, message, now_ns)
        if isinstance(message, TimeSync):
            assert self.clock is not None
            self.clock.add(message.t1, message.t2, message.t3, now_ns)
            return []
        if isinstance(message, Nak) and message.reason == Reason.GAP:
            self._rewind(message.seq, now_ns)
            return []
        if isinstance(message, Nak) and message.reason == Reason.GONE:
            self._gone(frame.seq, message.seq, now_ns)
            return []
        if isinstance(message, Nak) and not message.type & SEQUENCED:  # a datagram it does not know
            return []
        if self.streaming and isinstance(message, Data | Result):
            return self._received(frame.seq, message, now_ns)
        if isinstance(message, Ack | Nak | Result | StateChunk):
            return self._answered(frame.seq, message, now_ns)
        if isinstance(message, Data):
            self.counters.malformed += 1
            return []
        return [message]

    def _opened(self, frame: Frame, info: Info, now_ns: int) -> list[Event]:
        """An INFO: the answer to a HELLO, each believed once, or with session 0 the word that a board has booted."""
        if info.major != MAJOR:
            raise LinkError(f"the board speaks version {info.major} of the wire, this is {MAJOR}: update the older one")
        if frame.session == 0:
            self.info, self._backoff = None, 0
            self._hello(now_ns)
            return []
        if frame.seq not in self._unanswered:
            self.counters.duplicates += 1
            return []
        self._unanswered.clear()
        if self._model_hash is not None and info.model_hash != self._model_hash:
            theirs, ours = info.model_hash, self._model_hash
            raise LinkError(f"the board runs model {theirs:08x}, expected {ours:08x}: flash it anew, or use --force")
        ahead = (info.next_seq - self._base) & 255
        fresh = frame.session != self.session or ahead > len(self._pending)
        again = self.info is not None and not fresh
        self._silent = self._backoff = 0
        self.info = info
        self._credits = info.credits
        if fresh:
            self.counters.reopened += self.session != 0
            self.session = frame.session
            self.clock = ClockSync(info.tick_hz)
            self._pending.clear()
            self._base = self._rewound = info.next_seq
            self._expect(info.stream_seq)
        self._asked = False
        self._send_again(self._base, now_ns)
        if self.streaming:
            self._ask_again()
        self._arm(now_ns)
        return [] if again else [Opened(info, self.session, fresh)]

    def _acknowledge(self) -> None:
        self._tell(Ack(self._expected, CREDITS))

    def _ask_again(self) -> None:
        self._tell(Nak(self._expected, Reason.GAP))
        self._acknowledge()

    def _tell(self, message: Ack | Nak) -> None:
        self._told = (self._told + 1) & 255
        self._out.append(encode(Frame(message.TYPE, self._told, self.session, message.pack())))

    def _expect(self, seq: int) -> None:
        self._expected = seq
        self._asked = False
        self._told_since = (self._told + 1) & 255

    def _received(self, seq: int, message: Data | Result, now_ns: int) -> list[Event]:
        """A frame of the board's own stream."""
        ahead = (seq - self._expected) & 255
        self._silent = self._backoff = 0
        self._arm(now_ns)
        if ahead == 0:
            self._expect((seq + 1) & 255)
            return [message]
        if ahead >= 128:
            self.counters.duplicates += 1
        elif not self._asked:
            self.counters.gaps += 1
            self._asked = True
            self._tell(Nak(self._expected, Reason.GAP))
        return []

    def _gone(self, told: int, oldest: int, now_ns: int) -> None:
        """The board overwrote what we miss: go on with what it has; the hole shows in the samples' numbers.

        Only where it answers what we said of the frame expected now: an older word would lead back.
        """
        if self.streaming and (told - self._told_since) & 255 < 128:
            self.counters.gone += 1
            self._expect(oldest)
            self._acknowledge()
            self._arm(now_ns)

    def _answered(self, seq: int, message: Ack | Nak | Result | StateChunk, now_ns: int) -> list[Event]:
        place = (seq - self._base) & 255
        if place >= len(self._pending) or self._pending[place].answer is not None:
            self.counters.duplicates += 1
            return []
        request = self._pending[place]
        request.answer = message
        self._credits = message.credits if isinstance(message, Ack | Result) else self._credits
        self._silent = self._backoff = 0
        if request.tries == 1:  # Karn: an answer to a repeated request measures nothing
            self._measure(now_ns - request.sent_ns)
        if place and self._base + place > self._rewound:
            self.counters.gaps += 1
            self._rewound = self._base + place
            self._send_again(self._base, now_ns, self._base + place)
        events: list[Event] = []
        while self._pending and (answer := self._pending[0].answer) is not None:
            self._pending.popleft()
            events.append(Answered(self._base, answer))
            self._base += 1
        self._arm(now_ns)
        return events

    def _measure(self, rtt_ns: int) -> None:
        """Three times a smoothed round trip."""
        three = min(max(3 * rtt_ns, MIN_RTO_NS), MAX_RTO_NS)
        self._rto_ns += (three - self._rto_ns) // (8 if three < self._rto_ns else 2)

    def _rewind(self, seq: int, now_ns: int) -> None:
        """The board misses `seq`: send again from there, once for each gap."""
        place = (seq - self._base) & 255
        if place < len(self._pending) and self._base + place >= self._rewound:
            self.counters.gaps += 1
            self._rewound = self._base + place + 1
            self._send_again(self._base + place, now_ns)
            self._arm(now_ns)

    def _send_again(self, first: int, now_ns: int, stop: int | None = None) -> None:
        last = self._base + len(self._pending) if stop is None else stop
        for ticket in range(first, last):
            request = self._pending[ticket - self._base]
            if request.answer is None:
                request.tries += 1
                request.sent_ns = now_ns
                self.counters.resent += 1
                self._out.append(encode(request.wire))
