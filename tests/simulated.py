"""A simulated board in a thread, for tests of ports and sources."""

from __future__ import annotations

import threading
from contextlib import contextmanager

from edge_rnn.firmware_bridge.board import Board
from edge_rnn.firmware_bridge.messages import Role
from edge_rnn.firmware_bridge.simulator import Mischief, Simulator
from lossy_wire import make_board, sensor_info


def counting(channels: int = 3):
    """Rows whose values tell their number."""
    number = 0
    while True:
        yield tuple((number + i) & 0x7FFF for i in range(channels))
        number += 1


@contextmanager
def board_on_a_pty(path, *, period_s=0.005, rows=None, csv=None, role=Role.SENSOR, **mischief):
    """A board that streams; the simulator is stopped and joined at the end."""

    def make() -> Board:
        if role == Role.SENSOR:
            return Board(sensor_info(rate_mhz=round(1000 / period_s)), slots=4)
        return make_board(role)

    simulator = Simulator(make, rows or counting(), period_s, path, Mischief(**mischief), csv)
    thread = threading.Thread(target=simulator.run, daemon=True)
    thread.start()
    try:
        for _ in range(200):
            if path.exists():
                break
            threading.Event().wait(0.01)
        yield simulator
    finally:
        simulator.stop = True
        thread.join(5)
        assert not thread.is_alive()
