"""Streams of one model side by side: what a push costs beside the arithmetic is paid once for all of them.

Events, states, snapshots and scores are those of pushing each stream alone, to the bit. It must never handle what is
not plain: a stream with a hole, a fault, a bad sample or the zero state behind it is left to its own `push`.

A stream that is `inside` is ahead of what it knows itself: its clock, sums and scores stand in arrays here until
`settle` gives them back. Whoever touches a stream in any other way settles it first.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from .detect import FIELDS, softmax
from .engine import F32, State, in_c
from .errors import UsageError
from .events import Event
from .faults import Watch
from .keys import I64
from .stream import Stream

B1 = npt.NDArray[np.bool_]
Plain = Callable[[F32, I64, I64, B1, I64 | None, I64, Watch, F32, I64, I64, B1], int]
COUNTS = SLOT, AHEAD, DUE, NUMBERED = range(4)
"""What is counted for each stream inside: the next sample's slot, samples since the stream knew, the next one's number
(below 0: it has none), numbered ones since the stream knew."""


class Abreast:
    """Made once for the streams that may be pushed together."""

    def __init__(self, streams: Sequence[Stream]) -> None:
        first = streams[0]
        for one in streams:
            if one.model is not first.model or not one.detector.same_rules(first.detector):
                raise UsageError("streams abreast need one model and one set of detector parameters: push them alone")
        self._streams = streams
        self._model, self._detector, self._watch = first.model, first.detector, first.timeline.watch
        count, inputs = len(streams), first.model.inputs
        self._last, self._run = np.empty((count, inputs), np.float32), np.empty((count, inputs), np.int64)
        self._memory = np.empty((FIELDS, count, first.detector.classes))
        self._state = State(first.state.specs, count)
        for at, one in enumerate(streams):
            mine = tuple(array[at : at + 1] for array in self._state.arrays)
            one.move(self._last[at], self._run[at], self._memory, at, mine)
        self._outside = set(range(count))
        self._inside = np.zeros(count, np.bool_)
        self._counts = np.zeros((len(COUNTS), count), np.int64)
        self._pushed: tuple[I64, I64, F32] | None = None  # streams, rows and logits of the last push
        self._logits: list[F32 | None] = [None] * count  # of each one's last push, where that was before

    def push(self, where: I64, x: F32, rows: I64, seq: I64 | None) -> tuple[dict[int, list[Event]], list[int]]:
        """Push into each stream of `where` (M,) its samples: x (R, I) holds `rows[m]` > 0 of one, then of the next.

        `seq` (R,) numbers them, or None. Gives the events of those m that have any, and those for which nothing was
        done: settle and push them alone.
        """
        if self._outside:
            for at in self._outside.intersection(where.tolist()):
                self._enter(at)
        well, upto = np.empty(len(where), np.bool_), np.empty(len(where), np.int64)
        state = (self._inside, seq, self._counts, self._watch, self._last, self._run)
        if _plain()(x, rows, where, *state, upto, well) == len(where):
            return self._step(where, x, rows, upto), []
        places = np.flatnonzero(well).tolist()
        told = self._step(where[well], x[np.repeat(well, rows)], rows[well], upto[well]) if places else {}
        return {places[n]: events for n, events in told.items()}, np.flatnonzero(~well).tolist()

    def settle(self, at: int) -> int:
        """Let a stream know how far it is; gives how many samples it did not know of."""
        if at in self._outside:
            return 0
        self._outside.add(at)
        self._inside[at] = False
        _, ahead, _, numbered = self._counts[:, at].tolist()
        if ahead:
            self._part()
            logits = self._logits[at]
            if logits is not None:  # None: its first steps failed
                self._streams[at].took(ahead, numbered, self._last[at].copy(), logits)
        return int(ahead)

    def _enter(self, at: int) -> None:
        one = self._streams[at]
        if one.steady:
            number = one.timeline.keys.next_seq
            self._counts[:, at] = one.timeline.next_index, 0, -1 if number is None else number, 0
            self._inside[at] = True
            self._outside.discard(at)

    def _step(self, where: I64, x: F32, rows: I64, upto: I64) -> dict[int, list[Event]]:
        logits = np.empty((len(x), self._model.outputs), np.float32)
        self._model.engine.runs(x, rows, where, self._state, logits)
        if self._pushed is not None and self._pushed[0] is not where:
            self._part()
        self._pushed = where, rows, logits
        told: dict[int, list[Event]] = {}
        if self._detector.active:
            averages, quiet = self._detector.average(self._memory, softmax(logits), rows, where, upto)
            loud = np.flatnonzero(~quiet.all(axis=1)).tolist()
            stops = rows.cumsum() if loud else rows
            for n in loud:
                one, mine = self._streams[where[n]], averages[stops[n] - rows[n] : stops[n]]
                decisions = one.detector.decide(mine, quiet[n], int(upto[n] - rows[n]))
                if decisions:
                    told[n] = one.told(decisions)
        return told

    def _part(self) -> None:
        """Give each stream of the last push its logits: the next one may be of others."""
        if self._pushed is not None:
            where, rows, logits = self._pushed
            start = 0
            for at, stop in zip(where.tolist(), rows.cumsum().tolist(), strict=True):
                self._logits[at] = logits[start:stop]
                start = stop
            self._pushed = None


@functools.cache
def _plain() -> Plain:
    """The extension's look at samples where it was built, else the same in NumPy."""
    found = in_c("plain")
    if found is None:
        return plain_in_numpy
    return lambda x, rows, where, inside, seq, counts, watch, *arrays: found(
        x, rows, where, inside, seq, counts, watch.limits, *arrays
    )


def plain_in_numpy(
    x: F32,
    rows: I64,
    where: I64,
    inside: B1,
    seq: I64 | None,
    counts: I64,
    watch: Watch,
    last: F32,
    run: I64,
    upto: I64,
    well: B1,
) -> int:
    """Which of the streams `where` (M,) are `inside` and have simply the next good samples: into `well` (M,), and
    how many those are.

    x (R, I) and seq (R,) hold `rows[m]` of each. `counts` (4, N), see COUNTS, and `last` and `run` (N, I), which their
    watches remember, move on for those that are well; `upto` (M,) gets the slot after their samples.
    """
    starts = rows.cumsum() - rows
    their_last, their_run = last[where], run[where]
    np.logical_and(inside[where], watch.calm(x, starts, their_last, their_run), out=well)
    if seq is not None:
        next_ = counts[DUE, where]
        right = seq == np.repeat(next_ - starts, rows) + np.arange(len(seq))
        well &= np.logical_and.reduceat(right, starts) & (next_ >= 0)
    kept = where[well]
    last[kept], run[kept] = their_last[well], their_run[well]
    (counts if seq is not None else counts[:DUE])[:, kept] += rows[well]
    upto[well] = counts[SLOT, kept]
    return len(kept)
