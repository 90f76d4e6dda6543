"""R6: a board on a pty is pulled, renamed and plugged in again; how soon its samples are back, and what leaks."""

from __future__ import annotations

import gc
import os
import threading
import time

import numpy as np
from edge_rnn.firmware_bridge.board import Board
from edge_rnn.firmware_bridge.port import Port
from edge_rnn.firmware_bridge.reader import Reader
from edge_rnn.firmware_bridge.simulator import Mischief, Simulator
from lossy_wire import sensor_info
from simulated import counting


def replug(folder, cycles: int, patience_s: float | None = None) -> dict:
    """R6: pull, rename and plug in so often; the time from the node's appearance to the first sample."""
    board_rate = Board(sensor_info(rate_mhz=1_000_000), slots=4)
    simulator = Simulator(lambda: board_rate, counting(), 0.001, folder / "board", Mischief(rename=True))
    simulator.plug()
    rng = np.random.default_rng(0)
    stop = threading.Event()

    appeared = [0.0]
    heard = threading.Event()

    def board():
        simulator._board.boot()
        for _ in range(cycles):
            for _ in range(3):
                simulator.push(next(simulator.rows))
                simulator.serve(0.001)
            until = time.perf_counter() + 10
            while not heard.is_set() and time.perf_counter() < until and not stop.is_set():
                simulator.push(next(simulator.rows))
                simulator.serve(0.001)
            if stop.is_set():
                return
            simulator.unplug()
            time.sleep(float(rng.uniform(0.0, 0.03)))
            heard.clear()
            simulator.plug()
            appeared[0] = time.perf_counter()
        stop.set()

    reader = Reader(Port(f"serial://{folder / 'board'}*"))
    gc.collect()
    before = (len(os.listdir("/proc/self/fd")), threading.active_count(), resident())
    thread = threading.Thread(target=board, daemon=True)
    thread.start()
    times, opened = [], 0
    patience = threading.Timer(patience_s or 5 + cycles, lambda: setattr(reader, "stop", True))
    patience.start()
    for _piece in reader:
        if reader.port.opened != opened:
            opened = reader.port.opened
            if appeared[0]:
                times.append(time.perf_counter() - appeared[0])
            heard.set()
        if len(times) >= cycles - 1 or stop.is_set():
            break
    failed = int(reader.stop)
    patience.cancel()
    patience.join()
    stop.set()
    heard.set()
    thread.join(15)
    gc.collect()
    after = (len(os.listdir("/proc/self/fd")), threading.active_count(), resident())
    reader.port.close()
    simulator.unplug()
    ms = np.array(times or [1e9]) * 1e3
    return {
        "cycles": len(times),
        "failed": failed,
        "p50_ms": float(np.percentile(ms, 50)),
        "p99_ms": float(np.percentile(ms, 99)),
        "max_ms": float(ms.max()),
        "fds_grown": after[0] - before[0],
        "threads_grown": after[1] - before[1],
        "rss_grown_kb": after[2] - before[2],
    }


def resident() -> int:
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))
