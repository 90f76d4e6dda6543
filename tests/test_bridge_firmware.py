"""Real firmware on emulated boards, end to end: real recordings, a damaging wire, a board reset in the middle."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest
from c_tools import DEVICE, HERE
from emulated import build, emulated, require_tools

pytestmark = pytest.mark.slow
MODELS = HERE / "models"
DATA = Path(os.environ.get("EDGE_RNN_DATA", HERE.parent.parent / "shared" / "data"))
BOARDS = ["microbit", "mps2-an386", "mps3-an547"]


def samples(model, count):
    """The first of the watch's public test recordings, as the board's codes."""
    path = DATA / "watch_spar" / "test.npz"
    if not path.exists():
        pytest.skip(f"no recordings under {DATA}: set EDGE_RNN_DATA")
    with np.load(path, allow_pickle=False) as file:
        x = file["x"][:count] * file["scale"] if "scale" in file else file["x"][:count]
    return np.ascontiguousarray(model.quantize(np.ascontiguousarray(x, np.float32)))


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    from edge_rnn.export import export_bundle

    from edge_rnn import load

    folder = tmp_path_factory.mktemp("firmware")
    return {
        kind: load(
            export_bundle(MODELS / f"watch_{kind}32.pt", folder / f"{kind}.ernn", precision="int8", steps=300).path,
            "numpy",
        )
        for kind in ("gru", "lstm", "rnn")
    }


def digest(model) -> int:
    return int.from_bytes(bytes.fromhex(model.manifest.model_digest)[:4], "little")


@pytest.mark.parametrize("board", BOARDS)
@pytest.mark.parametrize("kind", ["gru", "lstm", "rnn"])
def test_a_board_gives_the_engines_bits_over_a_damaging_wire_and_a_reset(board, kind, exported, tmp_path):
    require_tools()
    pytest.importorskip("edge_rnn.export.boards", reason="this tree has no `edge-rnn firmware build` yet")
    from edge_rnn.export.boards import boards
    from edge_rnn.firmware_bridge.port import Port
    from edge_rnn.firmware_bridge.remote import Remote

    from edge_rnn.cli.sim import Stepping

    model = exported[kind]
    rows = samples(model, 1500)
    truth = Stepping(model)
    want = np.array([truth.step(tuple(row)) for row in rows.tolist()])
    program = build(model.bundle, board, tmp_path)
    with emulated(boards()[board].machine, program) as (emulator, wire):
        remote = Remote(Port(f"socket://127.0.0.1:{wire.port}"), digest(model), checkpoint_steps=100, patience_s=60)
        button = threading.Timer(1.0, emulator.press_reset)
        button.start()
        got = remote.run(rows)
        state = remote.state()
        button.join()
        if remote.reboots == 0:  # it was done before the button was pressed
            button = threading.Timer(0.2, emulator.press_reset)
            button.start()
            got = remote.run(rows)
            state = remote.state()
            button.join()
        remote.port.close()
    print(board, kind, remote.reboots, wire.counts, remote.link.counters)
    assert np.array_equal(got, want)
    assert state == truth.get_state()
    assert remote.reboots == 1
    assert all(set(counts) == {"lost", "repeated", "corrupted"} for counts in wire.counts.values())


def test_the_sensor_sketch_compiles_and_speaks_the_wire(tmp_path):
    """With a stand-in for the Arduino core that has the five functions the sketch uses."""
    if shutil.which("g++") is None:
        pytest.skip("no g++: install it to build the example sketch")
    objects = []
    for name in ("ernn_frame", "ernn_crc", "ernn_link"):
        command = ["gcc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-DERNN_LINK_ROLE=1", "-c", DEVICE / f"{name}.c"]
        subprocess.run([*command, "-o", tmp_path / f"{name}.o"], check=True)
        objects.append(tmp_path / f"{name}.o")
    sketch = DEVICE / "examples" / "sensor_forwarder.ino"
    command = ["g++", "-std=c++11", "-Wall", "-Wextra", "-Werror", "-DERNN_LINK_ROLE=1", f"-I{DEVICE}"]
    command += ["-include", HERE / "c" / "arduino.h", "-x", "c++", sketch, HERE / "c" / "arduino.cpp", "-x", "none"]
    subprocess.run([*command, *objects, "-o", tmp_path / "sketch"], check=True)
    master, slave = os.openpty()
    import tty

    tty.setraw(slave)
    board = subprocess.Popen([tmp_path / "sketch"], stdin=master, stdout=master)
    from edge_rnn.firmware_bridge.port import Port
    from edge_rnn.firmware_bridge.reader import Reader

    reader = Reader(Port(f"serial://{os.ttyname(slave)}"))
    rows, seqs = [], []
    for piece in reader:
        rows += piece.rows.tolist()
        seqs += piece.seq.tolist()
        reader.stop = len(rows) >= 40
    reader.port.close()
    board.kill()
    board.wait()
    os.close(master)
    os.close(slave)
    assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
    assert all(row[1] == row[0] + 1 and row[2] == row[0] + 2 for row in rows)
    assert reader.info.rate_mhz == 50_000
