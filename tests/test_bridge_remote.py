"""A model on a simulated board against the integer engine: bit for bit through a bad wire, pulled cables, reboots."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest
from daemon_rig import COMMAND
from edge_rnn.export import export_bundle
from edge_rnn.firmware_bridge.port import Port
from edge_rnn.firmware_bridge.remote import Remote
from edge_rnn.firmware_bridge.simulator import Mischief, Simulator, repeated
from simulated import Turns, opened, running
from waiting import until

from edge_rnn import load
from edge_rnn.cli import firmware_serial, sim
from edge_rnn.cli.main import main
from edge_rnn.endpoints.serial import SerialSource
from edge_rnn.errors import LinkError, UsageError
from edge_rnn.model import from_bundle
from edge_rnn.results import Results

from .firmware_models import bundle_of
from .int8_models import golden_graph, read_golden

MODELS = Path(__file__).parent / "models"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    target = tmp_path_factory.mktemp("remote") / "watch.ernn"
    return export_bundle(MODELS / "watch_gru32.pt", target, precision="int8", steps=300).path


@pytest.fixture(scope="module")
def model(bundle):
    return load(bundle)


@pytest.fixture(scope="module")
def wide():
    """An LSTM, whose state takes more than one frame."""
    bundle = bundle_of(golden_graph(read_golden("LSTM")))
    return from_bundle(bundle)


def reference(model, rows):
    """What the NumPy engine gives, whatever the simulated board runs on."""
    board = sim.Stepping(from_bundle(model.bundle, "numpy"))
    return np.array([board.step(tuple(row)) for row in rows.tolist()]), board.get_state()


def simulated(model, path, **mischief):
    make, _ = sim._board(model, "inference", model.bundle.golden["x"], 1.0)
    return running(Simulator(make, iter(()), 0.002, path, Mischief(**mischief), clock=Turns()))


def rows_of(model, count):
    x = np.resize(model.bundle.golden["x"], (count, model.inputs))
    return np.ascontiguousarray(model.quantize(x))


MISCHIEF = {"drop": 0.017, "corrupt": 0.017, "duplicate": 0.017}


@pytest.mark.parametrize("name", ["model", "wide"])
def test_a_board_gives_the_engines_bits_through_loss_pulled_cables_and_reboots(name, request, tmp_path):
    model = request.getfixturevalue(name)
    rows = rows_of(model, 1500)
    want, end = reference(model, rows)
    path = tmp_path / "board"
    mischief = {**MISCHIEF, "disconnect_s": 0.1, "away_s": 0.02, "reboot_s": 0.1}
    with simulated(model, path, **mischief, seed=1) as simulator:
        digest = int.from_bytes(bytes.fromhex(model.manifest.model_digest)[:4], "little")
        remote = Remote(opened(f"serial://{path}"), digest, checkpoint_steps=40, patience_s=60)
        got = remote.run(rows)
        on_the_way, boots = remote.reboots, simulator.counts.get("reboots", 0)
        assert until(lambda: simulator.counts.get("reboots", 0) > boots), "between the last step and the question"
        state = remote.state()
    remote.port.close()
    assert remote.reboots > on_the_way >= 1
    assert simulator.counts["disconnects"] >= 1
    assert np.array_equal(got, want)
    assert state == end


def test_another_models_board_is_refused(model, tmp_path):
    path = tmp_path / "board"
    with simulated(model, path), pytest.raises(LinkError, match="expected 00000001"):
        Remote(Port(f"serial://{path}"), 1)


def test_firmware_check_compares_every_logit_and_the_state_of_a_board_on_a_port(bundle, model, tmp_path, capsys):
    path = tmp_path / "board"
    with simulated(model, path, **MISCHIEF, seed=1):
        assert main(["firmware", "check", str(bundle), "--serial", str(path), "--steps", "400", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["steps"], found["bit_exact"], found["first_divergent_step"]) == (400, True, None)
    assert found["frames_sent_again"] > 0


@pytest.mark.parametrize(("wrong", "step"), [("logit", 123), ("logits", 123), ("state", 299)])
def test_a_board_with_one_wrong_bit_is_found_and_its_step_named(
    wrong, step, bundle, model, tmp_path, capsys, monkeypatch
):
    class Wrong(sim.Stepping):
        made = 0

        def step(self, x):
            first, *rest = super().step(x)
            self.made += 1
            bad = {"logit": self.made == 124, "logits": self.made >= 124, "state": False}[wrong]
            return (first ^ bad, *rest)

        def get_state(self):
            state = super().get_state()
            return bytes([state[0] ^ (wrong == "state" and self.made == 300), *state[1:]])

    monkeypatch.setattr(sim, "Stepping", Wrong)
    path = tmp_path / "board"
    with simulated(model, path):
        assert main(["firmware", "check", str(bundle), "--serial", f"serial://{path}", "--steps", "300", "--json"]) == 4
    out, err = capsys.readouterr()
    assert json.loads(out)["first_divergent_step"] == step
    assert f"from step {step} on" in err


def streaming(model, path, rows, period_s):
    """A simulated node that plays rows again and again."""
    make, _ = sim._board(model, "node", model.bundle.golden["x"], 1.0)
    return running(Simulator(make, repeated([tuple(row) for row in rows.tolist()]), period_s, path, Mischief()))


def test_what_a_node_infers_is_shown_step_by_step(bundle, model, tmp_path, capsys):
    rows = rows_of(model, 3000)
    want, _ = reference(model, rows)
    path = tmp_path / "board"
    with streaming(model, path, rows, 0.01):
        assert main(["firmware", "watch", str(bundle), "--serial", str(path), "--steps", "40"]) == 0
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert len(lines) == 40
        for line in lines:
            assert line["logits"] == want[line["step"]].tolist()
            assert line["label"] == model.manifest.labels[int(np.argmax(line["logits"]))]
            assert line["quality"] == ("warmup" if line["step"] < model.manifest.warmup_samples else "ok")
        with pytest.raises(LinkError, match="is a node, expected one built with --role inference"):
            Remote(Port(f"serial://{path}"))


class Busy:
    """As much of a Port as a Reader needs, to a node of whose results each read brings eight."""

    name, up, opened = "busy", True, 1

    def __init__(self, model):
        make, rows = sim._board(model, "node", model.bundle.golden["x"], 1.0)
        self.board, self.rows, self.reads = make(), repeated(rows), 0

    def write(self, data):
        self.board.feed(data, 0)

    def read(self, _):
        self.reads += 1
        assert self.reads < 100, "nobody ends this"
        for _ in range(8):
            self.board.push(next(self.rows), 0)
        out, self.board.out = bytes(self.board.out), bytearray()
        return out

    def close(self):
        pass


@pytest.mark.parametrize("steps", [1, 8, 21])
def test_as_many_results_are_told_as_were_asked_for_however_many_come_at_once(steps, model, monkeypatch):
    monkeypatch.setattr(firmware_serial, "_port", lambda url: Busy(model))
    told = firmware_serial.results(model.bundle, "busy", steps, 1)
    assert [one["step"] for one in told if one["type"] == "score"] == list(range(steps))


def test_what_the_detector_makes_of_a_nodes_results_is_told_between_the_scores(bundle, model, tmp_path, capsys):
    rows, path = rows_of(model, 300), tmp_path / "board"
    watch = ["firmware", "watch", str(bundle), "--serial", str(path), "--steps"]
    with streaming(model, path, rows, 0.002):
        assert main([*watch, "700"]) == 0
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert main([*watch, "300", "--scores", "none"]) == 0
        quiet = [json.loads(line)["type"] for line in capsys.readouterr().out.splitlines()]
        assert main([*watch, "3", "--scores", "some"]) == 2
    heard, told, want = Results(model.manifest, str(path)), [], []
    for line in lines:
        if line["type"] != "score":
            told.append((line["type"], line.get("label"), line.get("id")))
            continue
        logits = np.array(line["logits"], np.float32) / np.float32(65536)
        want += heard.push(logits, line["step"], line["step"], round(line["t"] * 1e9))
    want += heard.finish()
    said = [event.to_json() for event in want]
    assert told == [(line["type"], line.get("label"), line.get("id")) for line in said]
    assert {kind for kind, *_ in told} >= {"start", "event"}
    assert "score" not in quiet


def test_check_asks_for_one_board(bundle, capsys):
    assert main(["firmware", "check", str(bundle)]) == 2
    assert main(["firmware", "check", str(bundle), "--board", "microbit", "--serial", "x"]) == 2
    assert "either --board, to emulate one, or --serial" in capsys.readouterr().err


def test_units_of_the_simulator_are_read():
    assert sim.number("1%", "%") == 0.01
    assert sim.number("5ms", "ms") == sim.number("0.005s", "ms") == sim.number("5", "ms") == 0.005
    assert sim.number("80ppm", "ppm") == 80
    for bad in ("fast", "-1%", "5ms"):
        with pytest.raises(UsageError, match="expected a number with a unit"):
            sim.number(bad, "%")


def test_a_simulated_sensor_is_seen_by_devices_doctor_and_run(bundle, model, tmp_path, capsys):
    at, samples = tmp_path / "board", []
    board = subprocess.Popen([*COMMAND, "sim", str(bundle), "--at", str(at), "--drop", "1%"])
    try:
        assert until(at.exists)
        assert main(["devices", f"serial://{at}", "--json"]) == 0
        (found,) = json.loads(capsys.readouterr().out)["devices"]
        assert (found["format"], found["channels"], found["role"]) == ("wire", model.inputs, "sensor")
        assert found["rate_hz"] == model.manifest.rate_hz
        assert main(["doctor", f"serial://{at}", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["ok"]
        source = SerialSource(f"serial://{at}", tuple(c.name for c in model.manifest.channels))
        for chunk in source:
            samples += chunk.samples.tolist()
            source.reader.stop = len(samples) >= 60
    finally:
        board.send_signal(signal.SIGINT)
        code = board.wait(30)
    assert code == 0
    assert not at.exists(), "it leaves no link behind"
    x = model.bundle.golden["x"]
    nearest = [np.abs(x - row).max(axis=1).min() for row in np.array(samples)]
    assert max(nearest) <= np.abs(x).max() / 32767


def test_doctor_says_what_is_wrong(tmp_path, capsys):
    assert main(["doctor", f"serial://{tmp_path}/none"]) == 1
    assert "is the board plugged in?" in capsys.readouterr().out
