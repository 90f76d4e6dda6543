"""Sequence numbers and times of samples: how many samples are missing before each one. No clock here, keys are data.

Counters that wrap are followed: a step back that is a small step forward modulo 2^8, 2^16 or 2^32 (times: 2^32 us or
ms, what a microcontroller's clock counts) is one. Times may jitter: a hole is a step of more than 1.5 periods that is
also more than half a period behind a slowly tracked schedule, so that one sample early by 0.4 and the next late by 0.4
is none. A clock that is more than 2 % off is not followed: resample it.
"""

from __future__ import annotations

import struct
from typing import Any, Literal

import numpy as np

from .arrays import NDArray
from .errors import SnapshotError, UsageError

I64 = NDArray[np.int64]
KeyKind = Literal["", "seq", "t_ns"]

DUPLICATE, LATE, ANEW = -1, -2, -3
"""Marks in place of a number of missing samples; ANEW: a source that began anew."""
REORDER = 1024
"""A sample that is further back than this is a source that started anew, not a late one."""
LONGEST_GAP_NS = 86_400 * 10**9
"""A jump forward of more than a day is another clock (an RTC that was set), not samples that were lost."""
MAX_HOLES = 64
MAX_KEY = 1 << 62
TRACK = 16
"""The schedule moves by 1/16 of each sample's deviation from it."""
_KINDS: tuple[KeyKind, ...] = ("", "seq", "t_ns")
_WRAPS = {"seq": (1 << 8, 1 << 16, 1 << 32), "t_ns": (1000 << 32, 1_000_000 << 32)}
_HEAD = struct.Struct("<BIqqqq")
_HOLE = struct.Struct("<qq")


