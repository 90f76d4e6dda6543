"""One pipeline on the step thread: samples from its ring through its stream, events and place into batches.

It must never touch the disk or wait. The events of a batch and the place in it belong together: a crash between two
batches loses neither.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable

from ..events import Event
from ..latency import Histogram
from ..model import Model
from ..stream import Stream
from .records import Batch, Place, record, stream_name
from .ring import Ring, joined


class Lane:
    """Made with the place where the pipeline stood; `wall_ns` is the clock of annotations."""

    def __init__(
        self, pipeline: str, model: Model, place: Place, installation: str, ring: Ring, wall_ns: Callable[[], int]
    ) -> None:
        self.pipeline = pipeline
        self.model = model
        self.ring = ring
        self.steps = Histogram()
        self.events = 0
        self.failed: str | None = None
        self.finished = place.finished
        self._place = place
        self._name = stream_name(installation, pipeline, place.generation)
        self._wall_ns = wall_ns
        self._cursor = place.cursor
        self._dirty = False
        self.stream: Stream = model.stream(self._name)
        if place.state:
            self.stream.restore(place.state)

    def work(self, clock_ns: Callable[[], int]) -> Batch | None:
        """Step what has come; a batch when there are events or the source ended."""
        chunks, ended = self.ring.take()
        events: list[Event] = []
        for chunk in joined(chunks):
            if chunk.restart and self.stream.counters.received:
                events += self.stream.reset()
            began = clock_ns()
            events += self.stream.push(chunk.samples, chunk.t_ns, chunk.seq)
            rows = len(chunk.samples)
            self.steps.add((clock_ns() - began) / rows, rows)
            self._cursor = self._cursor + rows if not self.ring.live else self.ring.came
            self._dirty = True
        if ended and not self.finished:
            events += self.stream.finish()
            self.finished = self._dirty = True
        return self.checkpoint(events) if events or (ended and self._dirty) else None

    def checkpoint(self, events: list[Event] | None = None) -> Batch | None:
        """Where the pipeline stands, with the events that led there; None when that is known already."""
        if not self._dirty:
            return None
        self._dirty = False
        now_ns = self._wall_ns()
        wall = _rfc3339(now_ns)
        digest = self.model.manifest.model_digest
        told = [record(self.pipeline, self._name, digest, event, wall) for event in events or []]
        self.events += len(told)
        self._place = Place(self._place.generation, digest, self._cursor, self.finished, self.stream.snapshot(), now_ns)
        return Batch(told, {self.pipeline: self._place})


def _rfc3339(wall_ns: int) -> str:
    wall = datetime.datetime.fromtimestamp(wall_ns / 1e9, datetime.UTC)
    return wall.isoformat(timespec="milliseconds").replace("+00:00", "Z")
