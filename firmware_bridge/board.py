"""The device's end of the wire in Python: what device/ does in C, byte for byte. Bytes in, bytes out; no I/O, no clock.

The simulator runs it, and the tests hold the C end against it. It must never apply a request twice or out of order,
and it keeps no timer: everything it sends answers something, but the stream it has credits for.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field, replace
from typing import Protocol

from edge_rnn.errors import LinkError

from .blob import Blob, BoardStore
from .framing import Decoder, Frame, encode
from .messages import (
    SEQUENCED,
    Ack,
    BlobBegin,
    BlobData,
    BlobEnd,
    Data,
    GetState,
    Hello,
    Info,
    Log,
    Nak,
    Ping,
    Reason,
    Reset,
    Result,
    Role,
    SetState,
    StateChunk,
    Stats,
    TimeSync,
)


class BoardModel(Protocol):
    """What a board runs. The state is bytes, as the bundle orders it."""

    def step(self, x: tuple[int, ...]) -> tuple[int, ...]:
        """One step: int16 codes (I,) to int32 Q16 logits (C,)."""
        ...

    def zero(self) -> None:
        """Back to the initial state."""
        ...

    def get_state(self) -> bytes:
        """The state, `Info.state_bytes` long."""
        ...

    def set_state(self, state: bytes) -> None:
        """Go on from a state that `get_state` gave."""
        ...


@dataclass
class Board:
    """One board. `info` says what it is; `slots` and `answers` are powers of two, the frames its two rings hold.

    `step`-ping boards (INFERENCE, NODE) have a `model`. `out` collects what is to be written to the wire.
    """

    info: Info
    slots: int = 4
    answers: int = 1
    rows_per_frame: int = 1
    model: BoardModel | None = None
    store: BoardStore | None = None
    silence: int = 100_000  # ticks
    out: bytearray = field(default_factory=bytearray)
    session: int = 0
    stats: Stats = field(default_factory=Stats)

    def __post_init__(self) -> None:
        self.decoder = Decoder(self.info.max_payload, self.silence)
        self._expected = 0  # next request
        self._gap_told = False
        self._cache: list[Frame | None] = [None] * self.answers
        self._ring: list[tuple[int, bytes, int]] = [(0, b"", 0)] * self.slots  # type, payload, rows
        self._oldest = self._next = self._sent = 0  # the stream: oldest held, next to be made, next to be sent
        self._host_next = self._host_credits = 0
        self._open: list[bytes] = []  # rows of the frame that is being filled
        self._open_t0 = self._open_first = 0
        self._samples = 0
        self._epoch = self._steps = 0
        self._state_ok = True
        self._wire_state = bytearray(self.info.state_bytes)  # as it goes over the wire, either way
        self._saved = 0  # the step it was saved at
        self._staged = 0  # bytes of it that a SET_STATE has brought
        self._blob = Blob()

    def boot(self) -> None:
        """Say that the board is here and has no session yet."""
        self.out += b"\0"
        self._send_info(0)

    def feed(self, data: bytes, now: int) -> None:
        """Take bytes that came at tick `now`."""
        for frame in self.decoder.feed(data, now):
            self._hear(frame, now)

    def push(self, row: tuple[int, ...], now: int) -> None:
        """A sample of the board's own sensor: streamed (SENSOR) or stepped on and its result streamed (NODE)."""
        node = self.info.role == Role.NODE
        if node and not self._state_ok:
            self.stats = replace(self.stats, dropped_by_producer=self.stats.dropped_by_producer + 1)
            return
        if not self._open and self._held() == self.slots:
            self._overwrite()
        if node:
            self._close(Result.TYPE, self._result(now, row), 1)
            return
        if not self._open:
            self._open_t0, self._open_first = now, self._samples
        self._open.append(struct.pack(f"<{len(row)}h", *row))
        self._samples += 1
        if len(self._open) >= self.rows_per_frame:
            self.flush()

    def flush(self) -> None:
        """Close a frame that is not full."""
        if self._open:
            rows, self._open = self._open, []
            data = Data(self._open_t0, self._open_first & 0xFFFFFFFF, len(rows), b"".join(rows))
            self._close(Data.TYPE, data.pack(), len(rows))

    def log(self, text: str) -> None:
        """A line for the host, lost when nobody listens."""
        if self.session:
            self._send(Frame(Log.TYPE, 0, self.session, text.encode()[: self.info.max_payload]))

    def _send(self, frame: Frame) -> None:
        self.out += encode(frame)

    def _held(self) -> int:
        return (self._next - self._oldest) & 255

    def _overwrite(self) -> None:
        rows = self._ring[self._oldest % self.slots][2]
        self.stats = replace(self.stats, dropped_by_producer=self.stats.dropped_by_producer + rows)
        if self._sent == self._oldest:
            self._sent = (self._sent + 1) & 255
        self._oldest = (self._oldest + 1) & 255

    def _close(self, kind: int, payload: bytes, rows: int) -> None:
        self._ring[self._next % self.slots] = (kind, payload, rows)
        self._next = (self._next + 1) & 255
        self._pump()

    def _pump(self) -> None:
        while self._sent != self._next and (self._sent - self._host_next) & 255 < self._host_credits:
            kind, payload, _ = self._ring[self._sent % self.slots]
            self._send(Frame(kind, self._sent, self.session, payload))
            self._sent = (self._sent + 1) & 255

    def _hear(self, frame: Frame, now: int) -> None:
        if frame.type == Hello.TYPE:
            self._hello(frame)
        elif frame.session != self.session or self.session == 0:
            self.stats = replace(self.stats, foreign=self.stats.foreign + 1)
        elif frame.type & SEQUENCED:
            self._request(frame)
        else:
            reason = self._datagram(frame, now)
            if reason is not None:
                self._nak(frame, frame.seq, reason)

    def _nak(self, frame: Frame, seq: int, reason: Reason) -> None:
        self._send(Frame(Nak.TYPE, frame.seq, self.session, Nak(seq, reason, frame.type).pack()))

    def _hello(self, frame: Frame) -> None:
        try:
            hello = Hello.unpack(frame.payload)
        except LinkError:
            self._nak(frame, frame.seq, Reason.BAD)
            return
        self.session = self.session or hello.nonce or 1
        self._gap_told = False
        self._send_info(frame.seq)

    def _send_info(self, seq: int) -> None:
        steps = self._steps if self.model else self._samples
        dynamic = {"next_seq": self._expected, "stream_seq": self._oldest, "epoch": self._epoch, "steps": steps}
        self._send(Frame(Info.TYPE, seq, self.session, replace(self.info, **dynamic).pack()))

    def _datagram(self, frame: Frame, now: int) -> Reason | None:
        """Handle a datagram, or say why not."""
        payload = frame.payload
        if frame.type == Ack.TYPE and self.slots:
            if len(payload) not in (2, 6):
                return Reason.BAD
            self._stream_ack(frame, payload[0], payload[1], rewind=False)
        elif frame.type == Nak.TYPE and self.slots:
            if len(payload) != Nak.FORM.size:
                return Reason.BAD
            self._stream_ack(frame, payload[0], self._host_credits, rewind=True)
        elif frame.type == Ping.TYPE:
            self._send(frame)
        elif frame.type == TimeSync.TYPE:
            if len(payload) < 8:
                return Reason.BAD
            t1 = int.from_bytes(payload[:8], "little")
            self._send(Frame(TimeSync.TYPE, frame.seq, self.session, TimeSync(t1, now, now).pack()))
        elif frame.type == Stats.TYPE:
            stats = replace(self.stats, crc_errors=self.decoder.crc_errors, framing_errors=self.decoder.framing_errors)
            self._send(Frame(Stats.TYPE, frame.seq, self.session, stats.pack()))
        else:
            return Reason.UNKNOWN
        return None

    def _stream_ack(self, frame: Frame, seq: int, credits_: int, *, rewind: bool) -> None:
        """The host has everything before `seq`; with `rewind` it asks for `seq` and what follows again."""
        taken = (seq - self._oldest) & 255
        if taken <= self._held():
            if rewind or taken > (self._sent - self._oldest) & 255:
                self._sent = seq
            self._oldest = seq
        elif rewind:
            # It goes on from the oldest at once: to wait for the host's word would be to lose that one too.
            self._nak(frame, self._oldest, Reason.GONE)
            seq = self._sent = self._oldest
        elif (seq - self._host_next) & 255 > (self._sent - self._host_next) & 255:
            return  # an ACK that was overtaken by a GONE
        self._host_next = seq
        self._host_credits = credits_
        self._pump()

    def _request(self, frame: Frame) -> None:
        ahead = (frame.seq - self._expected) & 255
        cached = self._cache[frame.seq % self.answers]
        if ahead == 0:
            self._expected = (self._expected + 1) & 255
            self._gap_told = False
            kind, payload = self._apply(frame)
            answer = Frame(kind, frame.seq, self.session, payload)
            self._cache[frame.seq % self.answers] = answer
            self._send(answer)
        elif cached is not None and cached.seq == frame.seq:
            self.stats = replace(self.stats, duplicates=self.stats.duplicates + 1)
            self._send(cached)
        elif not self._gap_told:
            self._gap_told = True
            self._nak(frame, self._expected, Reason.GAP)

    def _apply(self, frame: Frame) -> tuple[int, bytes]:
        """Do what is asked, once; give the answer's type and payload."""
        try:
            answer = self._do(frame)
        except (LinkError, struct.error):
            answer = Reason.BAD
        if isinstance(answer, Reason):
            return Nak.TYPE, Nak(frame.seq, answer, frame.type).pack()
        if isinstance(answer, int):
            return Ack.TYPE, Ack((frame.seq + 1) & 255, self.answers, answer).pack()
        return answer

    def _do(self, frame: Frame) -> tuple[int, bytes] | Reason | int:
        """The answer, the reason of a refusal, or the value of an ACK."""
        kind, payload, model = frame.type, frame.payload, self.model
        if kind == Data.TYPE and model and self.info.role == Role.INFERENCE:
            return self._infer(Data.unpack(payload))
        if kind == Reset.TYPE and model:
            self._epoch, self._steps, self._state_ok, self._staged = Reset.unpack(payload).epoch, 0, True, 0
            model.zero()
            return 0
        if kind == GetState.TYPE and model:
            return self._get_state(model, GetState.unpack(payload).offset)
        if kind == SetState.TYPE and model:
            return self._set_state(model, SetState.unpack(payload))
        if kind == BlobBegin.TYPE and self.store:
            return self._blob.begin(self.store, BlobBegin.unpack(payload))
        if kind == BlobData.TYPE and self.store:
            return self._blob.take(self.store, BlobData.unpack(payload))
        if kind == BlobEnd.TYPE and self.store:
            return self._blob.end(self.store)
        return Reason.UNKNOWN

    def _infer(self, data: Data) -> tuple[int, bytes] | Reason:
        if data.rows != 1 or len(data.samples) != 2 * self.info.inputs:
            return Reason.BAD
        if not self._state_ok:
            return Reason.NO_STATE
        return Result.TYPE, self._result(data.t0, struct.unpack(f"<{self.info.inputs}h", data.samples))

    def _result(self, t: int, x: tuple[int, ...]) -> bytes:
        assert self.model is not None
        y = self.model.step(x)
        step, self._steps = self._steps, (self._steps + 1) & 0xFFFFFFFF
        if self.info.result == 1:
            return Result(t, step, None, y.index(max(y)), self.answers).pack()
        return Result(t, step, tuple(y), None, self.answers).pack()

    def _get_state(self, model: BoardModel, offset: int) -> tuple[int, bytes] | Reason:
        if not self._state_ok:
            return Reason.NO_STATE
        if offset > self.info.state_bytes:
            return Reason.BAD
        if offset == 0:
            self._wire_state[:], self._saved = model.get_state(), self._steps
        room = self.info.max_payload - StateChunk.FORM.size
        piece = bytes(self._wire_state[offset : offset + room])
        return StateChunk.TYPE, StateChunk(self._saved, offset, len(self._wire_state), piece).pack()

    def _set_state(self, model: BoardModel, chunk: SetState) -> Reason | int:
        if chunk.model_hash != self.info.model_hash:
            return Reason.WRONG_MODEL
        if chunk.total != self.info.state_bytes or chunk.offset + len(chunk.data) > chunk.total:
            return Reason.BAD
        if chunk.offset == 0:
            self._staged, self._state_ok = 0, False
        if self._state_ok or chunk.offset != self._staged:
            return Reason.BAD
        self._staged += len(chunk.data)
        self._wire_state[chunk.offset : self._staged] = chunk.data
        if self._staged == chunk.total:
            if zlib.crc32(self._wire_state) != chunk.crc:
                return Reason.DAMAGED
            model.set_state(bytes(self._wire_state))
            self._steps, self._state_ok = chunk.step, True
        return 0
