"""Messages that may be lost: who asks, asks again. And what all messages are made of: names, numbers, two forms."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar, Self

from edge_rnn.errors import LinkError

MAJOR, MINOR = 1, 0
SEQUENCED = 0x40
"""Types with this bit have a place in their sender's sequence; the others are datagrams, lost when they are lost."""


class Role(IntEnum):
    """What a board does."""

    SENSOR = 1  # streams DATA, the host infers
    INFERENCE = 2  # runs the model on the host's DATA, answers with RESULT
    NODE = 3  # runs the model on its own sensor, streams RESULT


class ModelKind(IntEnum):
    """The recurrent layers of a board's model."""

    NONE = 0
    RNN = 1
    GRU = 2
    LSTM = 3
    OTHER = 4


class Reason(IntEnum):
    """Why a NAK."""

    GAP = 1  # `seq` was expected: send again from there
    GONE = 2  # `seq` is the oldest that is still held
    UNKNOWN = 3  # no such type, or not in this role
    BAD = 4  # the payload is not what the type promises
    NO_STATE = 5  # a SET_STATE was begun and not finished: finish it or RESET
    WRONG_MODEL = 6
    DAMAGED = 7  # a checksum over the whole state or model does not hold
    REFUSED = 8  # the board cannot take it


@dataclass(frozen=True, slots=True)
class Plain:
    """A message that is its `FORM` field by field."""

    TYPE: ClassVar[int]
    FORM: ClassVar[struct.Struct]
    __match_args__: ClassVar[tuple[str, ...]]

    def pack(self) -> bytes:
        """The payload."""
        return self.FORM.pack(*(getattr(self, name) for name in self.__match_args__))

    @classmethod
    def unpack(cls, payload: bytes) -> Self:
        """Read a payload; raises LinkError."""
        if len(payload) != cls.FORM.size:
            raise LinkError(f"{cls.__name__} has {len(payload)} bytes, expected {cls.FORM.size}")
        return cls(*cls.FORM.unpack(payload))


@dataclass(frozen=True, slots=True)
class Tailed:
    """A message that is its `FORM` field by field, then bytes: the last field."""

    TYPE: ClassVar[int]
    FORM: ClassVar[struct.Struct]
    __match_args__: ClassVar[tuple[str, ...]]

    def pack(self) -> bytes:
        """The payload."""
        values = [getattr(self, name) for name in self.__match_args__]
        return self.FORM.pack(*values[:-1]) + bytes(values[-1])

    @classmethod
    def unpack(cls, payload: bytes) -> Self:
        """Read a payload; raises LinkError."""
        if len(payload) < cls.FORM.size:
            raise LinkError(f"{cls.__name__} has {len(payload)} bytes, expected at least {cls.FORM.size}")
        values = (*cls.FORM.unpack_from(payload), payload[cls.FORM.size :])
        return cls(*values)


@dataclass(frozen=True, slots=True)
class Hello(Plain):
    """Who is there? A board that has no session since its boot takes `nonce` for it."""

    TYPE: ClassVar[int] = 0x01
    FORM: ClassVar[struct.Struct] = struct.Struct("<BBBxH")
    nonce: int
    max_payload: int = 240
    major: int = MAJOR
    minor: int = MINOR

    def pack(self) -> bytes:
        """The payload."""
        return self.FORM.pack(self.major, self.minor, self.max_payload, self.nonce)

    @classmethod
    def unpack(cls, payload: bytes) -> Self:
        """Read a payload; raises LinkError."""
        if len(payload) < cls.FORM.size:
            raise LinkError(f"Hello has {len(payload)} bytes, expected at least {cls.FORM.size}")
        major, minor, max_payload, nonce = cls.FORM.unpack_from(payload)
        return cls(nonce, max_payload, major, minor)


