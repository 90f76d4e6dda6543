"""R14 and R15 in full size: system clocks that lie, and every kind of bad sample. Each with its control.

A promise is a function of a folder that gives (tried, found, control, held).
"""

from __future__ import annotations

import os
import sys
import time
from itertools import product
from pathlib import Path

import numpy as np

TESTS = Path(__file__).parent.parent / "tests"
sys.path.insert(0, str(TESTS))
Held = tuple[str, str, str, bool]


def r14_clocks(folder: Path) -> Held:
    """Real processes under an LD_PRELOAD shim of the system clock: every line the same."""
    from wrong_clocks import CLOCKS, WAYS, WrongClocks, lies

    rig = WrongClocks(folder)
    honest = all(lies(rig, clock) for clock in CLOCKS)
    same = 0
    for way in WAYS:
        truth = getattr(rig, way)("true")
        same += sum(getattr(rig, way)(clock) == truth for clock in CLOCKS[1:])
    tried = len(WAYS) * (len(CLOCKS) - 1)
    gaps = sum("Gap" in rig.control(clock) for clock in ("steps", "suspend"))
    return (
        f"{tried} runs: {', '.join(WAYS)} under 1970, steps of an hour, a suspend, a clock that runs backwards",
        f"{same} of {tried} give the same lines",
        f"a feeder that takes the system clock for the samples' times: led astray in {gaps} of 2",
        honest and same == tried and gaps == 2,
    )


def r15_patterns(_: Path) -> Held:
    """10^7 random bit patterns of a float, and stuck, saturated and denormal stretches: the state stays finite."""
    from conftest import model_of, random_float_graph

    from edge_rnn.manifest import Channel

    patterns, began = int(os.environ.get("EDGE_RNN_R15_PATTERNS", "10000000")), time.monotonic()
    finite, counted = True, 0
    rng = np.random.default_rng(15)
    channels = tuple(Channel(f"c{i}", "g", 0.0, 1.0, -4.0, 4.0, constant=10) for i in range(3))
    models = [model_of(random_float_graph(kind=kind), channels=channels) for kind in ("gru", "lstm", "rnn")]
    streams = [model.stream(detector={}) for model in models]
    with np.errstate(all="ignore"):
        for number in range(-(-patterns // (3 * 30_000))):
            for stream in streams:
                stream.push(_hostile(rng, 30_000, number))
                finite &= all(bool(np.isfinite(a).all()) for a in stream.state.arrays)
                counted += 30_000
        corners = [3e38 * np.array([signs], np.float32) for signs in product((1, -1), repeat=3)]
        control = sum(not np.isfinite(model.run(corner)).all() for model in models for corner in corners)
    c = [stream.counters for stream in streams]
    sums = all(one.received == one.used + one.duplicate + one.bad + one.late for one in c)
    used, bad = sum(one.used for one in c), sum(one.bad for one in c)
    return (
        f"{counted:,} samples of random bits and of saturated, stuck and denormal stretches; GRU, LSTM, RNN",
        f"{bad:,} kept out, {used:,} used, the state finite after every 30,000 ({time.monotonic() - began:.0f} s)",
        f"without the guard a sample of 3e38 makes {control} of {len(models) * len(corners)} runs NaN or infinite",
        finite and sums and used > 0 and bad > 0 and control > 0,
    )


def _hostile(rng: np.random.Generator, rows: int, number: int) -> np.ndarray:
    """Random bits in one channel, in all for half of the rows; now and then a stretch that is stuck or denormal."""
    x = rng.integers(0, 1 << 32, (rows, 3), dtype=np.uint32).view(np.float32).copy()
    x[rng.random(rows) < 0.5, 1:] = 0.5
    at = rng.integers(0, rows - 200)
    x[at : at + 200] = (4.0, 9.0, 1e-42)[number % 3]
    return x


PROMISES = {"R14": r14_clocks, "R15": r15_patterns}
