"""`Recordings`: labelled recordings in memory, and what training asks of them: splits by person, segments, windows.

NumPy only, no torch and no files here (readers.py and adapters.py make Recordings). State never runs across a
recording's border, and a sample whose label is unknown is never trained on and never scored.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_rnn.arrays import Array
from edge_rnn.errors import DataError

Ints = npt.NDArray[np.int64]

UNKNOWN = -1
"""The label of a sample that is ignored."""
UNKNOWN_CLASSES = frozenset({"UNLABELLED", "UNANNOTATED"})


@dataclass(frozen=True)
class Recordings:
    """Recordings end to end: recording r is rows rec_start[r] to rec_start[r + 1]; checked here, trusted after.

    x (N, I) numbers with value = x * scale; scale (I,); label (N,) indices into `classes`, UNKNOWN where ignored;
    rec_start (R + 1,); rec_subject (R,) strings or None where nobody wrote it down; rec_id (R,) strings.
    Raises DataError, which names the recording, for anything that cannot be trained on.
    """

    x: Array = field(repr=False)
    scale: npt.NDArray[np.float64]
    label: Ints = field(repr=False)
    rec_start: Ints
    rec_subject: tuple[str, ...] | None
    rec_id: tuple[str, ...]
    rate_hz: float
    channels: tuple[str, ...]
    units: tuple[str, ...]
    classes: tuple[str, ...]
    held: npt.NDArray[np.bool_] | None = field(default=None, repr=False)
    """(N,) samples that repeat the one before because theirs is missing (mending.py); None: there are none."""

    def __post_init__(self) -> None:
        _check_shapes(self)
        _check_values(self)

    def __len__(self) -> int:
        return len(self.rec_id)

    @property
    def subjects(self) -> tuple[str, ...]:
        """Each person once, in natural order (2 before 10); without people, each recording is its own."""
        return tuple(sorted(set(self.owners), key=_natural))

    @property
    def owners(self) -> tuple[str, ...]:
        """Whom each recording belongs to when people are split: (R,) subjects, or recording ids without subjects."""
        return self.rec_subject if self.rec_subject is not None else self.rec_id

    def values(self, recording: int | None = None) -> npt.NDArray[np.float32]:
        """Physical values (T, I) of one recording, or of all of them end to end."""
        rows = slice(None) if recording is None else slice(*self.rec_start[recording : recording + 2])
        return np.asarray(self.x[rows] * self.scale, dtype=np.float32)

    def lsb(self) -> list[float] | None:
        """`scale` where every value is an integer code inside int16 times it, else None."""
        if self.x.dtype.kind == "f" and not np.array_equal(self.x, np.rint(self.x)):
            return None
        inside = self.x.min() >= -32768 and self.x.max() <= 32767
        return [float(s) for s in self.scale] if inside else None

    def select(self, keep: Sequence[int]) -> Recordings:
        """Only these recordings, in this order."""
        if not keep:
            raise DataError("no recording is left after the selection: check the subjects you asked for")
        rows = [np.arange(*self.rec_start[r : r + 2]) for r in keep]
        index = np.concatenate(rows)
        subject = None if self.rec_subject is None else tuple(self.rec_subject[r] for r in keep)
        start = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
        ids = tuple(self.rec_id[r] for r in keep)
        held = None if self.held is None else self.held[index]
        label = self.label[index]
        return replace(self, x=self.x[index], label=label, rec_start=start, rec_subject=subject, rec_id=ids, held=held)

    def with_classes(self, wanted: Sequence[str]) -> Recordings:
        """Only these labels, in this order; samples of any other class become UNKNOWN."""
        absent = sorted(set(wanted) - set(self.classes))
        if absent:
            raise DataError(f"classes {absent} are not in the data, which have {list(self.classes)}")
        table = np.full(len(self.classes) + 1, UNKNOWN, dtype=np.int64)  # [-1] keeps UNKNOWN unknown
        for new, name in enumerate(wanted):
            table[self.classes.index(name)] = new
        return replace(self, label=table[self.label], classes=tuple(wanted))

    def segments(self) -> Ints:
        """Longest runs of one known label inside one recording: (S, 3) start, stop (exclusive), label."""
        cut = np.flatnonzero(np.diff(self.label)) + 1
        edges = np.unique(np.concatenate([cut, self.rec_start]))
        start, stop = edges[:-1], edges[1:]
        label = self.label[start]
        rows: Ints = np.stack([start, stop, label], axis=1)[label != UNKNOWN]
        return rows

    def windows(self, window: int, hop: int) -> tuple[Ints, Ints]:
        """First rows and labels (n,) of all windows inside one segment, `hop` apart from the segment's start.

        Raises DataError for a recording shorter than a window, and where no segment holds one.
        """
        for r, length in enumerate(np.diff(self.rec_start)):
            if length < window and self.held is None:  # a piece that a hole left is nobody's fault
                raise DataError(
                    f"recording {self.rec_id[r]!r} has {length} samples, a window is {window}: "
                    "leave it out or choose a shorter window"
                )
        starts, labels = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for start, stop, label in self.segments():
            first = np.arange(start, stop - window + 1, hop)
            starts.append(first)
            labels.append(np.full(len(first), label))
        if not any(len(first) for first in starts):
            raise DataError(f"no labelled segment holds a window of {window} samples: choose a shorter window")
        return np.concatenate(starts), np.concatenate(labels)


def merge(data: Recordings, name: str, parts: Sequence[str]) -> Recordings:
    """The classes `parts` as one class `name`, the last one; raises DataError for a class that is not there."""
    absent = sorted(set(parts) - set(data.classes))
    if absent or not parts:
        raise DataError(f"classes {absent} are not in the data, which have {list(data.classes)}")
    kept = [c for c in data.classes if c not in parts]
    table = np.full(len(data.classes) + 1, UNKNOWN, np.int64)
    for index, label in enumerate(data.classes):
        table[index] = len(kept) if label in parts else kept.index(label)
    return replace(data, label=table[data.label], classes=(*kept, name))


def split_by_subject(data: Recordings, people: Iterable[str]) -> tuple[Recordings, Recordings]:
    """`(rest, people's)`; raises DataError for an unknown person or where nobody is left on a side."""
    wanted = {str(subject) for subject in people}
    unknown = sorted(wanted - set(data.subjects), key=_natural)
    if unknown:
        raise DataError(f"subjects {unknown} are not in the data, which have {list(data.subjects)}")
    if not wanted or wanted == set(data.subjects):
        raise DataError(f"a split needs people on both sides, got {len(wanted)} of {len(data.subjects)} to set apart")
    held = [r for r, owner in enumerate(data.owners) if owner in wanted]
    rest = [r for r, owner in enumerate(data.owners) if owner not in wanted]
    return data.select(rest), data.select(held)


def choose_validation(data: Recordings, share: float = 0.2) -> tuple[str, ...]:
    """About `share` of the people, at least one, evenly spread over their natural order: the same ones every time.

    Where nobody wrote subjects down it chooses recordings, with a warning: the same person is then on both sides.
    """
    people = data.subjects
    if data.rec_subject is None:
        warnings.warn(
            "the recordings name no subjects: validation is split by recording and will look better than new people do",
            stacklevel=2,
        )
    if len(people) < 2:
        what = "recording" if data.rec_subject is None else "subject"
        raise DataError(f"the data have one {what} only, validation needs another: record more people")
    count = max(1, round(share * len(people)))
    picks = np.unique(np.linspace(0, len(people) - 1, count + 2)[1:-1].round().astype(int))
    return tuple(people[i] for i in picks)


def check_disjoint(train: Recordings, other: Recordings, what: str) -> None:
    """Raise DataError where a person (or, without people, a recording) is on both sides, or the channels differ."""
    both = sorted(set(train.owners) & set(other.owners), key=_natural)
    if both and (train.rec_subject is None) == (other.rec_subject is None):
        raise DataError(
            f"subjects {both} are in training and in {what}: a score on people already seen says nothing; "
            "give the training file alone to go on"
        )
    for name in ("channels", "units", "classes", "rate_hz"):
        mine, theirs = getattr(train, name), getattr(other, name)
        if mine != theirs:
            raise DataError(f"training has {name} {mine}, {what} has {theirs}: they must be the same")


def check_trainable(data: Recordings) -> None:
    """Raise DataError where labelled samples are of fewer than two classes, or a class never occurs."""
    present = np.unique(data.label[data.label != UNKNOWN])
    if len(present) < 2:
        named = [data.classes[i] for i in present]
        raise DataError(f"the labelled samples are of {len(present)} class {named}, a classifier needs two or more")
    absent = [name for i, name in enumerate(data.classes) if i not in present]
    if absent:
        raise DataError(f"classes {absent} never occur in the training recordings: list them in `ignore` or drop them")


def _natural(name: str) -> tuple[int, int, str]:
    return (0, int(name), "") if name.isdecimal() else (1, 0, name)


def _check_shapes(data: Recordings) -> None:
    x, start = data.x, data.rec_start
    if x.ndim != 2 or x.dtype.kind not in "iuf" or 0 in x.shape:
        raise DataError(f"x is {x.dtype} {x.shape}, expected numbers (samples, channels): are all rows equally long?")
    rows, columns = x.shape
    lengths: dict[str, tuple[int, int]] = {
        "scale": (len(data.scale), columns),
        "channels": (len(data.channels), columns),
        "units": (len(data.units), columns),
        "label": (len(data.label), rows),
        "rec_start": (len(start), len(data.rec_id) + 1),
        "rec_subject": (len(data.owners), len(data.rec_id)),
    }
    for name, (got, wanted) in lengths.items():
        if got != wanted:
            raise DataError(f"{name} has {got} entries, expected {wanted} for x {x.shape} in {len(data.rec_id)} pieces")
    if len(start) < 2 or start[0] != 0 or start[-1] != rows or np.any(np.diff(start) < 1):
        raise DataError(f"rec_start must rise from 0 to {rows} (the rows of x) without an empty recording")
    for name, names in (("channel", data.channels), ("class", data.classes), ("recording", data.rec_id)):
        if len(set(names)) != len(names) or not all(names):
            raise DataError(f"{name} names must differ and not be empty, got {list(names)[:20]}")


def _check_values(data: Recordings) -> None:
    if not (np.isfinite(data.rate_hz) and data.rate_hz > 0):
        raise DataError(f"fs is {data.rate_hz}, expected samples a second")
    if not np.all(np.isfinite(data.scale) & (data.scale > 0)):
        raise DataError(f"scale is {data.scale.tolist()}, expected a positive number a channel")
    if data.label.min() < UNKNOWN or data.label.max() >= len(data.classes):
        bad = data.label[(data.label < UNKNOWN) | (data.label >= len(data.classes))][0]
        raise DataError(f"label {bad} is unknown: the data name {len(data.classes)} classes {list(data.classes)}")
    if data.x.dtype.kind == "f":
        wrong = np.argwhere(~np.isfinite(data.x))
        if len(wrong):
            row, column = (int(i) for i in wrong[0])
            r = int(np.searchsorted(data.rec_start, row, side="right")) - 1
            raise DataError(
                f"recording {data.rec_id[r]!r} has {data.x[row, column]} at sample {row - data.rec_start[r]}, channel "
                f"{data.channels[column]!r} ({len(wrong)} such values in all): cut these samples out"
            )


def statistics(data: Recordings) -> dict[str, list[float]]:
    """mean, std, min, max and max_abs of the physical values, a number a channel; float64 inside.

    Raises DataError for a channel that never changes: it cannot be normalised.
    """
    x = data.values().astype(np.float64)
    table: dict[str, Any] = {"mean": x.mean(0), "std": x.std(0), "min": x.min(0), "max": x.max(0)}
    still = [name for name, low, high in zip(data.channels, table["min"], table["max"], strict=True) if low == high]
    if still:
        raise DataError(f"channels {still} never change: leave them out")
    table["max_abs"] = np.abs(x).max(0)
    return {name: [float(v) for v in row] for name, row in table.items()}


def longest_constant(data: Recordings) -> list[int]:
    """The longest stretch of one and the same value inside a recording, in samples, a number a channel.

    Held samples are no measurement, and make no stretch longer.
    """
    change = np.ones(data.x.shape, np.bool_)
    change[1:] = data.x[1:] != data.x[:-1]
    change[data.rec_start[:-1]] = True
    if data.held is not None:
        change[data.held] = True
        change[1:][data.held[:-1]] = True
    edges = [np.append(np.flatnonzero(column), len(data.x)) for column in change.T]
    return [int(np.diff(edge).max()) for edge in edges]
