"""What came, what is missing, and what to do about it: samples in, a plan of steps out. No model, clock or I/O here.

The sample index is the clock: every sample that was or should have been recorded has a slot. Two sums always hold:

    received = used + duplicate + bad + late        (what came)
    expected = used + imputed + lost                (the slots)
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from .engine import F32
from .errors import SnapshotError
from .events import Fault, Gap
from .faults import REASONS, U8, Watch
from .keys import ANEW, DUPLICATE, LATE, Keys
from .manifest import Channel, GapPolicy
from .reach import LARGEST
from .value import Fields, Value

OK, IMPUTED, DEGRADED = range(3)
_CLOCK = struct.Struct("<10qIIII")


class Counters(Fields):
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
        return {**self.to_dict(), "expected": self.expected}


class Segment(Value):
    """Consecutive steps to make: x (n, I), the first one's slot, and each one's quality, the same for all of them."""

    first: int
    x: F32
    quality: U8


class Restart(Value):
    """Go on from the zero state; `at` is the slot at which that was decided."""

    at: int


Plan = list[Segment | Gap | Fault | Restart]


class Timeline:
    """Puts samples into slots and applies the gap policy."""

    def __init__(self, channels: Sequence[Channel], rate_hz: float, policy: GapPolicy, reach: float = LARGEST) -> None:
        self.policy = policy
        self.counters = Counters()
        self._names = tuple(channel.name for channel in channels)
        self.watch = Watch(channels, reach)
        self._period_ns = 1e9 / rate_hz
        self.keys = Keys(self._period_ns)
        self._next = 0  # the slot after the last one
        self.restart()

    def restart(self) -> None:
        """Forget the last sample and the keys, as after a reset: the next sample takes the next slot."""
        self._run = 0  # missing slots since the last good sample
        self._run_lost = 0  # those of them that were not imputed
        self._last: F32 | None = None  # the last good sample
        self._faulty: frozenset[int] = frozenset()  # channels whose fault has been told
        self.keys.reset()
        self.watch.reset()

    def time_ns(self, index: int) -> int:
        """A slot's time since the stream's start."""
        return round(index * self._period_ns)

    @property
    def next_index(self) -> int:
        """The slot the next sample will have."""
        return self._next

    @property
    def whole(self) -> bool:
        """Whether the last slot has its sample."""
        return self._run == 0

    def took(self, rows: int, numbered: int, last: F32) -> None:
        """So many samples came that were simply the next good ones, `numbered` of them with numbers.

        `last` (I,) was the last of them; it is kept.
        """
        self.counters.received += rows
        self.counters.used += rows
        if numbered:
            self.keys.take(numbered)
        self._next += rows
        self._last = last
        self._faulty = frozenset()

    def plan(self, x: F32, t_ns: Any = None, seq: Any = None) -> Plan:
        """Plan the steps for samples x (T, I); `t_ns` and `seq` are None, an int (the first sample's) or (T,).

        Raises UsageError for keys of another form; nothing has changed then.
        """
        keys = self.keys.read(len(x), t_ns, seq)
        self.counters.received += len(x)
        missing = self.keys.missing_before(*keys)
        reasons = self.watch.check(x)
        if missing is None and self._run == 0 and reasons is None:
            return [self._take(x)] if len(x) else []
        good = [True] * len(x) if reasons is None else (reasons.max(axis=1) == 0).tolist()
        items: Plan = []
        start = 0  # first row of the good run that is being gathered
        for row in range(len(x)):
            mark = 0 if missing is None else int(missing[row])
            if mark == 0 and good[row] and self._run == 0:
                continue
            self._gather(x[start:row], items)
            start = row + 1
            self._one(x[row], None if good[row] or reasons is None else reasons[row], mark, items)
        self._gather(x[start:], items)
        return items

    def flush(self) -> Plan:
        """Nothing more will come: tell of the missing samples that no good one has followed."""
        items: Plan = []
        self._recover(items)
        return items

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

    def _one(self, x: F32, reasons: U8 | None, mark: int, items: Plan) -> None:
        """A row that is not simply the next good sample; `reasons` is None when it is good."""
        if mark in (DUPLICATE, LATE):
            self.counters.duplicate += mark == DUPLICATE
            self.counters.late += mark == LATE
            return
        if mark == ANEW:
            self._recover(items)
            self._last = None
            now = self.time_ns(self._next)
            items += [Restart(self._next), Gap(now, now, 0, "reset")]
        elif mark:
            self._skip(mark, items, hole=True)
        if reasons is None:
            self._recover(items)
            self._gather(x[None], items)
        else:
            self.counters.bad += 1
            self._fault(reasons, items)
            self._skip(1, items, hole=False)

    def _skip(self, count: int, items: Plan, *, hole: bool) -> None:
        """`count` slots have no sample: hold the last value, or give them up."""
        policy, total, first = self.policy, self._run + count, self._next
        self._next += count
        self._run = total
        held = policy.on_short == "hold" and self._last is not None and self._run_lost == 0 and total <= policy.long
        if not held:
            told = self._run_lost > 0 and self._action(total - count) == "reset"
            if self._action(total) == "reset" and not told:
                items.append(Restart(first))  # as soon as the gap is too long, so that nothing stays active in it
            self._run_lost += count
            self.counters.lost += count
            return
        assert self._last is not None
        quality = IMPUTED if total <= policy.short else DEGRADED
        if hole:
            items.append(Gap(self.time_ns(first), self.time_ns(first + count), count, "hold"))
        items.append(Segment(first, np.tile(self._last, (count, 1)), np.full(count, quality, np.uint8)))
        self.counters.imputed += count

    def _action(self, missing: int) -> str:
        """What a gap of so many slots does to the state, where no value is held."""
        if self.policy.on_short == "reset":
            return "reset"
        return self.policy.on_long if missing > self.policy.long else "keep"

    def _recover(self, items: Plan) -> None:
        """A good sample came after a run of missing ones, or none will."""
        if self._run_lost:
            began = self.time_ns(self._next - self._run_lost)
            items.append(Gap(began, self.time_ns(self._next), self._run_lost, self._action(self._run)))
        self._run = self._run_lost = 0

    def _fault(self, reasons: U8, items: Plan) -> None:
        faulty = frozenset(np.flatnonzero(reasons).tolist())
        for channel in sorted(faulty - self._faulty):
            items.append(Fault(self.time_ns(self._next), self._names[channel], REASONS[reasons[channel]]))
        self._faulty = faulty

    def snapshot(self) -> bytes:
        """The clock, the sums, the last sample, the keys and what is known of faults."""
        c = self.counters
        sums = (c.received, c.used, c.duplicate, c.bad, c.late, c.imputed, c.lost)
        keys, watch = self.keys.snapshot(), self.watch.snapshot()
        told = sum(1 << channel for channel in self._faulty).to_bytes(len(self._names), "little")
        last = b"" if self._last is None else self._last.astype("<f4").tobytes()
        head = (self._next, self._run, self._run_lost, len(self._names), len(told), len(last), len(keys))
        return _CLOCK.pack(*sums, *head) + told + last + keys + watch

    def restore(self, blob: bytes) -> None:
        """Take what `snapshot` gave; raises SnapshotError when it is not of these channels."""
        channels = len(self._names)
        try:
            *sums, next_, run, run_lost, names, told, last, keys = _CLOCK.unpack_from(blob)
        except struct.error as error:
            raise SnapshotError("the snapshot's clock is truncated: take a new one") from error
        ends = np.cumsum([_CLOCK.size, told, last, keys]).tolist()
        if names != channels or told != channels or last not in (0, 4 * channels) or ends[-1] > len(blob):
            raise SnapshotError(f"the snapshot's clock is not of a stream with {channels} channels")
        self.watch.restore(blob[ends[3] :])
        self.keys.restore(blob[ends[2] : ends[3]])
        self.counters = Counters(*sums)
        self._next, self._run, self._run_lost = next_, run, run_lost
        mask = int.from_bytes(blob[ends[0] : ends[1]], "little")
        self._faulty = frozenset(channel for channel in range(channels) if mask >> channel & 1)
        self._last = np.frombuffer(blob[ends[1] : ends[2]], "<f4").astype(np.float32) if last else None
