"""A source with the pipelines on it: what starts, stops and is replaced together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..model import Model
from .config import Pipeline
from .config import Source as SourceTable
from .feed import Feed
from .lane import Lane
from .records import Place

LONGEST_NS = 86_400 * 10**9


@dataclass
class Unit:
    """`lanes` belong to the step thread once it is started."""

    source: SourceTable
    pipelines: tuple[Pipeline, ...]
    feed: Feed
    lanes: list[Lane]
    replayable: bool

    def start(self) -> None:
        """Begin to read; a source that was read to its end before is not read again."""
        if not all(lane.finished for lane in self.lanes):
            self.feed.start([lane.ring for lane in self.lanes])

    def same(self, source: SourceTable, pipelines: list[Pipeline], models: dict[str, Model]) -> bool:
        """Whether this is what these tables describe, down to the bytes of the models."""
        if (source, tuple(pipelines)) != (self.source, self.pipelines):
            return False
        return all(
            lane.failed is None and _digest(models[one.id]) == _digest(lane.model)
            for one, lane in zip(pipelines, self.lanes, strict=True)
        )

    def status(self) -> dict[str, Any]:
        """For Service.status."""
        feed = self.feed
        source = {"up": feed.up, "reconnects": feed.reconnects, "error": feed.error}
        pipelines = {
            lane.pipeline: {
                "model": lane.model.manifest.title,
                "engine": lane.model.engine.name,
                "samples": lane.stream.counters.to_json(),
                "dropped": lane.ring.dropped,
                "events": lane.events.total(),
                "step_latency": lane.steps.to_json(),
                "failed": lane.failed,
                "finished": lane.finished,
            }
            for lane in self.lanes
        }
        return {"source": {self.source.id: source}, "pipelines": pipelines}


def missed_samples(place: Place, now_ns: int, rate_hz: float, long: int) -> int:
    """How many samples a live source gave while nobody listened, by the wall clock.

    A clock that went back, or forward by more than a day, tells nothing: then it is one more than the gap policy
    can bridge.
    """
    if not place.state:
        return 0
    away_ns = now_ns - place.wall_ns
    if not 0 <= away_ns <= LONGEST_NS:
        return long + 1
    return round(away_ns * rate_hz / 1e9)


def _digest(model: Model) -> str | None:
    return model.bundle.digest if model.bundle is not None else model.manifest.model_digest
