"""A board's oscillator against the host's clock, in simulated time."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pytest
from edge_rnn.firmware_bridge.board import Board
from edge_rnn.firmware_bridge.clock import ClockSync
from edge_rnn.firmware_bridge.reader import Reader
from lossy_wire import sensor_info

SECOND = 1_000_000_000


def followed(drift_ppm: float, seconds: int, tick_hz: int = 1_000_000, seed: int = 0, boot_ticks: int = 0):
    """Samples at 10 Hz and an exchange a second over a jittering line: elapsed times and the true ones, ns."""
    rng, clock, told, true = random.Random(seed), ClockSync(tick_hz), [], []

    def ticks(now_ns):
        return (boot_ticks + int(now_ns / (1 + drift_ppm / 1e6) * tick_hz / SECOND)) & 0xFFFFFFFF

    for tenth in range(10 * seconds):
        now = tenth * SECOND // 10
        if tenth % 10 == 0:
            down, up = (1_000_000 + int(rng.expovariate(1 / 2e6)) for _ in range(2))
            clock.add(now, ticks(now + down), ticks(now + down), now + down + up)
        told.append(clock.elapsed_ns(ticks(now)))
        true.append(now)
    return np.array(told), np.array(true)


@pytest.mark.parametrize("drift_ppm", [0, 80, -150, 5000])
@pytest.mark.parametrize("tick_hz", [1_000_000, 32_768])
def test_elapsed_time_is_the_hosts_whatever_the_boards_oscillator_does(drift_ppm, tick_hz):
    told, true = followed(drift_ppm, 600, tick_hz)
    error_ms = np.abs(told - true) / 1e6
    assert error_ms[600:].max() < 4, "after a minute, of 600 s; the line's own jitter is 2 ms"
    assert error_ms[:600].max() < 4 + abs(drift_ppm) * 0.015
    assert abs(drift_ppm) * 0.6 < 4 or abs(told[-1] / (1 + drift_ppm / 1e6) - true[-1]) / 1e6 > 20, "a control"
    assert np.diff(told).min() > 0, "time never goes back"


def test_elapsed_time_goes_on_when_the_tick_counter_wraps():
    told, true = followed(50, 30, tick_hz=25_000_000, boot_ticks=0xFFFFFFFF - 100_000_000)
    assert np.abs(told - true).max() / 1e6 < 4


class SimulatedPort:
    """As much of a Port as a Reader needs, to a board in simulated time whose oscillator is slow by `drift_ppm`."""

    name, baud, up, opened = "simulated", 115200, True, 1

    def __init__(self, drift_ppm: float) -> None:
        self.now_ns, self.slow = 0, 1 + drift_ppm / 1e6
        self.board = Board(sensor_info(), slots=4)
        self.sent, self.row = b"", 1

    def write(self, data):
        self.sent += data

    def read(self, _):
        self.now_ns += 2_000_000
        self.board.feed(self.sent, self.ticks)
        self.sent = b""
        self.now_ns += 8_000_000
        self.board.push((self.row, 2, 3), self.ticks)
        self.row += 1
        out, self.board.out = bytes(self.board.out), bytearray()
        return out

    @property
    def ticks(self):
        return int(self.now_ns / self.slow) // 1000 & 0xFFFFFFFF


def test_samples_carry_the_hosts_time_of_a_board_that_runs_slow():
    port = SimulatedPort(3000)
    reader, began, error_ms = Reader(port, clock_ns=lambda: port.now_ns), None, []
    for piece in reader:
        began = int(piece.seq[0]) if began is None else began
        error_ms.append(int(piece.t_ns[-1]) / 1e6 - 10 * (int(piece.seq[-1]) - began))
        reader.stop = port.now_ns > 60 * SECOND
    assert len(error_ms) > 5000
    assert max(abs(e) for e in error_ms) < 30, "until the drift is known; 180 ms by the board's own clock"
    assert max(abs(e) for e in error_ms[2500:]) < 5


def test_a_reboot_in_the_middle_of_what_was_read_is_survived():
    """A board's last samples and the word that it has booted in one read: neither is lost."""
    port = SimulatedPort(0)
    reader, seqs = Reader(port, clock_ns=lambda: port.now_ns), []
    for piece in reader:
        seqs += piece.seq.tolist()
        if len(seqs) == 100:
            old, port.board = port.board, Board(sensor_info(), slots=4)
            old.push((1, 2, 3), port.ticks)
            port.board.out = old.out
            port.board.boot()
        reader.stop = len(seqs) >= 200
    assert reader.link.counters.reopened == 1
    assert seqs == sorted(set(seqs))


def test_a_hole_after_a_reboot_is_as_long_as_it_is_even_where_the_clocks_disagree():
    """The board is back with more samples than the host's clock gives it time for, and later overwrites some."""
    port = SimulatedPort(0)
    reader, pieces = Reader(port, clock_ns=lambda: port.now_ns), []
    for piece in reader:
        pieces += zip(piece.seq.tolist(), piece.rows[:, 0].tolist(), strict=True)
        if len(pieces) == 50:
            port.board = Board(sensor_info(), slots=32)
            for row in range(1000, 1020):  # in no time
                port.board.push((row, 0, 0), port.ticks)
            port.row = 1020
            port.board.boot()
        if len(pieces) == 120:
            port.board._samples += 7  # as many were overwritten
            port.row += 7
        reader.stop = len(pieces) >= 160
    after = [(seq, row) for seq, row in pieces if row >= 1000]
    assert after[0][1] == 1000
    assert len({seq - row for seq, row in after}) == 1, "numbers and samples move together"
    assert any(b - a == 8 for (a, _), (b, _) in pairwise(after))
