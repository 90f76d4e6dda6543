"""Streams of one model side by side: what a push costs beside the arithmetic is paid once for all of them.

Events, states, snapshots and scores are those of pushing each stream alone, to the bit. It must never handle what is
not plain: a stream with a hole, a fault, a bad sample or the zero state behind it is left to its own `push`.

A stream that is `inside` is ahead of what it knows itself: its clock, sums and scores stand in arrays here until
`settle` gives them back. Whoever touches a stream in any other way settles it first.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from .detect import FIELDS, softmax
from .engine import F32
from .errors import UsageError
from .events import Event
from .keys import I64
from .stream import Stream

B1 = npt.NDArray[np.bool_]


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
        for at, one in enumerate(streams):
            one.timeline.watch.move(self._last[at], self._run[at])
            one.detector.move(self._memory[:, at])
        self._inside = np.zeros(count, np.bool_)
        self._slot, self._due = (
            np.zeros(count, np.int64),
            np.zeros(count, np.int64),
        )  # the next sample's, and its number
        self._ahead, self._numbered = np.zeros(count, np.int64), np.zeros(count, np.int64)  # since the stream knew
        self._logits: list[F32 | None] = [None] * count  # of the last push

    def push(
        self, members: Sequence[int], samples: Sequence[F32], seqs: Sequence[I64] | None
    ) -> list[list[Event] | None]:
        """Push samples (T, I) into each of the `members`, T > 0; `seqs` (T,) number them, or None.

        None in place of a list of events: nothing was done for this one, push it alone; it is settled.
        """
        where = np.array(members)
        for at in where[~self._inside[where]].tolist():
            self._enter(at)
        x, rows = np.concatenate(samples), np.array([len(one) for one in samples])
        last, run = self._last[where], self._run[where]
        starts = rows.cumsum() - rows
        well = self._inside[where] & self._watch.calm(x, starts, last, run)
        if seqs is not None:
            well &= self._consecutive(where, np.concatenate(seqs), starts, rows)
        if well.all():
            self._last[where], self._run[where] = last, run
            return list(self._step(where, x, rows, seqs is not None))
        kept = where[well]
        self._last[kept], self._run[kept] = last[well], run[well]
        events = iter(self._step(kept, x[np.repeat(well, rows)], rows[well], seqs is not None) if len(kept) else ())
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

    def _consecutive(self, where: I64, seqs: I64, starts: I64, rows: I64) -> B1:
        """Whether each stream's numbers, one stream's after the other's (R,), are simply the next ones."""
        due = self._due[where]
        right = seqs == np.repeat(due - starts, rows) + np.arange(len(seqs))
        if right.all() and due.min() >= 0:
            return np.ones(len(where), np.bool_)
        well: B1 = np.logical_and.reduceat(right, starts) & (due >= 0)
        return well

    def _step(self, where: I64, x: F32, rows: I64, numbered: bool) -> list[list[Event] | None]:
        stops, firsts, members = rows.cumsum(), self._slot[where], where.tolist()
        logits = np.empty((len(x), self._model.outputs), np.float32)
        run_engine, start = self._model.engine.run, 0
        for at, stop in zip(members, stops.tolist(), strict=True):
            out = self._logits[at] = logits[start:stop]
            run_engine(x[start:stop], self._streams[at].state, out)
            start = stop
        self._slot[where] = firsts + rows
        self._ahead[where] += rows
        if numbered:
            self._due[where] += rows
            self._numbered[where] += rows
        told: list[list[Event] | None] = [[] for _ in members]
        if self._detector.active:
            memory = self._memory.take(where, axis=1)
            averages, quiet = self._detector.average(memory, softmax(logits), stops)
            self._memory[:, where] = memory
            for n in np.flatnonzero(~quiet.all(axis=1)).tolist():
                one, mine = self._streams[members[n]], averages[stops[n] - rows[n] : stops[n]]
                told[n] = one.told(one.detector.decide(mine, quiet[n], int(firsts[n])))
        return told
