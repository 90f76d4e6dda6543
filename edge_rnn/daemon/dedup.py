"""For consumers: what is delivered at least once has its effect exactly once. Lines in, a yes or no out; no I/O here.

    seen = Dedup()
    if seen.accept(line): act(line)

The daemon gives an event the same id and type however often it is sent. A consumer that must remember across its own
restarts keeps `snapshot()` together with the effect, in one transaction of its own.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from typing import Any

LIMIT = 100_000
"""Ids kept. The daemon sends again at most what was not acknowledged, so this bounds the spool, not the history."""


class Dedup:
    """Remembers the last `limit` ids; `lost` is how many events will never come, by the tombstones seen."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._tombs: dict[str, int] = {}

    @property
    def lost(self) -> int:
        """Events that the daemon had to give up. A tombstone that comes again larger replaces the one before."""
        return sum(self._tombs.values())

    def accept(self, line: str | bytes | dict[str, Any]) -> bool:
        """Whether this line is new. A line without an id is always new."""
        event = line if isinstance(line, dict) else json.loads(line)
        if "id" not in event:
            return True
        if event["type"] == "lost":
            before = self._tombs.get(event["id"], 0)
            self._tombs[event["id"]] = max(before, int(event["count"]))
            return before == 0
        key = f"{event['type']}:{event['id']}"
        if key in self._seen:
            self._seen.move_to_end(key)
            return False
        self._seen[key] = None
        if len(self._seen) > self._limit:
            self._seen.popitem(last=False)
        return True

    def snapshot(self) -> str:
        """What is remembered, as JSON."""
        return json.dumps({"seen": list(self._seen), "lost": self._tombs})

    def restore(self, text: str) -> None:
        """Take what `snapshot` gave."""
        kept = json.loads(text)
        self._seen = OrderedDict.fromkeys(kept["seen"])
        self._tombs = dict(kept["lost"])
