"""Which decisions of two models on the same samples differ. Lists of events in, differences out; nothing else.

Two events of one label are the same decision when they overlap in time, or start within TOLERANCE_NS of one another.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from .events import Ended, Event

TOLERANCE_NS = 500_000_000


@dataclass(frozen=True, slots=True)
class Change:
    """A decision of one model alone ("lost" of the first, "new" of the second), or one at another time ("moved")."""

    kind: Literal["lost", "new", "moved"]
    label: str
    first: Ended | None
    second: Ended | None

    def to_json(self) -> dict[str, Any]:
        """The `diff` line."""
        sides = {"a": self.first, "b": self.second}
        times = {side: None if e is None else {"t0": e.t0_ns / 1e9, "t1": e.t1_ns / 1e9} for side, e in sides.items()}
        return {"type": "diff", "change": self.kind, "label": self.label, **times}


def compare(first: Iterable[Event], second: Iterable[Event]) -> list[Change]:
    """What changes from the first model's events to the second's, in order of time; an exact match is no change."""
    ones, others = ([e for e in events if isinstance(e, Ended)] for events in (first, second))
    changes: list[Change] = []
    for label in sorted({e.label for e in (*ones, *others)}):
        changes += _one_label(label, [e for e in ones if e.label == label], [e for e in others if e.label == label])
    return sorted(changes, key=lambda c: min(e.t0_ns for e in (c.first, c.second) if e is not None))


def _one_label(label: str, ones: list[Ended], others: list[Ended]) -> list[Change]:
    """Both lists are in order of time and an event never overlaps its successor, so one sweep pairs them."""
    changes: list[Change] = []
    i = j = 0
    while i < len(ones) or j < len(others):
        a = ones[i] if i < len(ones) else None
        b = others[j] if j < len(others) else None
        if a is not None and b is not None and _same(a, b):
            if (a.t0_ns, a.t1_ns) != (b.t0_ns, b.t1_ns):
                changes.append(Change("moved", label, a, b))
            i, j = i + 1, j + 1
        elif b is None or (a is not None and a.t0_ns <= b.t0_ns):
            changes.append(Change("lost", label, a, None))
            i += 1
        else:
            changes.append(Change("new", label, None, b))
            j += 1
    return changes


def _same(a: Ended, b: Ended) -> bool:
    overlap = a.t0_ns < b.t1_ns and b.t0_ns < a.t1_ns
    return overlap or abs(a.t0_ns - b.t0_ns) <= TOLERANCE_NS
