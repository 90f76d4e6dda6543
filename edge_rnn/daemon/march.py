"""One round of the step thread: what has come for each lane goes through its stream, lanes of one model side by side.

A lane that fails is marked and left out; the others go on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from .intake import Sheaf
from .lane import Lane
from .rank import Rank
from .records import Batch

log = logging.getLogger("edge_rnn")


class March:
    """Remembers which lanes can go side by side. `clock_ns` measures what steps take."""

    def __init__(self, clock_ns: Callable[[], int]) -> None:
        self._clock_ns = clock_ns
        self._lanes: list[Lane] = []
        self._ranks: list[Rank] = []

    def step(self, lanes: list[Lane], sheaves: Sequence[Sheaf] = ()) -> Batch:
        """Step the sheaves, then all that waits; what has become known by it."""
        whole = Batch()
        working = [lane for lane in lanes if lane.failed is None]
        if working != self._lanes:
            self._form(working)
        for sheaf in sheaves:
            self._deal(sheaf)
        waiting = [lane for lane in working if lane.gather()]
        if waiting:
            for rank in self._ranks:
                rank.step()
        for lane in waiting:
            if lane.failed is None:
                try:
                    batch = lane.work(self._clock_ns)
                except Exception as error:
                    log.exception("pipeline %s failed, the others go on", lane.pipeline)
                    lane.failed = repr(error)
                    continue
                if batch is not None:
                    whole.absorb(batch)
        return whole

    def _form(self, lanes: list[Lane]) -> None:
        """Ranks of lanes of one model, where there are at least two of them."""
        for rank in self._ranks:
            rank.leave()
        groups: dict[int, list[Lane]] = {}
        for lane in lanes:
            groups.setdefault(id(lane.model), []).append(lane)
        self._lanes = lanes
        self._ranks = [Rank(group, self._clock_ns) for group in groups.values() if len(group) > 1]

    def _deal(self, sheaf: Sheaf) -> None:
        """To each rank its part, and to the rings what belongs to none."""
        left = set(range(len(sheaf.rings)))
        for rank in self._ranks:
            if rank.knows(sheaf.rings):
                rank.take(sheaf)
                return
            mine = [m for m, ring in enumerate(sheaf.rings) if ring in rank.places]
            if mine:
                rank.take(sheaf if len(mine) == len(sheaf.rings) else sheaf.part(mine))
                left.difference_update(mine)
        for m in sorted(left):
            sheaf.put_back(m)
