"""Samples one way over a socket that loses nothing: a zero, an INFO, then DATA (docs/wire.md). No I/O here.

A process of the same machine feeds the daemon like this; nothing is said back, so there is nothing to wait for. Numbers
count on while the session is the same; another session is another run of the sender, whose numbers compare with no
others.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from edge_rnn.errors import LinkError

from .framing import MAX_PAYLOAD, Decoder, Frame, encode
from .messages import Data, Info, Role

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]
SESSION_BITS = 40
"""A sample's number is session << 40 | its count: two sessions lie further apart than any gap of one."""
_WRAP = 1 << 32
_HEAD = Data.FORM
_CODE = np.dtype("<i2")


class Sender:
    """Turns samples into bytes. `scale`: value = code * scale; `rate_hz` is what INFO says of the source.

    `count` is the number of the first sample: a sender that had to drop some skips their numbers (`skip`).
    """

    def __init__(self, channels: int, scale: float, rate_hz: float, session: int | None = None) -> None:
        self.count = 0
        self._session = session or secrets.randbelow(0xFFFF) + 1
        self._channels, self._scale = channels, scale
        self._seq = 0
        self._most = (MAX_PAYLOAD - _HEAD.size) // (2 * channels)
        if not 1 <= channels <= (MAX_PAYLOAD - _HEAD.size) // 2:
            raise LinkError(f"{channels} channels were given, a frame holds 1..{(MAX_PAYLOAD - _HEAD.size) // 2}")
        info = Info(
            max_payload=MAX_PAYLOAD, rate_mhz=round(rate_hz * 1000), scale=scale, channels=channels, role=Role.SENSOR
        )
        self.opening = b"\0" + encode(Frame(Info.TYPE, 0, self._session, info.pack()))
        """What each connection begins with."""

    def frames(self, codes: npt.NDArray[np.int16]) -> bytes:
        """Codes (n, channels) int16 as frames."""
        rows = np.ascontiguousarray(codes, "<i2").reshape(-1, self._channels)
        out = []
        for at in range(0, len(rows), self._most):
            part = rows[at : at + self._most]
            payload = _HEAD.pack(0, self.count % _WRAP, len(part)) + part.tobytes()
            out.append(encode(Frame(Data.TYPE, self._seq, self._session, payload)))
            self.count += len(part)
            self._seq = (self._seq + 1) & 255
        return b"".join(out)

    def skip(self, rows: int) -> None:
        """So many samples were lost before they could be sent."""
        self.count += rows


class Receiver:
    """Turns what came over one connection into samples. Raises LinkError for a sender that nobody can understand.

    `fast` is edge_rnn._native.frames where there is one: it takes plain DATA frames, and leaves all else to Python.
    """

    def __init__(self, fast: Callable[..., tuple[int, int, int, int]] | None = None) -> None:
        self._fast = fast
        self.info: Info | None = None
        self.channels = 0
        self._decoder = Decoder()
        self._scale = np.float32(1)
        self._session = 0
        self._first = 0  # the last frame's first number
        self._offset = 0  # what is added to it: the session, and what has wrapped away

    @property
    def damaged(self) -> int:
        """Frames that were dropped: on a socket that loses nothing, the sender's mistake."""
        return self._decoder.crc_errors + self._decoder.framing_errors

    @property
    def head(self) -> tuple[int, np.float32, int, int] | None:
        """Session, scale, the last frame's first number and what is added to it; None before INFO, or in a frame."""
        if self.info is None or self._decoder.held:
            return None
        return self._session, self._scale, self._first, self._offset

    def go_on(self, first: int, offset: int) -> None:
        """Somebody else decoded what came since `head`; these are its last two now."""
        self._first, self._offset = first, offset

    def feed(self, data: bytes) -> tuple[F32, I64] | None:
        """Take bytes in any cut; the samples (n, channels) of the frames that are whole, and their numbers (n,)."""
        if self._fast is None or self.info is None or self._decoder.held:
            return self._slowly(data)
        most = max(len(data) // (2 * self.channels), 1)
        x, seq = np.empty((most, self.channels), np.float32), np.empty(most, np.int64)
        head = (self._session, self._scale, self._first, self._offset)
        used, rows, self._first, self._offset = self._fast(data, *head, x, seq)
        x, seq = x[:rows], seq[:rows]
        if used < len(data) and (rest := self._slowly(data[used:])) is not None:
            return np.concatenate([x, rest[0]]), np.concatenate([seq, rest[1]])
        return (x, seq) if rows else None

    def _slowly(self, data: bytes) -> tuple[F32, I64] | None:
        blocks: list[bytes] = []
        numbers: list[I64] = []
        for kind, _, session, payload in self._decoder.feed(data):
            if kind == Data.TYPE:
                numbers.append(self._data(session, payload))
                blocks.append(payload[_HEAD.size :])
            elif kind == Info.TYPE:
                self._opened(session, Info.unpack(payload))
        if not numbers:
            return None
        codes = np.frombuffer(blocks[0] if len(blocks) == 1 else b"".join(blocks), _CODE)
        x: F32 = codes.reshape(-1, self.channels) * self._scale
        return x, numbers[0] if len(numbers) == 1 else np.concatenate(numbers)

    def _opened(self, session: int, info: Info) -> None:
        if self.info is not None and (info != self.info or session != self._session):
            raise LinkError("the sender changed its INFO within a connection: it must open another")
        info.check()
        if info.role != Role.SENSOR or not info.channels:
            raise LinkError(f"the sender's INFO has role {info.role} and {info.channels} channels, expected a sensor's")
        self.info, self.channels, self._scale = info, info.channels, np.float32(info.scale)
        self._session, self._offset = session, session << SESSION_BITS

    def _data(self, session: int, payload: bytes) -> I64:
        if session != self._session or self.info is None:
            raise LinkError("the sender sent DATA before the INFO of its session: INFO says channels and scale")
        if len(payload) < _HEAD.size:
            raise LinkError(f"DATA has {len(payload)} bytes, expected at least {_HEAD.size}")
        _, first, rows = _HEAD.unpack_from(payload)
        if rows == 0 or len(payload) - _HEAD.size != 2 * rows * self.channels:
            raise LinkError(f"DATA has {len(payload) - _HEAD.size} bytes for {rows} rows of {self.channels} channels")
        if first < self._first - _WRAP // 2:
            self._offset += _WRAP
        self._first = first
        first += self._offset
        return np.arange(first, first + rows)
