"""Streams of one model side by side: what a push costs beside the arithmetic is paid once for all of them.

Events, states, snapshots and scores are those of pushing each stream alone, to the bit. It must never handle what is
not plain: a stream with a hole, a fault, a bad sample or the zero state behind it is left to its own `push`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .detect import push_abreast, softmax
from .engine import F32
from .errors import UsageError
from .events import Event
from .keys import I64
from .stream import Stream


class Abreast:
    """Made once for the streams that may be pushed together."""

    def __init__(self, streams: Sequence[Stream]) -> None:
        first = streams[0]
        for one in streams:
            if one.model is not first.model or not one.detector.same_rules(first.detector):
                raise UsageError("streams abreast need one model and one set of detector parameters: push them alone")
        self._streams = streams
        self._model = first.model
        shape = (len(streams), first.model.inputs)
        self._last, self._run = np.empty(shape, np.float32), np.empty(shape, np.int64)
        for one, last, run in zip(streams, self._last, self._run, strict=True):
            one.timeline.watch.move(last, run)

    def push(
        self, members: Sequence[int], samples: Sequence[F32], seqs: Sequence[I64] | None
    ) -> list[list[Event] | None]:
        """Push samples (T, I) into each of the `members`, T > 0 the same for all; `seqs` (T,) number them, or None.

        None in place of a list of events: nothing was done for this one, push it alone.
        """
        told: list[list[Event] | None] = [None] * len(members)
        x = np.stack(samples)
        streams = [self._streams[at] for at in members]
        steady = np.array([one.steady for one in streams])
        if seqs is not None:
            steady &= _consecutive(streams, np.stack(seqs))
        where = np.asarray(members)
        last, run = self._last[where], self._run[where]
        steady &= streams[0].timeline.watch.calm(x, last, run)
        chosen = np.flatnonzero(steady)
        if len(chosen) < len(streams):
            x, last, run, where = x[chosen], last[chosen], run[chosen], where[chosen]
            streams = [streams[at] for at in chosen]
        if streams:
            self._last[where], self._run[where] = last, run
            for at, events in zip(chosen.tolist(), self._step(streams, x, seqs is not None), strict=True):
                told[at] = events
        return told

    def _step(self, streams: list[Stream], x: F32, numbered: bool) -> list[list[Event]]:
        many, rows, _ = x.shape
        logits = np.empty((many, rows, self._model.outputs), np.float32)
        run_engine, firsts, held = self._model.engine.run, [], x[:, -1].copy()  # a view would keep all of x
        for one, mine, last, out in zip(streams, x, held, logits, strict=True):
            firsts.append(one.timeline.take(rows, last, numbered))
            run_engine(mine, one.state, out)
        indexes, quality = np.add.outer(firsts, np.arange(rows)), np.zeros(rows, np.uint8)
        for one, first, out, index in zip(streams, firsts, logits, indexes, strict=True):
            one.took(first, out, index, quality)
        if not streams[0].detector.active:
            return [[] for _ in streams]
        probabilities = softmax(logits.reshape(many * rows, -1)).reshape(many, rows, -1)
        decisions = push_abreast([one.detector for one in streams], probabilities, firsts)
        return [one.told(mine) for one, mine in zip(streams, decisions, strict=True)]


def _consecutive(streams: Sequence[Stream], seqs: I64) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Whether each stream's numbers (N, T) are simply the next ones."""
    wanted = [one.timeline.keys.next_seq for one in streams]
    due = np.array([-1 if number is None else number for number in wanted], np.int64)
    known = np.array([number is not None for number in wanted])
    right: np.ndarray[tuple[int], np.dtype[np.bool_]] = (seqs == due[:, None] + np.arange(seqs.shape[1])).all(axis=1)
    return known & right
