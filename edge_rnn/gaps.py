"""What came, what is missing, and what to do about it: samples in, a plan of steps out. No model, clock or I/O here.

The sample index is the clock: every sample that was or should have been recorded has a slot. Two sums always hold:

    received = used + duplicate + bad + late        (what came)
    expected = used + imputed + lost                (the slots)
"""

from __future__ import annotations

import struct
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .engine import F32
from .errors import SnapshotError, UsageError
from .events import Fault, Gap
from .manifest import GapPolicy

I64 = npt.NDArray[np.int64]

OK, IMPUTED, DEGRADED = range(3)
REORDER = 1024
"""A sample that is further back than this is a source that started anew, not a late one."""
MAX_HOLES = 64
MAX_MISSING = 1 << 40
_CLOCK = struct.Struct("<11q?q")


@dataclass(slots=True)
class Counters:
    """The sums of the module's docstring, since the stream began."""

    received: int = 0
    used: int = 0
    duplicate: int = 0
    bad: int = 0
    late: int = 0
    imputed: int = 0
    lost: int = 0

    @property
    def expected(self) -> int:
        """Slots so far."""
        return self.used + self.imputed + self.lost

    def to_json(self) -> dict[str, int]:
        """For reports."""
        return {**asdict(self), "expected": self.expected}


@dataclass(frozen=True, slots=True)
class Segment:
    """Consecutive steps to make: x (n, I), the first one's slot, and each one's quality."""

    first: int
    x: F32
    quality: npt.NDArray[np.uint8]


Plan = list[Segment | Gap | Fault]


