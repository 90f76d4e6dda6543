"""The host's end of the wire: bytes in, messages out, bytes to send. Time is an argument (ns); no I/O, no clock here.

It must never deliver a sample or an answer twice or out of order, whatever the wire loses, repeats or invents, and it
raises nothing but LinkError. All timers are the host's: a board only ever answers (docs/wire.md, "Who keeps time").
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from edge_rnn.errors import LinkError

from .clock import ClockSync
from .framing import Decoder, Frame, encode
from .intake import Intake
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
from .window import Answer, Answered, Window

FIRST_RTO_NS = 100_000_000
MIN_RTO_NS, MAX_RTO_NS = 20_000_000, 1_000_000_000
SILENT_ASKS = 4
"""Questions into the silence before HELLO asks whether the board is still the same."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A board answered. `fresh`: it is not the session we spoke with before, its state and our requests are gone."""

    info: Info
    session: int
    fresh: bool
    clock: ClockSync
    """The session's own."""


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
        self._window = Window()
        self._credits = 1
        self._intake = Intake()
        self._hellos = 0
        self._unanswered: set[int] = set()  # numbers of the HELLOs that an INFO may answer
        self._rto_ns = FIRST_RTO_NS
        self._backoff = 0
        self._silent = 0
        self._due: int | None = None

    @property
    def room(self) -> int:
        """Requests that may be made now."""
        return max(0, min(self._credits, self.info.credits) - len(self._window)) if self.info else 0

    @property
    def damaged(self) -> int:
        """Frames that came damaged since the wire was opened last."""
        return self.decoder.crc_errors + self.decoder.framing_errors

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
        if not self._window:
            self._backoff = 0
        ticket, frame = self._window.add(message.TYPE, self.session, payload, now_ns)
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
        before = self._intake.expected
        for frame in self.decoder.feed(data, now_ns):
            message = self._read(frame)
            if message is not None:
                events += self._hear(frame, message, now_ns)
        if self._intake.expected != before:
            self._tell(self._intake.ack())
        return events

    def tick(self, now_ns: int) -> None:
        """Time has passed: ask again for what is overdue."""
        if self._due is None or now_ns < self._due:
            return
        if self.info is None:
            self._backoff += 1
            self._hello(now_ns)
            return
        if not self._window and not self.streaming:
            self._due = None
            return
        self.counters.timeouts += 1
        self._silent += 1
        self._backoff += 1
        self._send_again(self._window.again(now_ns))
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
            again = self._window.rewind(message.seq, now_ns)
            if again:
                self.counters.gaps += 1
                self._send_again(again)
                self._arm(now_ns)
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
            raise LinkError(f"the board runs model {theirs:08x}, expected {ours:08x}: flash or push the expected one")
        fresh = frame.session != self.session or not self._window.holds(info.next_seq)
        again = self.info is not None and not fresh
        self._silent = self._backoff = 0
        self.info = info
        self._credits = info.credits
        if fresh:
            self.counters.reopened += self.session != 0
            self.session = frame.session
            self.clock = ClockSync(info.tick_hz)
            self._window.restart(info.next_seq)
            self._intake.expect(info.stream_seq)
        self._intake.ask_anew()
        self._send_again(self._window.again(now_ns))
        if self.streaming:
            self._ask_again()
        self._arm(now_ns)
        assert self.clock is not None
        return [] if again else [Opened(info, self.session, fresh, self.clock)]

    def _ask_again(self) -> None:
        self._tell(self._intake.nak())
        self._tell(self._intake.ack())

    def _tell(self, numbered: tuple[int, Ack | Nak]) -> None:
        number, message = numbered
        self._out.append(encode(Frame(message.TYPE, number, self.session, message.pack())))

    def _received(self, seq: int, message: Data | Result, now_ns: int) -> list[Event]:
        """A frame of the board's own stream."""
        self._silent = self._backoff = 0
        self._arm(now_ns)
        if self._intake.takes(seq):
            return [message]
        if self._intake.is_old(seq):
            self.counters.duplicates += 1
        elif self._intake.first_of_gap():
            self.counters.gaps += 1
            self._tell(self._intake.nak())
        return []

    def _gone(self, told: int, oldest: int, now_ns: int) -> None:
        """The board overwrote what we miss: go on with what it has; the hole shows in the samples' numbers."""
        if self.streaming and self._intake.is_gone(told):
            self.counters.gone += 1
            self._intake.expect(oldest)
            self._tell(self._intake.ack())
            self._arm(now_ns)

    def _answered(self, seq: int, message: Answer, now_ns: int) -> list[Event]:
        taken = self._window.answer(seq, message, now_ns)
        if taken is None:
            self.counters.duplicates += 1
            return []
        rtt_ns, again = taken
        self._credits = message.credits if isinstance(message, Ack | Result) else self._credits
        self._silent = self._backoff = 0
        if rtt_ns is not None:
            self._measure(rtt_ns)
        self.counters.gaps += bool(again)
        self._send_again(again)
        self._arm(now_ns)
        return [*self._window.delivered()]

    def _measure(self, rtt_ns: int) -> None:
        """Three times a smoothed round trip."""
        three = min(max(3 * rtt_ns, MIN_RTO_NS), MAX_RTO_NS)
        self._rto_ns += (three - self._rto_ns) // (8 if three < self._rto_ns else 2)

    def _send_again(self, frames: list[Frame]) -> None:
        self.counters.resent += len(frames)
        self._out += map(encode, frames)
