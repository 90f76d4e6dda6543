"""Real firmware on emulated boards, end to end: real recordings, a damaging wire, a board reset in the middle."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tty
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from c_tools import DEVICE, HERE, LINK
from edge_rnn.export.c_image import image
from edge_rnn.export.firmware_folder import write_project
from edge_rnn.export.firmware_project import project
from edge_rnn.firmware_bridge.messages import Role
from edge_rnn.firmware_bridge.port import Port
from edge_rnn.firmware_bridge.push import Push
from edge_rnn.firmware_bridge.reader import Reader
from edge_rnn.firmware_bridge.remote import Remote
from emulated import build, emulated, make, require_tools

from edge_rnn.cli.firmware_serial import model_hash
from edge_rnn.cli.main import main
from edge_rnn.cli.sim import Stepping

pytestmark = pytest.mark.slow
MODELS = HERE / "models"
DATA = Path(os.environ.get("EDGE_RNN_DATA", HERE.parent.parent / "shared" / "data"))
BOARDS = ["microbit", "mps2-an386", "mps3-an547"]


def samples(model, count):
    """The first of the watch's public test recordings, as the board's codes."""
    return np.ascontiguousarray(model.quantize(played(count)))


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    torch = pytest.importorskip("torch", reason="torch is not installed: the checkpoints cannot be read")
    from edge_rnn.export import export_bundle

    from edge_rnn import load

    folder = tmp_path_factory.mktemp("firmware")
    checkpoints = {kind: MODELS / f"watch_{kind}32.pt" for kind in ("gru", "lstm", "rnn")}
    checkpoints["other"] = folder / "other.pt"  # a GRU of the same shape
    checkpoint = torch.load(checkpoints["gru"], weights_only=False)
    torch.manual_seed(1)
    moved = {name: v * (1 + 0.02 * torch.randn(v.shape)) for name, v in checkpoint["state_dict"].items()}
    torch.save({**checkpoint, "state_dict": moved}, checkpoints["other"])
    paths = {
        kind: export_bundle(path, folder / f"{kind}.ernn", precision="int8", steps=300).path
        for kind, path in checkpoints.items()
    }
    return {"paths": paths, **{kind: load(path, "numpy") for kind, path in paths.items()}}


def stepped(model, rows):
    """What the NumPy engine gives, step by step: logits, and the last state."""
    truth = Stepping(model)
    return np.array([truth.step(tuple(row)) for row in rows.tolist()]), truth.get_state()


def machine(board):
    from edge_rnn.export.boards import boards

    return boards()[board].machine


LINES = [*((board, "socket", kind) for board in BOARDS for kind in ("gru", "lstm", "rnn"))]
LINES += [(board, "pty", "gru") for board in BOARDS]


@pytest.mark.parametrize(("board", "line", "kind"), LINES)
def test_a_board_gives_the_engines_bits_over_a_damaging_wire_and_a_reset(board, line, kind, exported, tmp_path):
    require_tools()
    model = exported[kind]
    rows = samples(model, 1500)
    want, end = stepped(model, rows)
    program = build(model.bundle, board, tmp_path)
    with emulated(machine(board), program, line=line) as (emulator, wire):
        remote = Remote(Port(wire.url), model_hash(model.bundle), checkpoint_steps=100, patience_s=60)
        pressed = []

        def press_in_the_middle(step, _):
            if step == 700 and not pressed:
                pressed.append(step)
                emulator.press_reset()

        got = remote.run(rows, press_in_the_middle)
        state = remote.state()
        remote.port.close()
    print(board, line, kind, remote.reboots, wire.counts, remote.link.counters)
    assert np.array_equal(got, want)
    assert state == end
    assert remote.reboots == 1
    assert all(set(counts) == {"lost", "repeated", "corrupted"} for counts in wire.counts.values())


def streaming(model, board, role, folder, rate_hz=200):
    """Firmware of a board whose sensor plays a real recording, faster than life; and the recording in its codes."""
    x = played()
    program = build(model.bundle, board, folder, role, x)
    header = folder / "sensor.h"
    milli = round(model.manifest.rate_hz * 1000)
    faster = header.read_text().replace(f"SENSOR_RATE_MILLIHZ {milli}u", f"SENSOR_RATE_MILLIHZ {rate_hz * 1000}u")
    header.write_text(faster)
    make(folder, OPT="-O2 -DERNN_LINK_SLOTS=32")
    scale = np.float32(max(float(np.abs(x).max()), 1e-6) / 32767)
    return program, np.clip(np.rint(x / scale), -32767, 32767).astype(np.int16), scale


def played(count=1200):
    """A public test recording, in the watch's units."""
    path = DATA / "watch_spar" / "test.npz"
    if not path.exists():
        pytest.skip(f"no recordings under {DATA}: set EDGE_RNN_DATA")
    with np.load(path, allow_pickle=False) as file:
        return np.ascontiguousarray(file["x"][:count] * file.get("scale", 1), np.float32)


