"""R3: SIGKILL at random points loses no acknowledged event, doubles none, and the state is bit-exact.

EDGE_RNN_KILLS sets how many (default 100; the full promise is 1,000), EDGE_RNN_STARTS how many starts are timed.
"""

import os
import random
import re
import subprocess
import time

import pytest
from daemon_rig import COMMAND, Zygote, complaints, told, write_config, write_model, write_recording

KILLS = int(os.environ.get("EDGE_RNN_KILLS", "100"))
STARTS = int(os.environ.get("EDGE_RNN_STARTS", "8"))
SEED = 3


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model") / "rig.ernn")


def round_of_kills(folder, model, kills, rng, control="", samples=100_000):
    """Kill a daemon again and again until its recording is done. Returns kills made, and what was found wrong."""
    recording = write_recording(folder / "x.npz", samples, rng.randrange(1 << 30))
    config = write_config(folder, source=recording, model=model, sink=f'url = "{folder / "out.jsonl"}"')
    out, zygote, made, acknowledged = folder / "out.jsonl", Zygote(control), 0, set()
    try:
        while made < kills:
            code = zygote.run(config, lambda: time.sleep(rng.uniform(0.0, 0.35)))
            if code is not None:
                break
            made += 1
            acknowledged |= told(out)
        assert zygote.run(config, None) == 0
    finally:
        zygote.close()
    return made, complaints(folder / "state", model, recording, out, acknowledged)


@pytest.mark.slow
def test_r3_kill_9_loses_nothing_and_the_state_is_bit_exact(tmp_path, model, capsys):
    rng, made, rounds = random.Random(SEED), 0, 0
    while made < KILLS:
        folder = tmp_path / str(rounds)
        folder.mkdir()
        killed, wrong = round_of_kills(folder, model, KILLS - made, rng)
        assert wrong == [], f"seed {SEED}, round {rounds}"
        made, rounds = made + killed, rounds + 1
    with capsys.disabled():
        print(f"\nR3: {made} kills in {rounds} rounds (seed {SEED}): nothing lost, nothing doubled, state bit-exact")


def test_r3_a_few_kills(tmp_path, model):
    killed, wrong = round_of_kills(tmp_path, model, 4, random.Random(1))
    assert wrong == []
    assert killed >= 1


@pytest.mark.slow
def test_r3_sees_a_transaction_that_was_taken_apart(tmp_path, model):
    """The negative control: cursor and state committed before the events."""
    rng = random.Random(SEED)
    for attempt in range(12):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        if round_of_kills(folder, model, 12, rng, "split")[1]:
            return
    pytest.fail("no kill fell between the two transactions: the rig would not see a lost event")


@pytest.mark.slow
def test_r3_restart_to_first_inference(tmp_path, model, capsys):
    """A real start, interpreter and all. Promised: p99 < 500 ms on an idle machine; asserted with room."""
    recording = write_recording(tmp_path / "x.npz", 400_000)
    config = write_config(tmp_path, source=recording, model=model, sink=f'url = "{tmp_path / "out.jsonl"}"')
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(tmp_path / "pyc")}  # compiled once, as pip does
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    times, processor = [], []
    for _ in range(STARTS + 1):
        began, before = time.monotonic(), os.times()
        command = [*COMMAND, "daemon", "--config", str(config)]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        for line in process.stderr:
            if re.search("first inference", line):
                times.append(time.monotonic() - began)
                break
        process.kill()
        process.wait()
        now = os.times()
        processor.append(now.children_user + now.children_system - before.children_user - before.children_system)
    times, processor = sorted(times[1:]), sorted(processor[1:])  # the first one compiled
    with capsys.disabled():
        median, p99 = times[STARTS // 2] * 1e3, times[int(STARTS * 0.99)] * 1e3
        busy = processor[STARTS // 2] * 1e3
        print(
            f"\nR3: start to first inference: median {median:.0f} ms ({busy:.0f} ms of a processor), p99 {p99:.0f} ms, "
            f"{STARTS} starts"
        )
    assert len(times) == STARTS
    assert times[int(STARTS * 0.99)] * 1e3 < float(os.environ.get("EDGE_RNN_START_MS", "5000"))  # promised: 500