@dataclass(frozen=True, slots=True)
class Info(Plain):
    """What a board is and where it stands. Its session is the frame's."""

    TYPE: ClassVar[int] = 0x02
    FORM: ClassVar[struct.Struct] = struct.Struct("<BBBBII BBBBIIIfI HHHH BBBB")
    major: int = MAJOR
    minor: int = MINOR
    next_seq: int = 0
    stream_seq: int = 0
    epoch: int = 0
    steps: int = 0
    role: int = Role.SENSOR
    credits: int = 1
    max_payload: int = 64
    dtype: int = 1  # 1: int16
    tick_hz: int = 1_000_000
    rate_mhz: int = 0  # millihertz
    firmware: int = 0
    scale: float = 1.0  # value = sample * scale
    model_hash: int = 0
    inputs: int = 0
    hidden: int = 0
    outputs: int = 0
    state_bytes: int = 0
    channels: int = 0
    model_kind: int = ModelKind.NONE
    result: int = 0  # 0: logits, 1: a class
    options: int = 0  # bit 0: takes BLOB

    @property
    def rate_hz(self) -> float:
        """Samples a second, 0 when the board does not say."""
        return self.rate_mhz / 1000

    @classmethod
    def unpack(cls, payload: bytes) -> Self:
        """Read a payload, to which a later minor version may have added fields; raises LinkError."""
        if len(payload) < cls.FORM.size:
            raise LinkError(f"Info has {len(payload)} bytes, expected at least {cls.FORM.size}")
        info = cls(*cls.FORM.unpack_from(payload))
        if info.major == MAJOR:
            info.check()
        return info

    def check(self) -> None:
        """Raise LinkError for numbers no board can mean."""
        if self.role not in Role.__members__.values() or self.dtype != 1 or self.tick_hz == 0 or self.credits == 0:
            raise LinkError("Info has no known role, samples other than int16, no tick rate or no credits")
        if self.credits > 64 or self.max_payload > 240 or self.max_payload < self.FORM.size:
            raise LinkError(
                f"Info has credits {self.credits} and max_payload {self.max_payload}, expected 1..64, 48..240"
            )


@dataclass(frozen=True, slots=True)
class Ack(Plain):
    """Everything before `next_seq` is here; `credits` more may come. `value`, answering BLOB, is the bytes held."""

    TYPE: ClassVar[int] = 0x03
    FORM: ClassVar[struct.Struct] = struct.Struct("<BBI")
    next_seq: int
    credits: int
    value: int = 0

    @classmethod
    def unpack(cls, payload: bytes) -> Self:
        """Read a payload; raises LinkError."""
        if len(payload) not in (2, 6):
            raise LinkError(f"Ack has {len(payload)} bytes, expected 2 or 6")
        return cls(*cls.FORM.unpack(payload.ljust(6, b"\0")))


@dataclass(frozen=True, slots=True)
class Nak(Plain):
    """Not so: see Reason for what `seq` says; `type` is the refused frame's."""

    TYPE: ClassVar[int] = 0x04
    FORM: ClassVar[struct.Struct] = struct.Struct("<BBB")
    seq: int
    reason: int
    type: int = 0


@dataclass(frozen=True, slots=True)
class Ping(Tailed):
    """A board sends the same back."""

    TYPE: ClassVar[int] = 0x05
    FORM: ClassVar[struct.Struct] = struct.Struct("<")
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class TimeSync(Plain):
    """t1: the host's nanoseconds at sending; t2, t3: a board's ticks at receiving and answering."""

    TYPE: ClassVar[int] = 0x06
    FORM: ClassVar[struct.Struct] = struct.Struct("<QII")
    t1: int
    t2: int = 0
    t3: int = 0


@dataclass(frozen=True, slots=True)
class GetStats:
    """Ask for Stats."""

    TYPE: ClassVar[int] = 0x07

    def pack(self) -> bytes:
        """The payload."""
        return b""


@dataclass(frozen=True, slots=True)
class Stats(Plain):
    """A board's counters since its boot."""

    TYPE: ClassVar[int] = 0x07
    FORM: ClassVar[struct.Struct] = struct.Struct("<7I")
    crc_errors: int = 0
    framing_errors: int = 0
    foreign: int = 0  # frames of another session
    duplicates: int = 0
    overruns: int = 0  # the UART lost bytes
    dropped_by_producer: int = 0  # samples or results that were overwritten before the host had them
    max_step_ticks: int = 0


@dataclass(frozen=True, slots=True)
class Log(Tailed):
    """A line of text from a board's author."""

    TYPE: ClassVar[int] = 0x08
    FORM: ClassVar[struct.Struct] = struct.Struct("<")
    data: bytes = b""

    @property
    def text(self) -> str:
        """The line, without control characters."""
        return "".join(
            c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in self.data.decode("utf-8", "replace")
        )
