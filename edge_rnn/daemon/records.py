"""What goes into the store: events with an identity that a recomputation gives again, and where each pipeline stands.

No clock, no file and no thread here.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from ..events import Ended, Event, Fault, Gap, Started


@dataclass(frozen=True, slots=True)
class Record:
    """One event: `key` is the same whenever it is computed again, `line` is its JSON."""

    pipeline: str
    key: str
    line: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a pipeline stands: everything that is needed to go on as if nothing had happened.

    `generation` counts the fresh starts (a new model, a state that was lost), `cursor` the samples taken from the
    source (of a live one: those that went by), `state` is the stream's snapshot, empty before the first sample, and
    `wall_ns` when that was, an annotation that says how long a live source was not listened to.
    """

    generation: int
    digest: str
    cursor: int = 0
    finished: bool = False
    state: bytes = b""
    wall_ns: int = 0


@dataclass(slots=True)
class Batch:
    """What one transaction makes durable: events, the places they belong to, and how far each sink is.

    `lost` counts events that found no room while the disk was full; a tombstone tells the sinks.
    """

    records: list[Record] = field(default_factory=list)
    places: dict[str, Place] = field(default_factory=dict)
    acked: dict[str, int] = field(default_factory=dict)
    lost: int = 0
    came_ns: list[int] = field(default_factory=list)
    """When the samples came that made these events."""

    def __bool__(self) -> bool:
        return bool(self.records or self.places or self.acked or self.lost)

    @property
    def can_wait(self) -> bool:
        """Whether it holds acknowledgements alone: lost in a crash, they only make a sink get something twice."""
        return not (self.records or self.places or self.lost)

    def absorb(self, later: Batch) -> None:
        """Add what came after; the later place of a pipeline counts."""
        self.records += later.records
        self.places.update(later.places)
        for sink, upto in later.acked.items():
            self.acked[sink] = max(upto, self.acked.get(sink, 0))
        self.lost += later.lost
        self.came_ns += later.came_ns

    def shed(self, most: int) -> None:
        """Keep the newest `most` events and count the others as lost."""
        excess = len(self.records) - most
        if excess > 0:
            self.lost += excess
            del self.records[:excess], self.came_ns[:excess]


def stream_name(installation: str, pipeline: str, generation: int) -> str:
    """The name that enters a stream's event ids: two installations, or two fresh starts, never share one."""
    return f"{installation}/{pipeline}/{generation}"


def record(pipeline: str, name: str, digest: str, event: Event, wall: str | None) -> Record:
    """An event as it is stored. Gaps and faults get an id as starts and ends have one (BLAKE2b-128)."""
    line: dict[str, Any] = event.to_json()
    kind = str(line["type"])
    if isinstance(event, Gap | Fault):
        parts = (event.t0_ns, event.t1_ns) if isinstance(event, Gap) else (event.t_ns, event.channel, event.reason)
        identity = "\0".join(map(str, (name, digest, kind, *parts)))
        line["id"] = hashlib.blake2b(identity.encode(), digest_size=16).hexdigest()
    assert isinstance(event, Started | Ended | Gap | Fault)
    line["pipeline"] = pipeline
    if wall is not None:
        line["wall"] = wall
    return Record(pipeline, f"{kind}:{line['id']}", json.dumps(line, separators=(",", ":")))
