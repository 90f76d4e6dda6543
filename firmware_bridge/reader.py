"""A sensor at the end of a port as a stream of samples or lines, through outages and reboots.

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

from .link import Link, Opened
from .messages import Data, Info, Log, Role
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

    `seq` (n,) counts on through reboots, `t_ns` (n,) is the board's time since the first sample.
    """

    rows: npt.NDArray[np.int16]
    scale: float
    seq: npt.NDArray[np.int64]
    t_ns: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Text:
    """Bytes of a board that prints lines; `fresh`: the port was opened anew, half a line may come first."""

    data: bytes
    fresh: bool


class Reader:
    """Iterate to get Samples or Text; ends when `stop` is set. Raises LinkError for a board that sends no samples."""

    def __init__(self, port: Port, clock_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self.port = port
        self.link = Link()
        self.stop = False
        self.warnings: list[str] = []
        self._clock_ns = clock_ns
        self._opened = 0
        self._next_seq = 0
        self._offset = 0  # what is added to a board's sample numbers
        self._heard_ns = 0  # when the last sample came
        self._origin_ns: int | None = None
        self._shift_ns = 0

    @property
    def info(self) -> Info | None:
        """What the board said of itself."""
        return self.link.info

    def __iter__(self) -> Iterator[Samples | Text]:
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
                if self.link.info and now >= sync_at:
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

    def _frames(self, data: bytes, now: int) -> Iterator[Samples]:
        for event in self.link.feed(data, now):
            if isinstance(event, Opened):
                self._welcome(event, now)
            elif isinstance(event, Log):
                log.info("%s says: %s", self.port.name, event.text)
            elif isinstance(event, Data):
                yield self._samples(event, now)

    def _welcome(self, opened: Opened, now: int) -> None:
        info = opened.info
        if info.role != Role.SENSOR:
            raise LinkError(f"the board at {self.port.name} is {Role(info.role).name.lower()}, it sends no samples")
        if info.channels == 0:
            raise SourceError(f"the board at {self.port.name} says that it has no channels: its firmware is wrong")
        if opened.fresh and self._next_seq:
            away = round((now - self._heard_ns) * info.rate_mhz / 1e12)
            self._offset = self._next_seq + away - info.steps
            self._origin_ns = None
            self._shift_ns += now - self._heard_ns

    def _samples(self, data: Data, now: int) -> Samples:
        info, clock = self.link.info, self.link.clock
        assert info is not None
        assert clock is not None
        rows = np.frombuffer(data.samples, "<i2").reshape(data.rows, -1)
        if rows.shape[1] != info.channels:
            raise LinkError(f"DATA has {rows.shape[1]} channels, the board said {info.channels}: its firmware is wrong")
        first = max(data.first + self._offset, self._next_seq)
        period_ns = 1e12 / info.rate_mhz if info.rate_mhz else 0.0
        t0 = clock.board_ns(data.t0)
        if self._origin_ns is None:
            self._origin_ns = t0 - self._shift_ns
        steps = np.arange(data.rows)
        self._next_seq, self._heard_ns = first + data.rows, now
        self._shift_ns = t0 - self._origin_ns
        t_ns = self._shift_ns + np.rint(steps * period_ns).astype(np.int64)
        return Samples(rows, info.scale, first + steps, t_ns)
