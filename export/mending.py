"""Holes in recordings, dealt with as a stream on a device does: held, or cut where the state would be reset.

The rules are edge_rnn.gaps' own; only which row goes where is learnt from them, so that numbers keep their form.
Labels are not invented: a held sample has one only within a short gap between two samples of the same label.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_rnn.arrays import Array
from edge_rnn.clock import TOLERATED_PPM, RateEstimate
from edge_rnn.errors import DataError
from edge_rnn.gaps import OK, Counters, Restart, Segment, Timeline
from edge_rnn.keys import I64
from edge_rnn.manifest import Channel, GapPolicy

from .datasets import UNKNOWN, Ints, Recordings

WINDOW_S = 2.56
SHORT = 3
_ROW = 1 << 12
"""Row numbers travel through the timeline as two float32, exact up to 2^36."""


@dataclass(frozen=True)
class Mended:
    """Pieces of one recording, between which the state is reset: rows of it, held or not, and labels (n,) each."""

    rows: list[Ints]
    held: list[npt.NDArray[np.bool_]]
    labels: list[Ints]
    counters: Counters

    def report(self) -> str:
        """What was done, in words; "" for a recording without a hole."""
        c = self.counters
        if c.used == c.expected and c.received == c.used:
            return ""
        counts = {"held": c.imputed, "lost": c.lost, "of them bad": c.bad, "twice": c.duplicate, "late": c.late}
        said = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        cut = f", cut into {len(self.rows)} pieces" if len(self.rows) > 1 else ""
        return f"samples missing: {said}{cut}, as a stream would do"


def default_policy(rate_hz: float) -> GapPolicy:
    """What export writes for a window of 2.56 s."""
    return GapPolicy(SHORT, max(SHORT, round(WINDOW_S * rate_hz)))


def mend(
    x: Array,
    label: Ints,
    rate_hz: float,
    *,
    t_ns: I64 | None = None,
    seq: I64 | None = None,
    policy: GapPolicy | None = None,
) -> Mended:
    """Samples x (T, I), labels (T,), and times or sequence numbers (T,) where the recording has them.

    A sample with NaN or Inf is a missing one. Pieces too short to warm up in are left out, and the first piece begins
    at the first good sample. Raises DataError where the times are of another rate than `rate_hz`, or nothing is left.
    """
    policy = policy or default_policy(rate_hz)
    if seq is None and t_ns is not None:
        _check_rate(t_ns, rate_hz)
    number = np.arange(len(x))
    marks = np.stack([number // _ROW, number % _ROW], axis=1).astype(np.float32)
    marks[~np.isfinite(x).all(axis=1)] = np.nan
    timeline = Timeline([Channel(name, "", 0.0, 1.0, 0.0, 0.0) for name in ("high", "low")], rate_hz, policy)
    pieces: list[list[Segment]] = [[]]
    for item in [*timeline.plan(marks, t_ns, seq), *timeline.flush()]:
        if isinstance(item, Restart):
            pieces.append([])
        elif isinstance(item, Segment):
            pieces[-1].append(item)
    least = max(policy.long, 1) if len(pieces) > 1 else 1
    mended = Mended([], [], [], timeline.counters)
    for piece in pieces:
        if sum(len(segment.x) for segment in piece) < least:
            continue
        marked = np.concatenate([segment.x for segment in piece]).astype(np.int64)
        quality = np.concatenate([segment.quality for segment in piece])
        rows: Ints = marked[:, 0] * _ROW + marked[:, 1]
        mended.rows.append(rows)
        mended.held.append(quality != OK)
        mended.labels.append(_labels(label[rows], quality != OK, policy.short))
    if not mended.rows:
        raise DataError("holds no stretch of good samples that is long enough to warm up in")
    return mended


def _labels(label: Ints, held: npt.NDArray[np.bool_], short: int) -> Ints:
    """Labels with those of held samples taken back where nobody can know them."""
    label = label.copy()
    edges = np.flatnonzero(np.diff(np.concatenate([[False], held, [False]]).astype(np.int8)))
    for first, past in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        same = past < len(label) and label[first] == label[past]
        if past - first > short or not same:
            label[first:past] = UNKNOWN
    return label


def _check_rate(t_ns: I64, rate_hz: float) -> None:
    estimate = RateEstimate(rate_hz)
    estimate.push(t_ns)
    ppm = estimate.drift_ppm
    if ppm is not None and abs(ppm) > TOLERATED_PPM:
        raise DataError(f"has times of {estimate.rate_hz:.4g} samples a second, {rate_hz:g} were said: correct fs")


def recordings_of(
    where: str, keys: Sequence[tuple[I64 | None, I64 | None]], policy: GapPolicy | None = None, **fields: Any
) -> Recordings:
    """Recordings(**fields), their holes and bad samples mended; `keys` are each recording's t_ns and seq, or None.

    What was done is told in a warning a recording. A recording that is cut goes on under its name with +1, +2 ...
    """
    x = fields["x"]
    bad = x.dtype.kind == "f" and not np.isfinite(x).all()
    if not bad and all(t_ns is None and seq is None for t_ns, seq in keys):
        return Recordings(**fields)
    whole = Recordings(**{**fields, "x": np.nan_to_num(x, posinf=0, neginf=0) if bad else x})  # all else is checked
    rows, held, labels, sources, ids = [], [], [], [], []
    for r, (t_ns, seq) in enumerate(keys):
        low, high = (int(edge) for edge in whole.rec_start[r : r + 2])
        try:
            mended = mend(x[low:high], whole.label[low:high], whole.rate_hz, t_ns=t_ns, seq=seq, policy=policy)
        except DataError as error:
            why = f"{error}{_first_bad(whole, x, low, high)}"
            raise DataError(f"{where}: recording {whole.rec_id[r]!r} {why}") from error
        if told := mended.report():
            warnings.warn(f"{where}: recording {whole.rec_id[r]!r}: {told}", stacklevel=3)
        rows += [piece + low for piece in mended.rows]
        held += mended.held
        labels += mended.labels
        sources += [r] * len(mended.rows)
        ids += [whole.rec_id[r] + (f"+{n}" if n else "") for n in range(len(mended.rows))]
    return replace(
        whole,
        x=x[np.concatenate(rows)],
        label=np.concatenate(labels),
        rec_start=np.concatenate([[0], np.cumsum([len(piece) for piece in rows])]).astype(np.int64),
        rec_subject=None if whole.rec_subject is None else tuple(whole.rec_subject[r] for r in sources),
        rec_id=tuple(ids),
        held=np.concatenate(held),
    )


def _first_bad(whole: Recordings, x: Array, low: int, high: int) -> str:
    wrong = np.argwhere(~np.isfinite(x[low:high]))
    if not len(wrong):
        return ""
    row, column = (int(i) for i in wrong[0])
    return f"; it has {x[low + row, column]} at sample {row}, channel {whole.channels[column]!r}"
