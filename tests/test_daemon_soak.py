"""R9: hours of samples through a daemon: memory, descriptors and threads stay what they were, and the state is right.

EDGE_RNN_SOAK_SAMPLES sets how many samples each stream gets (default 50,000; a day at 1 kHz is 86.4 million),
EDGE_RNN_SOAK_STREAMS how many streams there are (32).
"""

import mmap
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from daemon_load import DETECTOR
from daemon_rig import write_model
from test_daemon_service import Tap
from waiting import until

from edge_rnn.daemon.config import parse_config
from edge_rnn.daemon.service import Service
from edge_rnn.engine import State
from edge_rnn.model import load

SAMPLES = int(os.environ.get("EDGE_RNN_SOAK_SAMPLES", "50000"))
STREAMS, BLOCK = int(os.environ.get("EDGE_RNN_SOAK_STREAMS", "32")), 1000 if SAMPLES < 1_000_000 else 10_000
SMALL = 200
"""So many of a block come apart, and are stepped side by side with those of the other streams."""
pytestmark = pytest.mark.slow


def resources():
    """Bytes of memory, descriptors, threads."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE"), len(os.listdir("/proc/self/fd")), threading.active_count()


def slow_noise(blocks, seed):
    rng = np.random.default_rng(seed)
    x = np.repeat(rng.normal(0, 2.0, (blocks * 2, 3)), BLOCK // 2, axis=0)
    return (x + rng.normal(0, 0.2, x.shape)).astype(np.float32)


def soak(folder, samples, leak=None):
    """Growth of memory in bytes, of descriptors and of threads; the states' bytes, and those of the reference."""
    model = write_model(folder / "rig.ernn", 1000.0, detector=DETECTOR)
    text = "".join(
        f'[[source]]\nid = "s{i}"\nurl = "udp://nowhere:{i + 1}"\nbuffer_samples = 100000\n'
        f'[[pipeline]]\nid = "p{i}"\nsource = "s{i}"\nmodel = "{model}"\n'
        for i in range(STREAMS)
    )
    text += f'[[sink]]\nurl = "/dev/null"\n[service]\nstate_dir = "{folder}/state"\n'
    taps = {f"s{i}": Tap() for i in range(STREAMS)}
    service = Service(parse_config(text.encode()), lambda source, channels: taps[source.id].open(source, channels))
    service.start()
    lanes = [unit.lanes[0] for unit in service.units.values()]
    x = [slow_noise(20, i) for i in range(STREAMS)]
    steps, early, given = samples // BLOCK, max(samples // BLOCK // 4, 20), 0
    for step in range(steps):
        if step == early:
            before = resources()
        at = step % 20 * BLOCK
        for a, b in ((at, at + BLOCK - SMALL), (at + BLOCK - SMALL, at + BLOCK)):
            for i, tap in enumerate(taps.values()):
                tap.give(x[i][a:b])
            given += b - a
            assert until(lambda given=given: all(lane.stream.counters.received == given for lane in lanes), 60)
        if leak is not None:
            # pages of its own: what malloc gives may have been resident, freed by a test before
            leak.append(mmap.mmap(-1, 1 << 20))
            leak[-1].write(b"x" * (1 << 20))
    after = resources()
    assert all(lane.ring.dropped == 0 for lane in lanes)
    assert sum(lane.events.total() for lane in lanes) > samples // 10_000
    states = [lane.stream.state.to_bytes() for lane in lanes]
    assert service.stop()
    # the reference: the bare engine over the same samples, without daemon, gaps or detector
    bare, wanted = load(model), []
    logits = np.empty((20 * BLOCK, bare.outputs), np.float32)
    for mine in x:
        state = State(bare.manifest.states)
        for _ in range(steps // 20):
            bare.engine.run(mine, state, logits)
        bare.engine.run(mine[: steps % 20 * BLOCK], state, logits[: steps % 20 * BLOCK])
        wanted.append(state.to_bytes())
    states_of = {}
    for engine in ("numpy", bare.engine.name):
        check = load(model, engine).stream()
        check.push(x[0][: 5 * BLOCK])
        states_of[engine] = check.state.to_bytes()
    assert len(set(states_of.values())) == 1, "NumPy and the engine of this run agree"
    return [b - a for a, b in zip(before, after, strict=True)], states, wanted


def test_r9_a_soak_leaks_nothing(tmp_path, capsys):
    growth, states, wanted = soak(tmp_path, SAMPLES)
    with capsys.disabled():
        memory, descriptors, threads = growth[0] / 2**20, *growth[1:]
        what = f"memory {memory:+.2f} MiB, descriptors {descriptors:+d}, threads {threads:+d}"
        print(f"\nR9: {SAMPLES * STREAMS:,} samples: {what}")
    assert states == wanted
    assert growth[0] < 1 << 20
    assert max(growth[1:]) <= 0  # less: what a test before left has ended


def test_r9_sees_a_leak(tmp_path):
    """The negative control."""
    growth, _, _ = soak(tmp_path, 40 * BLOCK, leak=[])
    assert growth[0] > 1 << 20