class Keys:
    """Follows the keys of one stream."""

    def __init__(self, period_ns: float) -> None:
        self._period_ns = period_ns
        self.reset()

    def reset(self) -> None:
        """Forget all: the next key is simply the next sample's."""
        self._kind: KeyKind = ""
        self._last = 0  # the last sample's key, with what wrapped away added
        self._due = 0  # times: when the next sample is expected
        self._turns = 0  # what wrapped away so far
        self._modulus = 0  # at which the keys wrap, once they have
        self._holes: list[tuple[int, int]] = []  # (first, last) keys that are missing and may still come, oldest first

    def read(self, rows: int, t_ns: Any, seq: Any) -> tuple[KeyKind, I64]:
        """The keys of so many samples (rows,) and what they are; raises UsageError, and changes nothing then."""
        if seq is not None:
            return "seq", _as_keys(seq, rows, 1.0, "seq")
        if t_ns is not None:
            return "t_ns", _as_keys(t_ns, rows, self._period_ns, "t_ns")
        return "", np.empty(0, np.int64)

    @property
    def next_seq(self) -> int | None:
        """The sequence number that would simply be the next; None where samples carry none."""
        return self._last - self._turns + 1 if self._kind == "seq" else None

    def take(self, rows: int) -> None:
        """So many samples came, whose numbers were simply the next."""
        self._last += rows

    def missing_before(self, kind: KeyKind, keys: I64) -> I64 | None:
        """How many samples are missing before each one, or its mark; None when every one is simply the next."""
        if not keys.size:
            return None
        if kind != self._kind:  # keys of two kinds cannot be compared: the first of a kind is simply next
            self.reset()
            self._kind = kind
            self._last, self._due = int(keys[0]) - round(self._unit), int(keys[0])
        keys = keys + self._turns
        steps = np.diff(keys, prepend=self._last)
        if steps.min() > 0 and steps.max() <= 1.5 * self._unit:
            self._last = int(keys[-1])
            if kind == "t_ns":
                self._track(keys.tolist())
            return None
        return np.array([self._place(key) for key in (keys - self._turns).tolist()], np.int64)

    @property
    def _unit(self) -> float:
        return 1.0 if self._kind == "seq" else self._period_ns

    def _track(self, times: list[int]) -> None:
        due, period = self._due, round(self._period_ns)
        for t in times:
            due += period + (t - due) // TRACK
        self._due = due

    def _place(self, raw: int) -> int:
        unit = self._unit
        key = self._unwrapped(raw, unit)
        step = (key - self._last) / unit
        if step < -REORDER or step * self._period_ns > LONGEST_GAP_NS:
            self._last, self._due, self._turns, self._holes = raw, raw + round(self._period_ns), 0, []
            return ANEW
        if step <= 0:
            return LATE if self._fill(key) else DUPLICATE
        missing = self._missing(key, step)
        if missing:
            self._holes = [*self._holes, (self._last + 1, key - 1)][-MAX_HOLES:]
        self._last = key
        return missing

    def _missing(self, key: int, step: float) -> int:
        if self._kind == "seq":
            return round(step) - 1
        period = round(self._period_ns)
        behind = min((key - self._due) / period, step - 1)
        missing = max(1, round(behind)) if step > 1.5 and behind > 0.5 else 0
        self._due += period * (1 + missing) + (key - self._due - missing * period) // TRACK
        return missing

    def _unwrapped(self, raw: int, unit: float) -> int:
        """The key with what wrapped away added; notices that it wraps now, or comes from before it did."""
        key = raw + self._turns
        if self._modulus and 0 <= (self._last - (key - self._modulus)) / unit <= _reach(self._modulus, unit):
            return key - self._modulus
        if key > self._last:
            return key
        for modulus in (self._modulus,) if self._modulus else _WRAPS[self._kind]:
            near = 0 < (key + modulus - self._last) / unit <= _reach(modulus, unit)
            if near and self._last - self._turns < modulus:
                self._modulus = modulus
                self._turns += modulus
                return key + modulus
        return key

    def _fill(self, key: int) -> bool:
        """Whether a key that comes behind its turn was missing; it is missing no more."""
        for place, (first, last) in enumerate(self._holes):
            if first <= key <= last:
                self._holes[place : place + 1] = [h for h in ((first, key - 1), (key + 1, last)) if h[0] <= h[1]]
                return True
        return False

    def snapshot(self) -> bytes:
        """What is remembered, as bytes."""
        holes = self._holes[-MAX_HOLES:]
        head = (_KINDS.index(self._kind), len(holes), self._last, self._due, self._turns, self._modulus)
        return _HEAD.pack(*head) + b"".join(_HOLE.pack(*hole) for hole in holes)

    def restore(self, blob: bytes) -> None:
        """Take what `snapshot` gave; raises SnapshotError when it is not that."""
        try:
            kind, holes, *numbers = _HEAD.unpack_from(blob)
            found = list(_HOLE.iter_unpack(blob[_HEAD.size :]))
        except struct.error as error:
            raise SnapshotError("the snapshot's keys are truncated: take a new one") from error
        if kind >= len(_KINDS) or holes != len(found):
            raise SnapshotError("the snapshot's keys are damaged: take a new one")
        self._kind, self._holes = _KINDS[kind], found
        self._last, self._due, self._turns, self._modulus = numbers


def _reach(modulus: int, unit: float) -> float:
    """How near the wrap a key must be to be taken for one that wrapped."""
    return min(REORDER, modulus / unit / 16)


def _as_keys(value: Any, rows: int, unit: float, name: str) -> I64:
    keys = np.asarray(value)
    if keys.dtype.kind not in "iu" or keys.shape not in ((), (rows,)):
        raise UsageError(f"{name} is {keys.dtype} {keys.shape}, expected one integer or {rows} of them")
    if keys.size and not (int(keys.min()) > -MAX_KEY and int(keys.max()) < MAX_KEY):
        raise UsageError(f"{name} goes beyond 2^62, expected integers that can be told apart: check its unit")
    if keys.ndim:
        return keys.astype(np.int64)
    later: I64 = int(keys) + np.rint(np.arange(rows) * unit).astype(np.int64)
    return later
