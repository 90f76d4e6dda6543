"""`train --diagnose`: a vanishing and an exploding network are told in words, a healthy one is not."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from edge_rnn.export import Checkpoint, Network, train
from edge_rnn.export.diagnosis import Diagnosis
from edge_rnn.export.recipes import open_dataset
from edge_rnn.export.run import Plan
from edge_rnn.export.run_folder import Interrupted
from edge_rnn.export.saturation import saturation
from test_train import SETTINGS, StopAt, rhythms, same, weights

from edge_rnn.cli.main import main


@pytest.fixture(scope="module")
def data():
    return rhythms()


def diagnosed(data, arch, scale, tbptt=None):
    """The diagnosis of a network whose recurrent matrix is `scale` times a rotation (ReLU: times the identity)."""
    plan = Plan(open_dataset(data, SETTINGS), arch, 6, 1, 0, tbptt, None)
    torch.manual_seed(1)
    network = Network.of(arch, 3, 3, hidden=6)
    with torch.no_grad():
        turn = torch.eye(6) if arch == "rnn-relu" else torch.nn.init.orthogonal_(torch.empty(6, 6))
        network.layers[0].weight_hh_l0.copy_(scale * turn)
        network.layers[0].weight_ih_l0.mul_(0.1)
        network.layers[0].bias_hh_l0.fill_(0.3 if arch == "rnn-relu" else 0)
    diagnosis = Diagnosis(plan, [])
    diagnosis.update(3.0)
    diagnosis.update(0.5)
    diagnosis.epoch(network, 1)
    return diagnosis


def test_a_vanishing_rnn_is_told_how_far_back_it_can_learn(data):
    (warning,) = diagnosed(data, "rnn", 0.5).warnings()
    assert warning.startswith("gradients vanish: after 2")  # 0.5^20 = 1e-6
    assert "of what it is one step back (a window has 32): this network cannot learn what lies further back" in warning


def test_an_exploding_rnn_is_told_with_the_share_of_clipped_updates(data):
    (warning,) = diagnosed(data, "rnn-relu", 1.4).warnings()
    assert warning.startswith("gradients explode: after 3")
    assert "50% of the updates were clipped" in warning
    assert "learning_rate=0.002" in warning


def test_a_rotation_neither_vanishes_nor_explodes(data):
    assert diagnosed(data, "rnn", 1.0).warnings() == []


def test_truncated_at_a_few_steps_an_rnn_that_vanishes_later_is_not_accused_but_the_cut_is_noted(data):
    assert diagnosed(data, "rnn", 0.5, tbptt=8).warnings() == []
    (note,) = diagnosed(data, "rnn", 1.0, tbptt=8).notes()
    assert note.startswith("chunks of 8 samples cut a gradient that is still")


def test_with_carried_state_the_windows_are_met_after_what_came_before_them(data):
    dataset = open_dataset(data, SETTINGS)
    diagnosis = Diagnosis(Plan(dataset, "gru", 4, 1, 0, 16, None), [])
    assert diagnosis.lead == 32
    assert diagnosis.x.shape == (32, 64, 3)
    assert Diagnosis(Plan(dataset, "gru", 4, 1, 0, None, None), []).x.shape == (32, 32, 3)


def test_a_healthy_gru_is_not_warned_its_weights_are_the_same_and_a_picture_is_drawn(data, tmp_path):
    plain = train(data, "gru", 8, out=tmp_path / "plain", settings=SETTINGS, epochs=4)
    watched = train(data, "gru", 8, out=tmp_path / "watched", settings=SETTINGS, epochs=4, diagnose=True)
    assert watched.warnings == plain.warnings, "diagnosis has none to add"
    assert same(weights(plain), weights(watched))
    assert not (tmp_path / "plain" / "diagnosis.json").exists()
    assert (tmp_path / "watched" / "diagnosis.png").read_bytes().startswith(b"\x89PNG")
    found = json.loads((tmp_path / "watched" / "diagnosis.json").read_text())
    assert [record["epoch"] for record in found["epochs"]] == [0, 1, 2, 3, 4]
    first, last = found["epochs"][0], found["epochs"][-1]
    assert first["update"] == {}
    assert 0 <= last["update"]["clipped"] <= 1
    assert last["update"]["largest"] >= last["update"]["median"] > 0
    assert len(last["curve"]) == 32
    assert last["curve"][0] == 1
    (layer,) = first["layers"]  # the update gate starts at sigma(2) = 0.88: a memory of 1 / -log(0.88) = 7.9 steps
    assert 5 < layer["memory_steps"]["median"] < 12


def test_an_interrupted_diagnosis_goes_on(data, tmp_path):
    options = {"settings": SETTINGS, "epochs": 3, "diagnose": True}
    train(data, "lstm", 4, out=tmp_path / "whole", **options)
    with pytest.raises(Interrupted):
        train(data, "lstm", 4, out=tmp_path / "cut", progress=lambda epochs, steps: StopAt(2, 2), **options)
    train(data, "lstm", 4, out=tmp_path / "cut", resume=True, **options)
    one, other = (json.loads((tmp_path / name / "diagnosis.json").read_text()) for name in ("whole", "cut"))
    assert one == other


def test_the_command_warns_on_stderr_and_in_json(data, tmp_path, capsys):
    np.savez(
        tmp_path / "d.npz", x=data.x, scale=data.scale, label=data.label, rec_start=data.rec_start, fs=25.0,
        rec_subject=np.array(data.rec_subject), channels=np.array(data.channels), classes=np.array(data.classes),
    )  # fmt: skip
    settings = [f"--set={key}={value}" for key, value in {**SETTINGS, "gains": "ax:30,ay:30,az:30"}.items()]
    call = [
        "train",
        str(tmp_path / "d.npz"),
        "--arch",
        "rnn",
        "--hidden",
        "6",
        "--epochs",
        "2",
        "--diagnose",
        *settings,
    ]
    assert main([*call, "--out", str(tmp_path / "run")]) == 0
    assert "warning: gradients vanish: after" in capsys.readouterr().err
    assert main([*call, "--out", str(tmp_path / "run"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    few, *accused = told["warnings"]
    assert few.startswith("2 epochs were")
    assert accused == json.loads((tmp_path / "run" / "diagnosis.json").read_text())["warnings"]


def test_gates_are_those_of_the_equations(data):
    """By hand for one GRU unit with an update gate held open and a reset gate held shut."""
    network = Network.of("gru", 3, 3, hidden=1)
    with torch.no_grad():
        for p in network.layers[0].parameters():
            p.zero_()
        network.layers[0].bias_ih_l0.copy_(torch.tensor([-3.0, 3.0, 0.0]))
    (layer,) = saturation(network, torch.randn(2, 5, 3))
    assert layer["gates"] == {"reset": {"shut": 1, "open": 0}, "update": {"shut": 0, "open": 1}}
    keep = 1 / (1 + 2.718281828**-3)
    assert layer["memory_steps"]["longest"] == pytest.approx(-1 / torch.log(torch.tensor(keep)).item(), rel=1e-4)
    assert layer["units"] == {"at_stop": 0, "still": 1}


def test_a_diagnosis_of_a_perceptron_sees_its_window_and_no_warning(data, tmp_path):
    run = train(data, "perceptron", out=tmp_path, settings=SETTINGS, epochs=1, diagnose=True)
    found = json.loads((tmp_path / "diagnosis.json").read_text())
    assert found["warnings"] == found["notes"] == []
    network = Checkpoint.load(run.checkpoint).build()
    assert network.to_graph().receptive_field == int(SETTINGS["window"])


def test_a_diagnosis_of_a_convolution_tells_how_far_back_it_looks(data, tmp_path):
    train(data, "cnn", 4, layers=2, out=tmp_path, settings=SETTINGS, epochs=1, diagnose=True)
    found = json.loads((tmp_path / "diagnosis.json").read_text())
    assert "the answer depends on the last 13 samples (0.52 s) alone" in found["notes"]


def test_truncated_training_on_recordings_shorter_than_a_window_is_accusedtoo(data, tmp_path):
    pieces = 120  # 50 samples each, a window is 32 and its warm-up another 32
    short = replace(
        data, rec_start=np.arange(pieces + 1) * 50, rec_id=tuple(str(r) for r in range(pieces)),
        rec_subject=tuple(str(r // 24) for r in range(pieces)),
    )  # fmt: skip
    run = train(short, "gru", 4, out=tmp_path, settings=SETTINGS, epochs=1, tbptt=16, diagnose=True)
    found = json.loads((run.folder / "diagnosis.json").read_text())
    assert len(found["epochs"][0]["curve"]) == 32
