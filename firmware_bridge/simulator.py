"""A board on a pty that streams a recording and misbehaves on a seed. Its wire is the Python board's (board.py).

A simulation: a pty has no baud rate and loses nothing by itself; the mischief is ours. It must never misbehave in a way
that the seed does not repeat, as far as that does not hang on the host's timing.
"""

from __future__ import annotations

import os
import random
import select
import time
import tty
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .board import Board

Row = tuple[int, ...]
CATCH_UP = 8
"""So many overdue samples in a row at most: a machine too slow for the rate still answers."""


@dataclass(frozen=True, slots=True)
class Mischief:
    """What goes wrong, all of it off by default."""

    drop: float = 0.0
    """Share of frames (or lines) that are lost, in each direction."""
    corrupt: float = 0.0
    """Share of frames in which a bit is flipped, in each direction."""
    duplicate: float = 0.0
    """Share of frames that come twice, in each direction."""
    jitter_s: float = 0.0
    """Each sample is late by a uniform time up to this."""
    drift_ppm: float = 0.0
    """How much the board's clock runs slow."""
    disconnect_s: float = 0.0
    """Mean time between pulled cables; 0 for never."""
    away_s: float = 0.5
    """How long a cable stays out."""
    reboot_s: float = 0.0
    """Mean time between reboots; 0 for never."""
    rename: bool = False
    """The device comes back under another name: PATH-1, PATH-2 ..."""
    seed: int = 0


@dataclass
class Simulator:
    """One simulated board. `make_board` gives a freshly booted one, `rows` its samples, each `period_s` apart.

    `path` is a link to the pty while the cable is in. `csv` prints lines instead of speaking the wire.
    """

    make_board: Callable[[], Board]
    rows: Iterator[Row]
    period_s: float
    path: Path
    mischief: Mischief = field(default_factory=Mischief)
    csv: Callable[[Row], str] | None = None
    clock: Callable[[], float] = time.monotonic
    stop: bool = False
    counts: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._rng = random.Random(self.mischief.seed)
        self._name = self.path
        self._master = self._slave = -1
        self._plugs = 0
        self._down = self._up = b""
        self._board = self.make_board()
        self._booted = self.clock()

    @property
    def name(self) -> Path:
        """The link that leads to the board now."""
        return self._name

    @property
    def plugged(self) -> bool:
        """Whether the cable is in."""
        return self._master >= 0

    def run(self, seconds: float | None = None) -> None:
        """Be a board until `stop`, or for so long; leaves no link behind."""
        began = due = self.clock()
        pull, reboot = self._draw(self.mischief.disconnect_s), self._draw(self.mischief.reboot_s)
        self.plug()
        try:
            while not self.stop and (seconds is None or self.clock() - began < seconds):
                now = self.clock()
                if now - began >= pull and self.plugged:
                    self.unplug()
                elif now - began >= pull + self.mischief.away_s:
                    self.plug()
                    pull = now - began + self._draw(self.mischief.disconnect_s)
                if now - began >= reboot:
                    self.reboot()
                    reboot = now - began + self._draw(self.mischief.reboot_s)
                for _ in range(CATCH_UP):
                    if self.clock() < due:
                        break
                    self._sample()
                    due += self.period_s * (1 + self.mischief.drift_ppm / 1e6)
                late = self._rng.random() * self.mischief.jitter_s
                self.serve(min(max(due - self.clock(), 0.0) + late, 0.1))
        finally:
            self.unplug()

    def plug(self) -> None:
        """Put the cable in: a new pty, the link leads to it."""
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        if self.mischief.rename and self._plugs:
            self._name = self.path.with_name(f"{self.path.name}-{self._plugs}")
        self._plugs += 1
        fresh = self._name.with_name(self._name.name + ".new")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(os.ttyname(self._slave))
        fresh.rename(self._name)

    def unplug(self) -> None:
        """Pull the cable: what is in it is lost."""
        if not self.plugged:
            return
        self._name.unlink(missing_ok=True)
        os.close(self._slave)
        os.close(self._master)
        self._master = self._slave = -1
        self._down = self._up = b""
        self._count("disconnects")

    def reboot(self) -> None:
        """Begin anew with no session, no state and a clock of zero."""
        self._board = self.make_board()
        self._booted = self.clock()
        self._count("reboots")
        if self.csv is None:
            self._board.boot()

    def serve(self, timeout_s: float) -> None:
        """Answer what comes within `timeout_s`."""
        self._flush()
        if not self.plugged:
            time.sleep(timeout_s)
            return
        ready, _, _ = select.select([self._master], [], [], timeout_s)
        if ready:
            try:
                data = os.read(self._master, 4096)
            except OSError:  # nobody has the other side open
                return
            if self.csv is None:
                whole, self._down = self._mangle(self._down + data)
                self._board.feed(whole, self._ticks())
                self._flush()

    def push(self, row: Row) -> None:
        """A sample was measured now."""
        self._count("samples")
        if self.csv is not None:
            self._up += self.csv(row).encode() + b"\n"
        else:
            self._board.push(row, self._ticks())

    def _sample(self) -> None:
        if self.csv is None and self._board.slots == 0:  # it infers on the host's samples
            return
        row = next(self.rows, None)
        if row is None:
            self.stop = True
        else:
            self.push(row)

    def _ticks(self) -> int:
        elapsed = (self.clock() - self._booted) / (1 + self.mischief.drift_ppm / 1e6)
        return int(elapsed * self._board.info.tick_hz) & 0xFFFFFFFF

    def _flush(self) -> None:
        if not self.plugged:
            self._board.out.clear()
            return
        self._up += bytes(self._board.out)
        self._board.out.clear()
        whole, self._up = self._mangle(self._up)
        if whole:
            try:
                taken = os.write(self._master, whole)
            except BlockingIOError:
                taken = 0
            self._count("bytes_nobody_took", len(whole) - taken)

    def _mangle(self, data: bytes) -> tuple[bytes, bytes]:
        """Do the mischief to whole frames or lines; give them and what is left of the last."""
        end = b"\0" if self.csv is None else b"\n"
        *pieces, rest = data.split(end)
        m, rng, out = self.mischief, self._rng, []
        for piece in pieces:
            unit = piece + end
            if rng.random() < m.drop:
                self._count("dropped")
                continue
            if rng.random() < m.corrupt:
                at = rng.randrange(len(unit))
                unit = unit[:at] + bytes([unit[at] ^ (1 << rng.randrange(8))]) + unit[at + 1 :]
                self._count("corrupted")
            if rng.random() < m.duplicate:
                unit *= 2
                self._count("duplicated")
            out.append(unit)
        return b"".join(out), rest[-4096:]

    def _draw(self, mean_s: float) -> float:
        return self._rng.uniform(0.5, 1.5) * mean_s if mean_s else float("inf")

    def _count(self, what: str, by: int = 1) -> None:
        if by:
            self.counts[what] = self.counts.get(what, 0) + by


def repeated(rows: Sequence[Row], times: int | None = None) -> Iterator[Row]:
    """The rows again and again."""
    count = 0
    while times is None or count < times:
        yield from rows
        count += 1