class Timeline:
    """Puts samples into slots and applies the gap policy. A Gap whose action is "reset" asks for a zero state."""

    def __init__(self, channels: tuple[str, ...], rate_hz: float, policy: GapPolicy) -> None:
        self.policy = policy
        self._channels = channels
        self._period_ns = 1e9 / rate_hz
        self.counters = Counters()
        self._next = 0  # the slot after the last one
        self._run = 0  # missing slots since the last good sample
        self._run_lost = 0  # those of them that were not imputed
        self._last: F32 | None = None  # the last good sample
        self._faulty: frozenset[int] = frozenset()
        self._key: int | None = None  # the last sample's sequence number, or its time
        self._holes: list[list[int]] = []  # [first, last] keys that are missing and may still come, oldest first

    def time_ns(self, index: int) -> int:
        """A slot's time since the stream's start."""
        return round(index * self._period_ns)

    @property
    def next_index(self) -> int:
        """The slot the next sample will have."""
        return self._next

    def plan(self, x: F32, t_ns: Any = None, seq: Any = None) -> Plan:
        """Plan the steps for samples x (T, I); `t_ns` and `seq` are None, an int (the first sample's) or (T,)."""
        rows = len(x)
        self.counters.received += rows
        finite = np.asarray(np.isfinite(x).all(axis=1))
        missing = self._missing_before(rows, t_ns, seq)
        if missing is None and self._run == 0 and finite.all():
            return [self._take(x)] if rows else []
        if missing is None:
            missing = np.zeros(rows, np.int64)
        items: Plan = []
        start = 0  # first row of the good run that is being gathered
        for row in range(rows):
            if missing[row] == 0 and finite[row] and self._run == 0:
                continue
            self._gather(x[start:row], items)
            start = row + 1
            self._one(x[row], bool(finite[row]), int(missing[row]), items)
        self._gather(x[start:], items)
        return items

    def restart(self) -> None:
        """Forget the last sample and the keys, as after a reset: the next sample takes the next slot."""
        self._run = self._run_lost = 0
        self._last = None
        self._faulty = frozenset()
        self._key = None
        self._holes = []

    def _take(self, x: F32) -> Segment:
        segment = Segment(self._next, x, np.zeros(len(x), np.uint8))
        self._next += len(x)
        self.counters.used += len(x)
        self._last = x[-1].copy()
        self._faulty = frozenset()
        return segment

    def _gather(self, x: F32, items: Plan) -> None:
        if len(x):
            items.append(self._take(x))

    def _one(self, x: F32, good: bool, missing: int, items: Plan) -> None:
        """A row that is not simply the next good sample."""
        if missing in (_DUPLICATE, _LATE):
            self.counters.duplicate += missing == _DUPLICATE
            self.counters.late += missing == _LATE
            return
        if missing == _RESTART:
            items.append(Gap(self.time_ns(self._next), self.time_ns(self._next), 0, "reset"))
        elif missing:
            self._skip(missing, items, hole=True)
        if good:
            self._recover(items)
            self._gather(x[None], items)
        else:
            self.counters.bad += 1
            self._fault(x, items)
            self._skip(1, items, hole=False)

    def _skip(self, count: int, items: Plan, *, hole: bool) -> None:
        """`count` slots have no sample: hold the last value, or give them up."""
        policy, total, first = self.policy, self._run + count, self._next
        self._next += count
        self._run = total
        held = policy.on_short == "hold" and self._last is not None and self._run_lost == 0 and total <= policy.long
        if not held:
            self._run_lost += count
            self.counters.lost += count
            return
        assert self._last is not None
        quality = IMPUTED if total <= policy.short else DEGRADED
        if hole:
            items.append(Gap(self.time_ns(first), self.time_ns(first + count), count, "hold"))
        items.append(Segment(first, np.tile(self._last, (count, 1)), np.full(count, quality, np.uint8)))
        self.counters.imputed += count

    def _recover(self, items: Plan) -> None:
        """A good sample came after a run of missing ones."""
        if self._run_lost:
            action = "keep" if self.policy.on_long == "keep" else "reset"
            began = self.time_ns(self._next - self._run_lost)
            items.append(Gap(began, self.time_ns(self._next), self._run_lost, action))
        self._run = self._run_lost = 0

    def _fault(self, x: F32, items: Plan) -> None:
        faulty = frozenset(np.flatnonzero(~np.isfinite(x)).tolist())
        for channel in sorted(faulty - self._faulty):
            reason = "NaN" if np.isnan(x[channel]) else "Inf"
            items.append(Fault(self.time_ns(self._next), self._channels[channel], reason))
        self._faulty = faulty

    def _missing_before(self, rows: int, t_ns: Any, seq: Any) -> I64 | None:
        """How many slots are missing before each row, or one of the marks below; None when there is nothing to say."""
        if seq is not None:
            keys = _keys(seq, rows, 1.0, "seq")
            unit = 1.0
        elif t_ns is not None:
            keys = _keys(t_ns, rows, self._period_ns, "t_ns")
            unit = self._period_ns
        else:
            return None
        if rows == 0:
            return None
        before = np.concatenate([keys[:1] - round(unit) if self._key is None else [self._key], keys[:-1]])
        steps = (keys - before) / unit
        if np.all((steps > 0) & (steps <= 1.5)):
            self._key = int(keys[-1])
            return None
        return np.array([self._place(int(key), unit) for key in keys], np.int64)

    def _place(self, key: int, unit: float) -> int:
        if self._key is None:
            self._key = key
            return 0
        step = (key - self._key) / unit
        if step > 0:
            missing = min(round(step) - 1, MAX_MISSING) if step > 1.5 else 0
            if missing:
                self._holes = [*self._holes, [self._key + 1, key - 1]][-MAX_HOLES:]
            self._key = key
            return missing
        if step < -REORDER:
            self._key, self._holes = key, []
            return _RESTART
        return _LATE if self._fill(key) else _DUPLICATE

    def _fill(self, key: int) -> bool:
        """Whether a key that comes behind its turn was missing; it is missing no more."""
        for place, (first, last) in enumerate(self._holes):
            if first <= key <= last:
                self._holes[place : place + 1] = [h for h in ([first, key - 1], [key + 1, last]) if h[0] <= h[1]]
                return True
        return False

    def snapshot(self) -> bytes:
        """The clock, the sums and the last sample; late samples of before a restore count as duplicates."""
        c = self.counters
        sums = (c.received, c.used, c.duplicate, c.bad, c.late, c.imputed, c.lost)
        key = (self._key is not None, self._key or 0)
        clock = _CLOCK.pack(*sums, self._next, self._run, self._run_lost, self._last is not None, *key)
        return clock + (b"" if self._last is None else self._last.astype("<f4").tobytes())

    def restore(self, blob: bytes) -> None:
        """Take what `snapshot` gave; raises SnapshotError when it is not of these channels."""
        try:
            values = _CLOCK.unpack_from(blob)
        except struct.error as error:
            raise SnapshotError("the snapshot's clock is truncated: take a new one") from error
        body = blob[_CLOCK.size :]
        if len(body) != (4 * len(self._channels) if values[10] else 0):
            raise SnapshotError(f"the snapshot's last sample is not of {len(self._channels)} channels")
        self.counters = Counters(*values[:7])
        self._next, self._run, self._run_lost = values[7:10]
        self._last = np.frombuffer(body, "<f4").astype(np.float32) if values[10] else None
        self._key = values[12] if values[11] else None
        self._holes, self._faulty = [], frozenset()


_DUPLICATE, _LATE, _RESTART = -1, -2, -3


def _keys(value: Any, rows: int, unit: float, name: str) -> I64:
    keys = np.asarray(value)
    if keys.dtype.kind not in "iu" or keys.shape not in ((), (rows,)):
        raise UsageError(f"{name} is {keys.dtype} {keys.shape}, expected one integer or {rows} of them")
    if keys.ndim:
        return keys.astype(np.int64)
    later: I64 = int(keys) + np.rint(np.arange(rows) * unit).astype(np.int64)
    return later
