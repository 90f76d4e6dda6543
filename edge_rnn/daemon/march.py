"""One round of the step thread: what has come for each lane goes through its stream, lanes of one model side by side.

A lane that fails is marked and left out; the others go on.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable

from ..abreast import Abreast
from ..recording import Chunk
from .lane import Lane
from .records import Batch

log = logging.getLogger("edge_rnn")


class March:
    """Remembers which lanes can go side by side."""

    def __init__(self) -> None:
        self._lanes: list[Lane] = []
        self._ranks: list[tuple[list[Lane], Abreast]] = []

    def step(self, lanes: list[Lane], clock_ns: Callable[[], int]) -> Batch:
        """Step all that waits; what has become known by it."""
        whole = Batch()
        working = [lane for lane in lanes if lane.failed is None]
        if working != self._lanes:
            self._form(working)
        waiting = [lane for lane in working if lane.gather()]
        for rank, abreast in self._ranks:
            _step_abreast(rank, abreast, clock_ns)
        for lane in waiting:
            if lane.failed is None:
                try:
                    batch = lane.work(clock_ns)
                except Exception as error:
                    log.exception("pipeline %s failed, the others go on", lane.pipeline)
                    lane.failed = repr(error)
                    continue
                if batch is not None:
                    whole.absorb(batch)
        return whole

    def _form(self, lanes: list[Lane]) -> None:
        """Ranks of lanes of one model, where there are at least two of them."""
        for lane in self._lanes:
            lane.leave()
        groups: dict[int, list[Lane]] = {}
        for lane in lanes:
            groups.setdefault(id(lane.model), []).append(lane)
        self._lanes = lanes
        self._ranks = [(rank, Abreast([lane.stream for lane in rank])) for rank in groups.values() if len(rank) > 1]
        for rank, abreast in self._ranks:
            for at, lane in enumerate(rank):
                lane.settle = functools.partial(abreast.settle, at)


def _step_abreast(rank: list[Lane], abreast: Abreast, clock_ns: Callable[[], int]) -> None:
    """Step what is plain; samples with and without numbers go apart."""
    for numbered in (True, False):
        members, chunks = [], []
        for at, lane in enumerate(rank):
            chunk = lane.plain
            if chunk is not None and (chunk.seq is not None) == numbered:
                members.append(at)
                chunks.append(chunk)
        if len(members) > 1:
            _push([rank[at] for at in members], members, chunks, abreast, clock_ns)


def _push(
    lanes: list[Lane], members: list[int], chunks: list[Chunk], abreast: Abreast, clock_ns: Callable[[], int]
) -> None:
    seqs = [chunk.seq for chunk in chunks if chunk.seq is not None]
    began = clock_ns()
    try:
        told = abreast.push(members, [chunk.samples for chunk in chunks], seqs or None)
    except Exception as error:
        log.exception("pipelines %s failed, the others go on", ", ".join(lane.pipeline for lane in lanes))
        for lane in lanes:
            lane.failed = repr(error)
        return
    took = sum(len(chunk.samples) for chunk, events in zip(chunks, told, strict=True) if events is not None)
    ns_per_sample = (clock_ns() - began) / max(took, 1)
    for lane, events in zip(lanes, told, strict=True):
        if events is not None:
            lane.stepped(events, ns_per_sample)
