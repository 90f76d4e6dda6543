"""The .ernrec form: raw samples as they came, in blocks that stand alone (docs/ernrec.md). Bytes here, no file.

A block is

    "ERNB"  kind u8  flags u8  reserved u16  length u32  payload (length)  crc32 u32 over kind..payload

all little-endian. A reader that meets a damaged or unknown block goes on at the next "ERNB" whose CRC holds, so a cut
or a bad sector costs the blocks it touches and no others. Nothing here is trusted with a size.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from .engine import F32
from .errors import DataError
from .keys import I64
from .looks import looks_like

FORMAT = 1
MAGIC = b"ERNB"
HEADER, SAMPLES, EVENT = range(1, 4)
HAS_TIME, HAS_SEQ, RESTART = 1, 2, 4
MAX_PAYLOAD = 1 << 24
_HEAD = struct.Struct("<4sBBHI")
_ROWS = struct.Struct("<IHH")


@dataclass(frozen=True, slots=True)
class Chunk:
    """Samples (T, I) in a row, with their times or sequence numbers (T,) where the source has them.

    `restart` says that these samples do not follow the ones before: another recording begins.
    """

    samples: F32
    t_ns: I64 | None = None
    seq: I64 | None = None
    restart: bool = False
    name: str = ""

    def part(self, first: int, last: int | None = None) -> Chunk:
        """Rows from `first` to before `last`; that another recording begins goes with the first row of all."""
        rows = slice(first, last)
        t_ns, seq = (None if keys is None else keys[rows] for keys in (self.t_ns, self.seq))
        return Chunk(self.samples[rows], t_ns, seq, self.restart and first == 0, self.name)


@dataclass(frozen=True, slots=True)
class Header:
    """What a recording says of itself; `began` is RFC 3339 wall time, `rate_hz` 0 when nobody knew."""

    channels: tuple[str, ...]
    units: tuple[str, ...] = ()
    rate_hz: float = 0.0
    source: str = ""
    began: str = ""
    note: str = ""


@dataclass(slots=True)
class Damage:
    """What a reader had to skip."""

    bytes: int = 0
    places: int = 0


Block = Header | Chunk | dict[str, Any]


def encode_header(header: Header) -> bytes:
    """The first block of a file."""
    return _block(HEADER, 0, json.dumps({"format": FORMAT, **asdict(header)}, sort_keys=True).encode())


def encode_event(line: dict[str, Any]) -> bytes:
    """A decision that was made while recording, as its JSON line."""
    return _block(EVENT, 0, json.dumps(line, sort_keys=True).encode())


def encode_chunk(chunk: Chunk) -> bytes:
    """Samples as one or more blocks: name, then t_ns, seq and samples, each array whole."""
    rows, channels = chunk.samples.shape
    name = chunk.name.encode()[:1000]
    most = max(1, (MAX_PAYLOAD - _ROWS.size - len(name)) // (4 * channels + 16))
    blocks = []
    for first in range(0, max(rows, 1), most):
        part = chunk.part(first, first + most)
        flags = RESTART if part.restart else 0
        arrays = []
        for keys, flag in ((part.t_ns, HAS_TIME), (part.seq, HAS_SEQ)):
            if keys is not None:
                flags |= flag
                arrays.append(keys.astype("<i8").tobytes())
        head = _ROWS.pack(len(part.samples), channels, len(name))
        blocks.append(_block(SAMPLES, flags, head + name + b"".join(arrays) + part.samples.astype("<f4").tobytes()))
    return b"".join(blocks)


def decode(blob: bytes, damage: Damage | None = None) -> Iterator[Block]:
    """The blocks of a file that are whole, in order; raises DataError when it does not begin as a recording."""
    damage = Damage() if damage is None else damage
    channels: int | None = None
    at, bad = 0, False
    while at < len(blob):
        size = _whole_block(blob, at)
        item = None if size == 0 else _decode_block(blob[at : at + size], channels)
        if item is None:
            damage.places += not bad
            bad = True
            found = blob.find(MAGIC, at + 1)
            following = len(blob) if found < 0 else found
            damage.bytes += following - at
            at = following
            continue
        bad = False
        at += size
        if isinstance(item, Header):
            channels = len(item.channels)
        elif channels is None:
            raise DataError("this is no recording of ours: its first whole block is not a header")
        yield item
    if channels is None:
        raise DataError(f"this is {looks_like(blob)}, expected a recording (.ernrec) that begins with a header")


def continues(before: Chunk, after: Chunk) -> bool:
    """Whether two chunks can be written as one block."""
    same = (before.t_ns is None) == (after.t_ns is None) and (before.seq is None) == (after.seq is None)
    return same and not after.restart and before.name == after.name


def joined(chunks: Iterable[Chunk]) -> list[Chunk]:
    """The same samples in fewer chunks: those that continue the one before are one with it."""
    groups: list[list[Chunk]] = []
    for chunk in chunks:
        if groups and continues(groups[-1][-1], chunk):
            groups[-1].append(chunk)
        else:
            groups.append([chunk])
    return [_one(group) for group in groups]


def _one(chunks: list[Chunk]) -> Chunk:
    def whole(arrays: list[Any]) -> Any:
        return None if arrays[0] is None else np.concatenate(arrays)

    if len(chunks) == 1:
        return chunks[0]
    keys = (whole([chunk.t_ns for chunk in chunks]), whole([chunk.seq for chunk in chunks]))
    return Chunk(np.concatenate([chunk.samples for chunk in chunks]), *keys, chunks[0].restart, chunks[0].name)


def _block(kind: int, flags: int, payload: bytes) -> bytes:
    block = _HEAD.pack(MAGIC, kind, flags, 0, len(payload)) + payload
    return block + zlib.crc32(block[len(MAGIC) :]).to_bytes(4, "little")


def _whole_block(blob: bytes, at: int) -> int:
    """Size of the whole block at `at`, 0 when there is none."""
    if len(blob) - at < _HEAD.size + 4:
        return 0
    magic, _, _, _, length = _HEAD.unpack_from(blob, at)
    size = int(_HEAD.size + length + 4)
    if magic != MAGIC or length > MAX_PAYLOAD or at + size > len(blob):
        return 0
    crc = zlib.crc32(memoryview(blob)[at + len(MAGIC) : at + size - 4])
    return size if crc.to_bytes(4, "little") == blob[at + size - 4 : at + size] else 0


def _decode_block(block: bytes, channels: int | None) -> Block | None:
    """What a whole block says; None for a kind of a later release, or one that contradicts itself."""
    _, kind, flags, _, length = _HEAD.unpack_from(block)
    payload = block[_HEAD.size : _HEAD.size + length]
    if kind == SAMPLES:
        return _decode_chunk(payload, flags, channels)
    if kind not in (HEADER, EVENT):
        return None
    try:
        value = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    return value if kind == EVENT else _header(value)


def _decode_chunk(payload: bytes, flags: int, channels: int | None) -> Chunk | None:
    if len(payload) < _ROWS.size:
        return None
    rows, width, named = _ROWS.unpack_from(payload)
    sizes = [named, 8 * rows * bool(flags & HAS_TIME), 8 * rows * bool(flags & HAS_SEQ), 4 * rows * width]
    if _ROWS.size + sum(sizes) != len(payload) or (channels is not None and width != channels):
        return None
    ends = np.cumsum([_ROWS.size, *sizes]).tolist()
    name, t_ns, seq, samples = (payload[a:b] for a, b in pairwise(ends))
    return Chunk(
        np.frombuffer(samples, "<f4").astype(np.float32).reshape(rows, width),
        np.frombuffer(t_ns, "<i8").astype(np.int64) if flags & HAS_TIME else None,
        np.frombuffer(seq, "<i8").astype(np.int64) if flags & HAS_SEQ else None,
        bool(flags & RESTART),
        name.decode("utf-8", "replace"),
    )


def _header(value: dict[str, Any]) -> Header:
    found = value.get("format")
    if found != FORMAT:
        raise DataError(f"the recording's format is {found!r}, this release reads {FORMAT}: upgrade edge-rnn")
    try:
        channels, units = (tuple(str(name) for name in value.get(key, ())) for key in ("channels", "units"))
        texts = {key: str(value.get(key, "")) for key in ("source", "began", "note")}
        header = Header(channels, units, float(value.get("rate_hz", 0.0)), **texts)
    except (TypeError, ValueError) as error:
        raise DataError(f"the recording's header is malformed: {error}") from error
    if not header.channels or len(set(header.channels)) != len(header.channels):
        raise DataError(f"the recording's header names channels {channels}, expected one or more distinct ones")
    return header
