"""What a stream says: frozen records and their JSON-line form. No I/O here.

Inside, time is `t_ns`: integer nanoseconds since the stream's start. Outside, in JSON, it is seconds.
"""

from __future__ import annotations

import datetime
import json
from typing import Any, Literal

from .value import Value

Quality = Literal["ok", "imputed", "degraded", "warmup"]


def _seconds(t_ns: int) -> float:
    return round(t_ns / 1e9, 6)


class Score(Value):
    """Class probabilities at one sample."""

    t_ns: int
    scores: dict[str, float]
    quality: Quality

    def to_json(self) -> dict[str, Any]:
        """The `score` line."""
        scores = {label: round(p, 6) for label, p in self.scores.items()}
        return {"type": "score", "t": _seconds(self.t_ns), "scores": scores, "quality": self.quality}


class Started(Value):
    """A class became active at `t_ns`; `t0_ns` is the first sample of the run that made it so."""

    label: str
    t0_ns: int
    t_ns: int
    id: str
    quality: Quality = "ok"

    @property
    def latency_ms(self) -> float:
        """From the first sample over the threshold to the decision."""
        return (self.t_ns - self.t0_ns) / 1e6

    def to_json(self) -> dict[str, Any]:
        """The `start` line."""
        times = {"t0": _seconds(self.t0_ns), "t": _seconds(self.t_ns)}
        return {"type": "start", "label": self.label, **times, "quality": self.quality, "id": self.id}


class Ended(Value):
    """An active class ended; `reason` is "exit", "reset", "gap" or "end" (the source closed).

    `quality` is that of the sample on which it was decided; "degraded" where no sample did.
    """

    label: str
    t0_ns: int
    t1_ns: int
    peak: float
    latency_ms: float
    id: str
    model: str
    reason: str = "exit"
    quality: Quality = "ok"

    def to_json(self) -> dict[str, Any]:
        """The `event` line: same id as the `start` line."""
        times = {"t0": _seconds(self.t0_ns), "t1": _seconds(self.t1_ns)}
        figures = {"peak": round(self.peak, 6), "latency_ms": round(self.latency_ms, 3), "quality": self.quality}
        line = {"type": "event", "label": self.label, **times, **figures, "model": self.model, "id": self.id}
        return line if self.reason == "exit" else {**line, "reason": self.reason}


class Gap(Value):
    """Samples that never came; `action` is what the stream did: "hold", "keep" (nothing) or "reset"."""

    t0_ns: int
    t1_ns: int
    lost: int
    action: str

    def to_json(self) -> dict[str, Any]:
        """The `gap` line."""
        times = {"t0": _seconds(self.t0_ns), "t1": _seconds(self.t1_ns)}
        return {"type": "gap", **times, "lost": self.lost, "action": self.action}


class Fault(Value):
    """A channel that sent what is no measurement: NaN, Inf, a stuck or saturated value."""

    t_ns: int
    channel: str
    reason: str

    def to_json(self) -> dict[str, Any]:
        """The `fault` line."""
        return {"type": "fault", "t": _seconds(self.t_ns), "channel": self.channel, "reason": self.reason}


Event = Started | Ended | Gap | Fault


def when_ns(event: Event | Score) -> int:
    """When it was said: an end and a gap at their second time."""
    return event.t1_ns if isinstance(event, Ended | Gap) else event.t_ns


def to_line(event: Event | Score, start_wall_ns: int | None = None) -> str:
    """One JSON line; with the wall time of the stream's start known, `wall` (RFC 3339, UTC) is added."""
    line = event.to_json()
    if start_wall_ns is not None:
        wall = datetime.datetime.fromtimestamp((start_wall_ns + when_ns(event)) / 1e9, datetime.UTC)
        line["wall"] = wall.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return json.dumps(line, separators=(",", ":"))
