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
        self._waited = [0] * len(lanes)  # samples that are counted already: they came by the ring
        self.failed = False
        """Some of its lanes are marked so: form it anew."""
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
        pushed = self._push(self._where, sheaf.x, sheaf.rows, sheaf.seq)
        if pushed is None:
            return
        told, left = pushed
        for m in left:
            self._settle(int(self._where[m]))
            sheaf.put_back(m)
        for m, events in told.items():
            lane = self._lanes[self._where[m]]
            lane.told(events, sheaf.came_ns)
            lane.ring.tell()

    def step(self, waiting: list[Lane]) -> None:
        """Step what waits in these lanes and is plain; samples with and without numbers go apart."""
        places = [self.places[lane.ring] for lane in waiting if lane.ring in self.places]
        for numbered in (True, False):
            members, chunks = [], []
            for at in places:
                chunk = self._lanes[at].plain
                if chunk is not None and (chunk.seq is not None) == numbered:
                    members.append(at)
                    chunks.append(chunk)
            if len(members) < 2:
                continue
            rows = np.array([len(chunk.samples) for chunk in chunks])
            seqs = [chunk.seq for chunk in chunks if chunk.seq is not None]
            x = np.concatenate([chunk.samples for chunk in chunks])
            pushed = self._push(np.array(members), x, rows, np.concatenate(seqs) if seqs else None)
            if pushed is None:
                continue
            told, left = pushed
            for n, at in enumerate(members):
                if n not in left:
                    self._waited[at] += len(chunks[n].samples)
                    self._lanes[at].stepped(told.get(n, []))

    def _push(self, where: I64, x: F32, rows: I64, seq: I64 | None) -> tuple[dict[int, list[Event]], list[int]] | None:
        """As Abreast.push, with the time it took; None when it failed."""
        began = self._clock_ns()
        try:
            told, left = self._abreast.push(where, x, rows, seq)
        except Exception as error:
            lanes = [self._lanes[at] for at in where.tolist()]
            log.exception("pipelines %s failed, the others go on", ", ".join(lane.pipeline for lane in lanes))
            for lane in lanes:
                lane.failed = repr(error)
            self.failed = True
            return None
        if left:
            where, rows = np.delete(where, left), np.delete(rows, left)
        if len(where):
            self._steps.add(where, (self._clock_ns() - began) / int(rows.sum()), rows)
        return told, left

    def _settle(self, at: int) -> None:
        passed = self._abreast.settle(at) - self._waited[at]
        self._waited[at] = 0
        if passed:
            self._lanes[at].passed(passed)
