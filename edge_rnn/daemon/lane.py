"""One pipeline on the step thread: samples from its ring through its stream, events and place into batches.

It must never touch the disk or wait. The events of a batch and the place in it belong together: a crash between two
batches loses neither.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Callable

from ..events import Event, to_line
from ..latency import Histogram
from ..model import Model
from ..recording import Chunk, joined
from ..stream import Stream
from .records import Batch, Place, record, stream_name
from .ring import Ring

ABREAST_ROWS = 256
"""Larger chunks gain nothing side by side, and each stream's last scores would keep those of all."""


class Lane:
    """Made with the place where the pipeline stood; `wall_ns` is the clock of annotations."""

    def __init__(
        self, pipeline: str, model: Model, place: Place, installation: str, ring: Ring, wall_ns: Callable[[], int]
    ) -> None:
        self.pipeline = pipeline
        self.model = model
        self.ring = ring
        self.steps = Histogram()
        self.events: Counter[str] = Counter()
        """How many of each type since the start."""
        self.failed: str | None = None
        self.finished = place.finished
        self.reset_wanted = False
        """Set by others, who then call `ring.tell`: begin again from the zero state."""
        self.wants_score = False
        """Likewise: put the newest score into `score`, if that is None and one came since the last."""
        self.score: str | None = None
        """Its line, for whoever takes it and puts None there."""
        self._place = place
        self._name = stream_name(installation, pipeline, place.generation)
        self._wall_ns = wall_ns
        self._cursor = place.cursor
        self._dirty = False
        self.stream: Stream = model.stream(self._name)
        self._waiting: list[Chunk] = []
        self._ended = False
        self._since_ns = 0
        self._scored = -1  # the sample whose score was told
        self._events: list[Event] = []
        self.settle: Callable[[], None] = _nothing
        """To be called before the stream is touched: it may be abreast of others, and ahead of what it knows."""
        if place.state:
            self.stream.restore(place.state)

    def gather(self) -> bool:
        """Take from the ring what has come; False when there is nothing to do."""
        since_ns = self.ring.since_ns
        chunks, self._ended = self.ring.take()
        if chunks:
            self._since_ns = since_ns
            self._waiting = joined(chunks)
            return True
        return bool(self._events) or self.reset_wanted or self.wants_score or self._ended

    @property
    def plain(self) -> Chunk | None:
        """What waits, where that is one chunk that may be pushed beside those of others."""
        if len(self._waiting) != 1 or self.reset_wanted:
            return None
        chunk = self._waiting[0]
        small = len(chunk.samples) <= ABREAST_ROWS
        return chunk if small and not chunk.restart and chunk.t_ns is None else None

    def stepped(self, events: list[Event]) -> None:
        """The first chunk that waits was pushed."""
        rows = len(self._waiting.pop(0).samples)
        self._cursor = self._cursor + rows if not self.ring.live else self.ring.came
        self._dirty = True
        self.told(events, self._since_ns)

    def told(self, events: list[Event], came_ns: int) -> None:
        """What samples that came then caused."""
        if events:
            self._since_ns = came_ns
            self._events += events

    def passed(self, rows: int) -> None:
        """So many samples of a live source were pushed that never waited in the ring."""
        self._cursor = self.ring.passed(rows)
        self._dirty = True

    def work(self, clock_ns: Callable[[], int]) -> Batch | None:
        """Step what waits; a batch when there are events or the source ended."""
        asked = self.reset_wanted or (self.wants_score and self.score is None)
        if not self._waiting and not self._events and not asked and not self._ended:
            return None  # its samples went beside those of others, and nothing came of it
        self.settle()
        if self.reset_wanted:
            self.reset_wanted = False
            self._events += self.stream.reset()
            self._dirty = True
        while self._waiting:
            chunk = self._waiting[0]
            if chunk.restart and self.stream.counters.received:
                self._events += self.stream.reset()
            began = clock_ns()
            events = self.stream.push(chunk.samples, chunk.t_ns, chunk.seq)
            self.steps.add((clock_ns() - began) / len(chunk.samples), len(chunk.samples))
            self.stepped(events)
        if self._ended and not self.finished:
            self._events += self.stream.finish()
            self.finished = self._dirty = True
        if self.wants_score and self.score is None:
            self._tell_score()
        return self.checkpoint() if self._events or (self._ended and self._dirty) else None

    def checkpoint(self) -> Batch | None:
        """Where the pipeline stands, with the events that led there; None when that is known already."""
        self.settle()
        if not self._dirty:
            return None
        self._dirty = False
        events, self._events = self._events, []
        now_ns = self._wall_ns()
        wall = _rfc3339(now_ns) if events else None
        digest = self.model.manifest.model_digest
        told = [record(self.pipeline, self._name, digest, event, wall) for event in events]
        self.events.update(one.key.partition(":")[0] for one in told)
        self._place = Place(self._place.generation, digest, self._cursor, self.finished, self.stream.snapshot(), now_ns)
        return Batch(told, {self.pipeline: self._place}, came_ns=[self._since_ns] * len(told))

    def leave(self) -> None:
        """Those beside it change."""
        self.settle()
        self.settle = _nothing

    def _tell_score(self) -> None:
        last = int(self.stream.last_index[-1]) if len(self.stream.last_scores) else self._scored
        if last != self._scored:
            self._scored = last
            self.score = to_line(self.stream.scores(last or 1)[-1])  # of the last sample alone: only it is divided


def _nothing() -> None:
    pass


def _rfc3339(wall_ns: int) -> str:
    wall = datetime.datetime.fromtimestamp(wall_ns / 1e9, datetime.UTC)
    return wall.isoformat(timespec="milliseconds").replace("+00:00", "Z")
