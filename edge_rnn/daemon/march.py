"""One round of the step thread: what has come for each lane goes through its stream, lanes of one model side by side.

A lane that fails is marked and left out; the others go on.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence

from .intake import Sheaf
from .lane import Lane
from .rank import Rank
from .records import Batch
from .ring import Ring

log = logging.getLogger("edge_rnn")


class March:
    """Remembers which lanes can go side by side. `clock_ns` measures what steps take.

    No lane is asked whether it has something to do: their rings enter themselves in `news`.
    """

    def __init__(self, clock_ns: Callable[[], int]) -> None:
        self.news: deque[Ring] = deque()
        self._clock_ns = clock_ns
        self._given: list[Lane] = []
        self._lanes: dict[Ring, Lane] = {}  # those that work
        self._ranks: list[Rank] = []
        self._failed = False  # one of them did since they were formed

    def step(self, lanes: list[Lane], sheaves: Sequence[Sheaf] = ()) -> Batch:
        """Step the sheaves, then all that waits; what has become known by it. The same list means the same lanes."""
        whole = Batch()
        if self._failed or (lanes is not self._given and lanes != self._given):
            self._form([lane for lane in lanes if lane.failed is None])
        self._given = lanes
        for sheaf in sheaves:
            self._deal(sheaf)
        waiting = [lane for lane in self._called() if lane.gather()]
        if waiting:
            for rank in self._ranks:
                rank.step(waiting)
        for lane in waiting:
            if lane.failed is None:
                try:
                    batch = lane.work(self._clock_ns)
                except Exception as error:
                    log.exception("pipeline %s failed, the others go on", lane.pipeline)
                    lane.failed = repr(error)
                    self._failed = True
                    continue
                if batch is not None:
                    whole.absorb(batch)
        self._failed |= any(rank.failed for rank in self._ranks)
        return whole

    def _called(self) -> list[Lane]:
        """Lanes that have something to do. Those that are left out now are called when they are formed again."""
        rings = dict.fromkeys(self.news.popleft() for _ in range(len(self.news)))
        return [self._lanes[ring] for ring in rings if ring in self._lanes]

    def _form(self, lanes: list[Lane]) -> None:
        """Ranks of lanes of one model, where there are at least two of them."""
        for rank in self._ranks:
            rank.leave()
        groups: dict[int, list[Lane]] = {}
        for lane in lanes:
            groups.setdefault(id(lane.model), []).append(lane)
            lane.ring.tell()
        self._lanes, self._failed = {lane.ring: lane for lane in lanes}, False
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
