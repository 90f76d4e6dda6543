"""A board at the end of a port as a stream of samples, results or lines, through outages and reboots.

It must never number two samples alike: after a reboot the numbers go on behind a hole that is as long as the host's
clock says. It writes to a board only what docs/wire.md has a host write.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_rnn.errors import LinkError, SourceError

from .clock import ClockSync
from .link import Link, Opened
from .messages import Data, Info, Log, Result, Role
from .port import Port
from .sniff import Sniffer

log = logging.getLogger("edge_rnn.serial")

MUTE_NS = 2_000_000_000
"""Bytes that make neither frames nor lines for this long are reported."""
SYNC_NS = 1_000_000_000
IDLE_S = 0.25


@dataclass(frozen=True, slots=True)
class Samples:
    """Rows (n, channels) int16; value = row * scale.

    `seq` (n,) counts on through reboots, `t_ns` (n,) is the time since the first sample, by the board's
    clock with its drift taken out.
    """

    rows: npt.NDArray[np.int16]
    scale: float
    seq: npt.NDArray[np.int64]
    t_ns: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Steps:
    """Results of a board that infers on its own samples: logits (C,) int32 Q16, and `step`, since its state was zero.

    `seq` and `t_ns` as for samples.
    """

    logits: npt.NDArray[np.int32]
    step: int
    seq: int
    t_ns: int


@dataclass(frozen=True, slots=True)
class Text:
    """Bytes of a board that prints lines; `fresh`: the port was opened anew, half a line may come first."""

    data: bytes
    fresh: bool


class Reader:
    """Iterate to get Samples or Text, of a NODE Steps; ends when `stop` is set. LinkError: a board of another role."""

    def __init__(
        self,
        port: Port,
        clock_ns: Callable[[], int] = time.monotonic_ns,
        *,
        role: Role = Role.SENSOR,
        model_hash: int | None = None,
    ) -> None:
        self.port = port
        self.link = Link(model_hash)
        self._role = role
        self.stop = False
        self.info: Info | None = None
        """What the board said of itself, last."""
        self.warnings: list[str] = []
        self._clock = ClockSync(1)  # of the session whose frames come now; the link may be ahead
        self._clock_ns = clock_ns
        self._opened = 0
        self._next_seq = 0
        self._offset = 0  # what is added to a board's sample numbers
        self._heard_ns = 0  # when the last sample came
        self._origin_ns: int | None = None
        self._shift_ns = 0

    def __iter__(self) -> Iterator[Samples | Steps | Text]:
        """Samples as they come, for as long as nobody stops it."""
        sniffer, lines, fresh, since, sync_at = Sniffer(), False, True, 0, 0
        while not self.stop:
            if self.port.up and self.port.opened != self._opened:
                self._opened = self.port.opened
                sniffer, lines, fresh, since = Sniffer(), False, True, self._clock_ns()
                self.link.open(since)
            now = self._clock_ns()
            if not lines and self.port.up:
                self.link.tick(now)
                if self.link.info is not None and now >= sync_at:
                    sync_at = now + SYNC_NS
                    self.link.sync(now)
                if out := self.link.take():
                    self.port.write(out)
            data = self.port.read(self._patience() if self.port.up else IDLE_S)
            if not data:
                continue
            if lines:
                yield Text(data, fresh)
                fresh = False
                continue
            now = self._clock_ns()
            yield from self._frames(data, now)
            if self.link.decoder.accepted == 0:
                lines = sniffer.feed(data) == "lines"
                if lines:
                    yield Text(sniffer.held, fresh)
                    fresh = False
                else:
                    self._complain(sniffer, now - since)

    def _patience(self) -> float:
        due = self.link.deadline_ns
        wait = IDLE_S if due is None else (due - self._clock_ns()) / 1e9
        return min(max(wait, 0.0), IDLE_S)

    def _complain(self, sniffer: Sniffer, waited_ns: int) -> None:
        """Once for each opening: something comes, but nothing that can be read."""
        if waited_ns > MUTE_NS and sniffer.seen and self.link.decoder.accepted == 0 and not sniffer.text:
            message = f"{self.port.name} sends bytes but no frames and no lines: is {self.port.baud} the baud rate?"
            sniffer.seen = 0
            if message not in self.warnings:
                self.warnings.append(message)
                log.warning(message)

    def _frames(self, data: bytes, now: int) -> Iterator[Samples | Steps]:
        for event in self.link.feed(data, now):
            if isinstance(event, Opened):
                self._welcome(event, now)
            elif isinstance(event, Log):
                log.info("%s says: %s", self.port.name, event.text)
            elif isinstance(event, Data):
                yield self._samples(event, now)
            elif isinstance(event, Result):
                yield self._step(event, now)

    def _welcome(self, opened: Opened, now: int) -> None:
        info = opened.info
        self.info, self._clock = info, opened.clock
        if info.role != self._role:
            role, expected = Role(info.role).name.lower(), self._role.name.lower()
            raise LinkError(f"the board at {self.port.name} is built with --role {role}, expected {expected}")
        if info.channels == 0:
            raise SourceError(f"the board at {self.port.name} says that it has no channels: its firmware is wrong")
        if opened.fresh and self._next_seq:
            away = round((now - self._heard_ns) * info.rate_mhz / 1e12)
            self._offset = self._next_seq + away - info.steps
            self._origin_ns = None
            self._shift_ns += now - self._heard_ns

    def _samples(self, data: Data, now: int) -> Samples:
        info = self.info
        assert info is not None  # no sample comes before Opened
        rows = np.frombuffer(data.samples, "<i2").reshape(data.rows, -1)
        if rows.shape[1] != info.channels:
            raise LinkError(f"DATA has {rows.shape[1]} channels, the board said {info.channels}: its firmware is wrong")
        period_ns = 1e12 / info.rate_mhz if info.rate_mhz else 0.0
        first, t_ns = self._place(data.t0, data.first, data.rows, now)
        steps = np.arange(data.rows)
        return Samples(rows, info.scale, first + steps, t_ns + np.rint(steps * period_ns).astype(np.int64))

    def _step(self, result: Result, now: int) -> Steps:
        info = self.info
        assert info is not None
        if result.logits is None or len(result.logits) != info.outputs:
            raise LinkError(f"RESULT has no {info.outputs} logits, as the board said: its firmware is wrong")
        seq, t_ns = self._place(result.t, result.step, 1, now)
        return Steps(np.array(result.logits, np.int32), result.step, seq, t_ns)

    def _place(self, ticks: int, number: int, rows: int, now: int) -> tuple[int, int]:
        """Number and time of the first of `rows` samples, going on through reboots."""
        # A board that is back sooner than the clocks say: its numbers follow on, later holes stay as long as they are.
        self._offset = max(self._offset, self._next_seq - number)
        first = number + self._offset
        elapsed = self._clock.elapsed_ns(ticks)
        if self._origin_ns is None:
            self._origin_ns = elapsed - self._shift_ns
        self._next_seq, self._heard_ns = first + rows, now
        self._shift_ns = elapsed - self._origin_ns
        return first, self._shift_ns
