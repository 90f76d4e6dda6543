"""A simulated board in a thread, for tests of ports and sources."""

from __future__ import annotations

import threading
from contextlib import contextmanager

from edge_rnn.firmware_bridge.board import Board
from edge_rnn.firmware_bridge.messages import Role
from edge_rnn.firmware_bridge.port import Port
from edge_rnn.firmware_bridge.simulator import Mischief, Simulator
from lossy_wire import make_board, sensor_info
from waiting import until

from edge_rnn.errors import SourceError


def counting(channels: int = 3):
    """Rows whose values tell their number."""
    number = 0
    while True:
        yield tuple((number + i) & 0x7FFF for i in range(channels))
        number += 1


class Simulated(Simulator):
    """With what a test may know of its board."""

    @property
    def overwritten(self):
        """Samples that the board's ring had no room for."""
        return self._board.stats.dropped_by_producer


class Turns:
    """A board's clock that its own work moves, not the machine's: between two reboots it always does as much.

    By the wall clock a slow machine would have more of them than it can recover from.
    """

    def __init__(self, look_s=0.00025):
        self.now, self.look_s = 0.0, look_s

    def __call__(self):
        self.now += self.look_s
        return self.now


@contextmanager
def running(simulator):
    """It runs in a thread of its own, and is there when the block begins."""
    thread = threading.Thread(target=simulator.run, daemon=True)
    thread.start()
    try:
        assert until(simulator.path.exists), "the board was never plugged in"
        yield simulator
    finally:
        simulator.stop = True
        thread.join(30)
        assert not thread.is_alive()


def opened(url):
    """A port, whose board may be unplugged at this very moment."""

    def attempt():
        try:
            return Port(url)
        except SourceError:
            return None

    port = until(attempt)
    assert port is not None, f"nobody came to {url}"
    return port


@contextmanager
def board_on_a_pty(path, *, period_s=0.005, rows=None, csv=None, role=Role.SENSOR, **mischief):
    """A board that streams; the simulator is stopped and joined at the end."""

    def make() -> Board:
        if role == Role.SENSOR:
            return Board(sensor_info(rate_mhz=round(1000 / period_s)), slots=4)
        return make_board(role)

    with running(Simulated(make, rows or counting(), period_s, path, Mischief(**mischief), csv)) as simulator:
        yield simulator