@pytest.mark.parametrize("line", ["socket", "pty"])
@pytest.mark.parametrize("board", BOARDS)
def test_a_sensor_boards_recording_gives_the_engines_bits_on_the_host(board, line, exported, tmp_path):
    """The model on the host, the samples from real firmware, its ring and its clock."""
    require_tools()
    model = exported["gru"]
    program, codes, scale = streaming(model, board, "sensor", tmp_path)
    rows, seqs, places, starts = [], [], [], []
    with emulated(machine(board), program, line=line) as (emulator, wire):
        reader = Reader(Port(wire.url))
        for piece in reader:
            if not seqs or piece.seq[0] != seqs[-1] + 1:
                starts.append(len(seqs))
            if len(seqs) < 300 <= len(seqs) + len(piece.seq):
                emulator.press_reset()
            rows.append(piece.rows)
            seqs += piece.seq.tolist()
            places += (
                (piece.seq - reader._offset) % len(codes)
            ).tolist()  # the board's own numbers, from 0 at each boot
            reader.stop = len(seqs) >= 700
        reader.port.close()
    got, sent = np.concatenate(rows), codes[places]
    starts.append(len(got))
    print(board, line, len(got), "samples,", len(starts) - 2, "holes", wire.counts, reader.link.counters)
    assert reader.link.counters.reopened == 1
    assert seqs == sorted(set(seqs))
    assert np.array_equal(got, sent)
    for first, stop in pairwise(starts):
        stream, y = model.stream(), np.zeros((stop - first, model.outputs), np.int32)
        for t, row in enumerate(got[first:stop]):
            y[t] = stream.step_int(model.quantize(row * np.float32(reader.info.scale)))
        want, _ = stepped(model, model.quantize(np.ascontiguousarray(sent[first:stop] * scale)))
        assert np.array_equal(y, want)


@pytest.mark.parametrize("line", ["socket", "pty"])
@pytest.mark.parametrize("board", BOARDS)
def test_a_node_streams_the_engines_bits_of_its_own_recording(board, line, exported, tmp_path):
    require_tools()
    model = exported["gru"]
    program, codes, scale = streaming(model, board, "node", tmp_path, rate_hz=100)
    want, _ = stepped(model, model.quantize(np.ascontiguousarray(codes * scale)))
    steps, seqs = [], []
    with emulated(machine(board), program, line=line) as (emulator, wire):
        reader = Reader(Port(wire.url), role=Role.NODE, model_hash=model_hash(model.bundle))
        for piece in reader:
            assert np.array_equal(piece.logits, want[piece.step]), piece
            steps.append(piece.step)
            seqs.append(piece.seq)
            if len(seqs) == 250:
                emulator.press_reset()
            reader.stop = len(seqs) >= 600
        reader.port.close()
    back = int(np.argmin(np.diff(steps)))
    print(board, line, steps[back : back + 2], "at the reset,", wire.counts, reader.link.counters)
    assert steps[back + 1] < steps[back], "after a reset the state began anew"
    assert all(np.diff(part).min() >= 1 for part in (steps[: back + 1], steps[back + 1 :], seqs))
    assert all(set(counts) == {"lost", "repeated", "corrupted"} for counts in wire.counts.values())


