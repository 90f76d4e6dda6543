"""COBS and CRC-32 around one frame of the wire (docs/wire.md): bytes in, frames out.

It must never raise for what came over the wire, never hold more than one frame, and be in step again at the next zero.
"""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

MAX_PAYLOAD = 240
"""Bytes; with head and CRC a frame stays below 254, so that COBS costs exactly one byte and knows no long blocks."""
SILENCE_NS = 100_000_000
"""Half a frame followed by this much silence is dropped."""
_HEAD = struct.Struct("<BBH")
_OVERHEAD = _HEAD.size + 4


class Frame(NamedTuple):
    """type u8, seq u8, session u16, payload 0..240 bytes."""

    type: int
    seq: int
    session: int
    payload: bytes


def encode(frame: Frame) -> bytes:
    """The bytes of a frame on the wire, with the zero that ends it."""
    if len(frame.payload) > MAX_PAYLOAD:
        raise ValueError(f"a payload of {len(frame.payload)} bytes was given, expected at most {MAX_PAYLOAD}")
    body = _HEAD.pack(frame.type, frame.seq, frame.session) + frame.payload
    return cobs_encode(body + zlib.crc32(body).to_bytes(4, "little")) + b"\0"


def cobs_encode(raw: bytes) -> bytes:
    """Consistent overhead byte stuffing (Cheshire and Baker, 1999) of at most 253 bytes: no zeros in the result."""
    return b"".join(bytes([len(block) + 1]) + block for block in raw.split(b"\0"))


def cobs_decode(code: bytes) -> bytes | None:
    """The inverse of `cobs_encode`; None when a block reaches beyond the end."""
    raw, at = bytearray(code), 0
    while at < len(raw):
        step = raw[at]
        raw[at] = 0  # a code byte stands where the zero was; the first one stands before the frame
        at += step
    return bytes(raw[1:]) if at == len(raw) else None


class Decoder:
    """Takes bytes in any cut and gives the frames that are whole and true, counting what is not.

    `max_payload` in bytes bounds the memory: a longer frame is dropped up to the next zero. `silence` is in the unit of
    `now`, nanoseconds on the host and ticks on a board.
    """

    def __init__(self, max_payload: int = MAX_PAYLOAD, silence: int = SILENCE_NS) -> None:
        self.crc_errors = 0
        self.framing_errors = 0
        self.accepted = 0
        self._longest = max_payload + _OVERHEAD + 1
        self._silence = silence
        self._half = b""
        self._heard = 0

    @property
    def held(self) -> int:
        """Bytes of the frame that has begun; one more than a whole frame means that it is too long already."""
        return len(self._half)

    def feed(self, data: bytes, now: int = 0) -> list[Frame]:
        """Decode what came at `now`."""
        if not data:
            return []
        if self._half:
            if now - self._heard > self._silence:
                self.framing_errors += 1
            else:
                data = self._half + data
        self._heard = now
        *whole, half = data.split(b"\0")
        self._half = half[: self._longest + 1]
        return [frame for code in whole if code and (frame := self._open(code)) is not None]

    def _open(self, code: bytes) -> Frame | None:
        raw = cobs_decode(code) if len(code) <= self._longest else None
        if raw is None or len(raw) < _OVERHEAD:
            self.framing_errors += 1
            return None
        body, crc = raw[:-4], raw[-4:]
        if zlib.crc32(body) != int.from_bytes(crc, "little"):
            self.crc_errors += 1
            return None
        self.accepted += 1
        kind, seq, session = _HEAD.unpack_from(body)
        return Frame(kind, seq, session, body[_HEAD.size :])
