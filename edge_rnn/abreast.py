"""Streams of one model side by side: what a push costs beside the arithmetic is paid once for all of them.

Events, states, snapshots and scores are those of pushing each stream alone, to the bit. It must never handle what is
not plain: a stream with a hole, a fault, a bad sample or the zero state behind it is left to its own `push`.

A stream that is `inside` is ahead of what it knows itself: its clock, sums and scores stand in arrays here until
`settle` gives them back. Whoever touches a stream in any other way settles it first.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from .detect import FIELDS, softmax
from .engine import F32, State
from .errors import UsageError
from .events import Event
from .faults import Watch
from .keys import I64
from .stream import Stream

B1 = npt.NDArray[np.bool_]
Plain = Callable[[F32, I64, I64, B1, I64 | None, I64, Watch, F32, I64, B1], None]


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
        self._inside = np.zeros(count, np.bool_)
        self._counts = np.zeros((4, count), np.int64)
        # the next sample's slot; samples since the stream knew; the next one's number; numbered ones since it knew
        self._slot, self._ahead, self._due, self._numbered = self._counts
        self._logits: list[F32 | None] = [None] * count  # of the last push

    def push(self, where: I64, x: F32, rows: I64, seq: I64 | None) -> list[list[Event] | None]:
        """Push into each stream of `where` (M,) its samples: x (R, I) holds `rows[m]` > 0 of one, then of the next.

        `seq` (R,) numbers them, or None. None in place of a list of events: nothing was done for this one, push it
        alone; it is settled.
        """
        for at in where[~self._inside[where]].tolist():
            self._enter(at)
        well = np.empty(len(where), np.bool_)
        _plain()(x, rows, where, self._inside, seq, self._due, self._watch, self._last, self._run, well)
        if well.all():
            return [*self._step(where, x, rows, seq is not None)]
        kept = where[well]
        events = iter(self._step(kept, x[np.repeat(well, rows)], rows[well], seq is not None) if len(kept) else ())
        told = [next(events) if good else None for good in well.tolist()]
        for at in where[~well].tolist():
            self.settle(at)
        return told

    def settle(self, at: int) -> None:
        """Let a stream know how far it is."""
        if not self._inside[at]:
            return
        self._inside[at] = False
        logits = self._logits[at]
        if logits is not None:
            rows = int(self._ahead[at])
            self._streams[at].took(rows, int(self._numbered[at]), self._last[at].copy(), logits)
            self._logits[at] = None

    def _enter(self, at: int) -> None:
        one = self._streams[at]
        if one.steady:
            number = one.timeline.keys.next_seq
            self._slot[at], self._due[at] = one.timeline.next_index, -1 if number is None else number
            self._ahead[at] = self._numbered[at] = 0
            self._inside[at] = True

    def _step(self, where: I64, x: F32, rows: I64, numbered: bool) -> list[list[Event]]:
        stops, members = rows.cumsum(), where.tolist()
        logits = np.empty((len(x), self._model.outputs), np.float32)
        self._model.engine.runs(x, rows, where, self._state, logits)
        start = 0
        for at, stop in zip(members, stops.tolist(), strict=True):
            self._logits[at] = logits[start:stop]
            start = stop
        counts = self._counts if numbered else self._counts[:2]
        moved = counts.take(where, axis=1)
        moved += rows
        counts[:, where] = moved
        upto = moved[0]
        told: list[list[Event]] = [[] for _ in members]
        if self._detector.active:
            averages, quiet = self._detector.average(self._memory, softmax(logits), rows, where, upto)
            for n in np.flatnonzero(~quiet.all(axis=1)).tolist():
                one, mine = self._streams[members[n]], averages[stops[n] - rows[n] : stops[n]]
                told[n] = one.told(one.detector.decide(mine, quiet[n], int(upto[n] - rows[n])))
        return told


@functools.cache
def _plain() -> Plain:
    """The extension's look at samples where it was built, else the same in NumPy."""
    try:
        found = importlib.import_module("edge_rnn._native").plain
    except (ImportError, AttributeError):
        return plain_in_numpy
    return lambda x, rows, where, inside, seq, due, watch, last, run, well: found(
        x, rows, where, inside, seq, due, watch.limits, last, run, well
    )


def plain_in_numpy(
    x: F32, rows: I64, where: I64, inside: B1, seq: I64 | None, due: I64, watch: Watch, last: F32, run: I64, well: B1
) -> None:
    """Which of the streams `where` (M,) are `inside` and have simply the next good samples: into `well` (M,).

    x (R, I) and seq (R,) hold `rows[m]` of each. `due` (N,) is each stream's next number, below 0 none; `last` and
    `run` (N, I) are what their watches remember, and move on for those that are well.
    """
    starts = rows.cumsum() - rows
    their_last, their_run = last[where], run[where]
    np.logical_and(inside[where], watch.calm(x, starts, their_last, their_run), out=well)
    if seq is not None:
        next_ = due[where]
        right = seq == np.repeat(next_ - starts, rows) + np.arange(len(seq))
        well &= np.logical_and.reduceat(right, starts) & (next_ >= 0)
    last[where[well]], run[where[well]] = their_last[well], their_run[well]