@pytest.mark.parametrize("board", BOARDS)
def test_firmware_check_proves_a_board_on_a_serial_line_and_finds_a_wrong_bit(board, exported, tmp_path, capsys):
    require_tools()
    path, bundle = exported["paths"]["lstm"], exported["lstm"].bundle
    program = build(bundle, board, tmp_path)
    with emulated(machine(board), program) as (_, wire):
        assert main(["firmware", "check", str(path), "--serial", wire.url, "--steps", "600", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["bit_exact"], found["steps"], found["first_divergent_step"]) == (True, 600, None)
    assert found["damaged_frames"] > 0
    table = tmp_path / "kernel" / "tanh_table.c"
    table.write_text(table.read_text().replace("262091", "272091"))
    make(tmp_path)
    with emulated(machine(board), program) as (_, wire):
        assert main(["firmware", "check", str(path), "--serial", wire.url, "--steps", "600"]) == 4
    assert "from step" in capsys.readouterr().err


@pytest.mark.parametrize("board", BOARDS)
def test_a_model_is_pushed_into_a_boards_flash_through_damage_and_a_reset_and_stays(board, exported, tmp_path, capsys):
    require_tools()
    first, second = exported["gru"], exported["other"]
    program = build(first.bundle, board, tmp_path, store=True)
    blob = image(second.bundle.graph)

    def check(name):
        """600 steps, bit by bit."""
        return main(["firmware", "check", str(exported["paths"][name]), "--serial", wire.url, "--steps", "200"])

    with emulated(machine(board), program) as (emulator, wire):
        assert check("gru") == 0

        def press_in_the_middle(held):
            if held > len(blob) // 2:
                emulator.press_reset()
                raise KeyboardInterrupt

        port = Port(wire.url)
        with pytest.raises(KeyboardInterrupt):
            Push(port, blob, model_hash(second.bundle), patience_s=60, progress=press_in_the_middle).run()
        port.close()
        assert check("gru") == 0, "half a model changes nothing"
        assert main(["firmware", "push", str(exported["paths"]["other"]), "--serial", wire.url, "--json"]) == 0
        pushed = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert pushed["sent_bytes"] >= len(blob)
        assert check("other") == 0
        emulator.press_reset()
        assert check("other") == 0, "it stays over a reset"
        assert main(["firmware", "push", str(exported["paths"]["lstm"]), "--serial", wire.url]) == 3
        assert "refused" in capsys.readouterr().err
        assert main(["firmware", "push", str(exported["paths"]["gru"]), "--serial", wire.url]) == 0
        assert check("gru") == 0, "and back: the other place"


@contextmanager
def on_a_pty(program):
    """A sketch that runs here, and the device that is its serial line."""
    master, slave = os.openpty()
    tty.setraw(slave)
    board = subprocess.Popen([program], stdin=master, stdout=master)
    try:
        yield os.ttyname(slave)
    finally:
        board.kill()
        board.wait()
        os.close(master)
        os.close(slave)


def test_the_sensor_sketch_compiles_and_speaks_the_wire(tmp_path):
    """With a stand-in for the Arduino core that has the five functions the sketch uses."""
    if shutil.which("g++") is None:
        pytest.skip("no g++: install it to build the example sketch")
    objects = []
    for name in LINK:
        command = ["gcc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-DERNN_LINK_ROLE=1", "-c", DEVICE / f"{name}.c"]
        subprocess.run([*command, "-o", tmp_path / f"{name}.o"], check=True)
        objects.append(tmp_path / f"{name}.o")
    sketch = DEVICE / "examples" / "sensor_forwarder.ino"
    command = ["g++", "-std=c++11", "-Wall", "-Wextra", "-Werror", "-DERNN_LINK_ROLE=1", f"-I{DEVICE}"]
    command += ["-include", HERE / "c" / "arduino.h", "-x", "c++", sketch, HERE / "c" / "arduino.cpp", "-x", "none"]
    subprocess.run([*command, *objects, "-o", tmp_path / "sketch"], check=True)
    rows, seqs = [], []
    with on_a_pty(tmp_path / "sketch") as name:
        reader = Reader(Port(f"serial://{name}"))
        for piece in reader:
            rows += piece.rows.tolist()
            seqs += piece.seq.tolist()
            reader.stop = len(rows) >= 40
        reader.port.close()
    assert seqs == sorted(set(seqs))
    places = {(seq - row[0]) % 1000 for seq, row in zip(seqs, rows, strict=True)}
    assert len(places) == 1, "numbers and samples move together"
    assert all(row[1] == row[0] + 1 and row[2] == row[0] + 2 for row in rows)
    assert reader.info.rate_mhz == 50_000


def test_the_arduino_library_infers_on_a_port_and_compiles_for_a_cortex_m(exported, tmp_path, capsys):
    """With the stand-in for the Arduino core on this machine; for Cortex-M as its cores compile, without linking."""
    if shutil.which("g++") is None:
        pytest.skip("no g++: install it to build the example sketch")
    write_project(project(exported["gru"].bundle, "generic", role="inference"), tmp_path)
    sketch = tmp_path / "examples" / "model" / "model.ino"
    sources = [*(tmp_path / "src").glob("*.c"), *(tmp_path / "src" / "kernel").glob("*.c")]
    sources = [*map(str, sources)]
    include = [f"-I{tmp_path}/src", "-Wall", "-Wextra", "-Werror"]
    core = ["-std=gnu++11", "-include", str(HERE / "c" / "arduino.h"), "-x", "c++", str(sketch)]
    subprocess.run(["gcc", "-std=gnu11", "-O1", *include, "-c", *sources], cwd=tmp_path, check=True)
    objects = [*map(str, tmp_path.glob("*.o"))]
    arduino = [str(HERE / "c" / "arduino.cpp"), "-x", "none", *objects]
    subprocess.run(["g++", *include, *core, *arduino, "-o", "sketch"], cwd=tmp_path, check=True)
    path = str(exported["paths"]["gru"])
    with on_a_pty(tmp_path / "sketch") as name:
        assert main(["firmware", "check", path, "--serial", name, "--steps", "500", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["bit_exact"]
    require_tools()
    for cpu in ("cortex-m0plus", "cortex-m4", "cortex-m33", "cortex-m7"):  # samd, nrf52, renesas, teensy
        flags = [f"-mcpu={cpu}", "-mthumb", "-Os", "-ffunction-sections", *include, "-c"]
        subprocess.run(["arm-none-eabi-gcc", "-std=gnu11", *flags, *sources], cwd=tmp_path, check=True)
        if shutil.which("arm-none-eabi-g++"):
            subprocess.run(["arm-none-eabi-g++", *flags, "-fno-exceptions", *core], cwd=tmp_path, check=True)
