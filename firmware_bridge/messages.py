"""What is said over the wire (docs/wire.md): one frozen dataclass a message, packed little-endian.

A payload that is not what its type promises raises LinkError and nothing else; numbers are checked there, once.
"""

from __future__ import annotations

from .datagrams import (
    MAJOR,
    MINOR,
    SEQUENCED,
    Ack,
    GetStats,
    Hello,
    Info,
    Log,
    ModelKind,
    Nak,
    Ping,
    Reason,
    Role,
    Stats,
    TimeSync,
)
from .sequenced import BlobBegin, BlobData, BlobEnd, Data, GetState, Reset, Result, SetState, StateChunk

__all__ = [
    "FROM_BOARD",
    "MAJOR",
    "MINOR",
    "SEQUENCED",
    "Ack",
    "BlobBegin",
    "BlobData",
    "BlobEnd",
    "Data",
    "Datagram",
    "FromBoard",
    "GetState",
    "GetStats",
    "Hello",
    "Info",
    "Log",
    "ModelKind",
    "Nak",
    "Ping",
    "Reason",
    "Request",
    "Reset",
    "Result",
    "Role",
    "SetState",
    "StateChunk",
    "Stats",
    "TimeSync",
]

Request = Data | Reset | GetState | SetState | BlobBegin | BlobData | BlobEnd
Datagram = Hello | Info | Ack | Nak | Ping | TimeSync | GetStats | Stats | Log
FromBoard = Info | Ack | Nak | Ping | TimeSync | Stats | Log | Data | Result | StateChunk
FROM_BOARD: dict[int, type[FromBoard]] = {
    kind.TYPE: kind for kind in (Info, Ack, Nak, Ping, TimeSync, Stats, Log, Data, Result, StateChunk)
}
"""What a host understands."""
