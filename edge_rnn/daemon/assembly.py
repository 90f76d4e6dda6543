"""From a source's tables to what runs: its feed, and for each pipeline a lane that goes on where the store says."""

from __future__ import annotations

import logging
import time
from collections import Counter

from ..errors import SnapshotError, UsageError
from ..model import Model
from .config import Pipeline
from .config import Source as SourceTable
from .feed import Feed, Open, replayable
from .hub import Hub
from .lane import Lane
from .march import March
from .records import Place
from .ring import Ring
from .store import Store
from .unit import Unit, missed_samples

log = logging.getLogger("edge_rnn")


class Assembly:
    """Makes units; nothing of them runs yet."""

    def __init__(self, store: Store, hub: Hub, march: March, open_source: Open) -> None:
        self.switches: Counter[str] = Counter()
        """How often each pipeline changed to another model."""
        self._store, self._hub, self._march, self._open_source = store, hub, march, open_source

    def unit(self, source: SourceTable, pipelines: list[Pipeline], models: dict[str, Model]) -> Unit:
        """A source with its pipelines; raises UsageError when they do not fit together."""
        again = replayable(source.url)
        lanes = [self._lane(source, one, models[one.id], not again) for one in pipelines]
        first = models[pipelines[0].id].manifest
        channels = tuple(source.channels) or tuple(channel.name for channel in first.channels)
        for one in pipelines:
            inputs = models[one.id].inputs
            if inputs != len(channels):
                raise UsageError(f"pipeline {one.id} takes {inputs} channels, source {source.id} has {len(channels)}")
        feed = Feed(source, channels, source.rate_hz or first.rate_hz, self._open_source, self._hub)
        return Unit(source, tuple(pipelines), feed, lanes, again)

    def _lane(self, source: SourceTable, pipeline: Pipeline, model: Model, live: bool) -> Lane:
        digest = model.manifest.model_digest
        place = self._store.place(pipeline.id)
        if place is None or place.digest != digest:
            self.switches[pipeline.id] += place is not None
            place = self._store.begin(pipeline.id, digest)
        ring, wall_ns = self._ring(source, place, model, live), time.time_ns
        try:
            return Lane(pipeline.id, model, place, self._store.installation, ring, wall_ns)
        except SnapshotError as error:
            log.error("pipeline %s begins anew: %s", pipeline.id, error)
            place = self._store.begin(pipeline.id, digest)
            ring = self._ring(source, place, model, live)
            return Lane(pipeline.id, model, place, self._store.installation, ring, wall_ns)

    def _ring(self, source: SourceTable, place: Place, model: Model, live: bool) -> Ring:
        rate_hz = source.rate_hz or model.manifest.rate_hz
        missed = missed_samples(place, time.time_ns(), rate_hz, model.manifest.gap.long) if live else 0
        return Ring(source.buffer_samples, live, place.cursor + missed, self._march.news)
