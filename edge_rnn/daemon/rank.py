"""Lanes of one model, stepped side by side: in a round that decides nothing none of them is looked at one by one.

A lane learns how far it is when it is settled. It must never let one lane's samples overtake others of that lane.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable

import numpy as np

from ..abreast import Abreast
from ..engine import F32
from ..events import Event
from ..keys import I64
from ..latency import Histograms
from .intake import Sheaf
from .lane import Lane
from .ring import Ring

log = logging.getLogger("edge_rnn")


class Rank:
    """Made once for its lanes; `leave` gives them back."""

    def __init__(self, lanes: list[Lane], clock_ns: Callable[[], int]) -> None:
        self.places = {lane.ring: at for at, lane in enumerate(lanes)}
        self._lanes = lanes
        self._clock_ns = clock_ns
        self._abreast = Abreast([lane.stream for lane in lanes])
        self._steps = Histograms([lane.steps for lane in lanes])
        self._rings: list[Ring] = []  # of the last sheaf, and their places
        self._where = np.zeros(0, np.int64)
        self._unseen = np.zeros(len(lanes), np.int64)  # samples that no ring has seen, and no lane yet
        for at, lane in enumerate(lanes):
            lane.settle = functools.partial(self._settle, at)

    def leave(self) -> None:
        """Those side by side change."""
        for lane in self._lanes:
            lane.leave()

    def knows(self, rings: list[Ring]) -> bool:
        """Whether these are the rings of its last sheaf."""
        return rings is self._rings

    def take(self, sheaf: Sheaf) -> None:
        """Step a sheaf of these lanes; what cannot go side by side goes to its lane's ring."""
        if sheaf.rings is not self._rings:
            self._rings, self._where = sheaf.rings, np.array([self.places[ring] for ring in sheaf.rings])
        where, rows = self._where, sheaf.rows
        told = self._push(where, sheaf.x, rows, sheaf.seq)
        if told is None:
            return
        if None in told:
            for m in [m for m, events in enumerate(told) if events is None]:
                sheaf.put_back(m)
            done = np.array([events is not None for events in told])
            where, rows = where[done], rows[done]
        self._unseen[where] += rows
        for at, events in zip(self._where.tolist(), told, strict=True):
            if events or (events is not None and self._lanes[at].wants_score):
                self._lanes[at].told(events, sheaf.came_ns)

    def step(self) -> None:
        """Step what waits in the lanes and is plain; samples with and without numbers go apart."""
        for numbered in (True, False):
            members, chunks = [], []
            for at, lane in enumerate(self._lanes):
                chunk = lane.plain
                if chunk is not None and (chunk.seq is not None) == numbered:
                    members.append(at)
                    chunks.append(chunk)
            if len(members) < 2:
                continue
            rows = np.array([len(chunk.samples) for chunk in chunks])
            seqs = [chunk.seq for chunk in chunks if chunk.seq is not None]
            x = np.concatenate([chunk.samples for chunk in chunks])
            told = self._push(np.array(members), x, rows, np.concatenate(seqs) if seqs else None)
            for at, events in zip(members, told or [], strict=told is not None):
                if events is not None:
                    self._lanes[at].stepped(events)

    def _push(self, where: I64, x: F32, rows: I64, seq: I64 | None) -> list[list[Event] | None] | None:
        """As Abreast.push, with the time it took; None when it failed."""
        began = self._clock_ns()
        try:
            told = self._abreast.push(where, x, rows, seq)
        except Exception as error:
            lanes = [self._lanes[at] for at in where.tolist()]
            log.exception("pipelines %s failed, the others go on", ", ".join(lane.pipeline for lane in lanes))
            for lane in lanes:
                lane.failed = repr(error)
            return None
        if None in told:
            done = np.array([events is not None for events in told])
            where, rows = where[done], rows[done]
        if len(where):
            self._steps.add(where, (self._clock_ns() - began) / int(rows.sum()), rows)
        return told

    def _settle(self, at: int) -> None:
        self._abreast.settle(at)
        rows = int(self._unseen[at])
        if rows:
            self._unseen[at] = 0
            self._lanes[at].passed(rows)
