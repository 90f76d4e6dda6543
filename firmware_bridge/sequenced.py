"""Messages that have a place in their sender's sequence: applied once, in order, and each request answered once."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import ClassVar, Self

from edge_rnn.errors import LinkError

from .datagrams import Plain, Tailed


@dataclass(frozen=True, slots=True)
class Data(Tailed):
    """`rows` samples of all channels, int16: the first one's tick `t0` and number `first`."""

    TYPE: ClassVar[int] = 0x40
    FORM: ClassVar[struct.Struct] = struct.Struct("<IIH")
    t0: int
    first: int
    rows: int
    samples: bytes = field(repr=False)

    @classmethod
    def unpack(cls, payload: bytes) -> Self:
        """Read a payload; raises LinkError."""
        message = super(Data, cls).unpack(payload)
        if message.rows == 0 or len(message.samples) % (2 * message.rows) or not message.samples:
            raise LinkError(f"Data has {len(message.samples)} bytes of samples for {message.rows} rows")
        return message


@dataclass(frozen=True, slots=True)
class Result:
    """One step's logits (int32 Q16) or class: step number `step` since RESET, tick `t` of its sample."""

    TYPE: ClassVar[int] = 0x41
    FORM: ClassVar[struct.Struct] = struct.Struct("<II")
    t: int
    step: int
    logits: tuple[int, ...] | None
    label: int | None = None
    credits: int = 1

    def pack(self) -> bytes:
        """The payload."""
        body = bytes([self.label or 0]) if self.logits is None else struct.pack(f"<{len(self.logits)}i", *self.logits)
        return self.FORM.pack(self.t, self.step) + body + bytes([self.credits])

    @classmethod
    def unpack(cls, payload: bytes) -> Self:
        """Read a payload; raises LinkError."""
        body = payload[cls.FORM.size : -1]
        if len(payload) < cls.FORM.size + 2 or (len(body) % 4 and len(body) != 1):
            raise LinkError(f"Result has {len(payload)} bytes, expected 10 (a class) or 9 + 4 a logit")
        t, step = cls.FORM.unpack_from(payload)
        if len(body) == 1:
            return cls(t, step, None, body[0], payload[-1])
        return cls(t, step, struct.unpack(f"<{len(body) // 4}i", body), None, payload[-1])


@dataclass(frozen=True, slots=True)
class Reset(Plain):
    """Zero the state; `epoch` is the host's name for what follows, INFO gives it back."""

    TYPE: ClassVar[int] = 0x42
    FORM: ClassVar[struct.Struct] = struct.Struct("<I")
    epoch: int


@dataclass(frozen=True, slots=True)
class GetState(Plain):
    """Ask for the state from byte `offset` on."""

    TYPE: ClassVar[int] = 0x43
    FORM: ClassVar[struct.Struct] = struct.Struct("<H")
    offset: int


@dataclass(frozen=True, slots=True)
class StateChunk(Tailed):
    """Bytes `offset`.. of a state of `total` bytes, as it was after `step` steps."""

    TYPE: ClassVar[int] = 0x44
    FORM: ClassVar[struct.Struct] = struct.Struct("<IHH")
    step: int
    offset: int
    total: int
    data: bytes


@dataclass(frozen=True, slots=True)
class SetState(Tailed):
    """Bytes `offset`.. of a state to go on from; `crc` is CRC-32 over the whole state."""

    TYPE: ClassVar[int] = 0x45
    FORM: ClassVar[struct.Struct] = struct.Struct("<IHHII")
    step: int
    offset: int
    total: int
    model_hash: int
    crc: int
    data: bytes


@dataclass(frozen=True, slots=True)
class BlobBegin(Tailed):
    """A model of `size` bytes follows; the answer says how many of exactly this one are held already."""

    TYPE: ClassVar[int] = 0x46
    FORM: ClassVar[struct.Struct] = struct.Struct("<I")
    size: int
    sha256: bytes


@dataclass(frozen=True, slots=True)
class BlobData(Tailed):
    """Bytes `offset`.. of the model."""

    TYPE: ClassVar[int] = 0x47
    FORM: ClassVar[struct.Struct] = struct.Struct("<I")
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class BlobEnd:
    """Verify the whole and apply it."""

    TYPE: ClassVar[int] = 0x48

    def pack(self) -> bytes:
        """The payload."""
        return b""
