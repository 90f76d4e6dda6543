"""`edge-rnn train` as a person or a script calls it."""

import json
import re

import numpy as np
import pytest

import edge_rnn
from edge_rnn.cli.main import main

QUICK = ["--hidden", "4", "--epochs", "2", "--set", "window=20", "--set", "batch=16"]


@pytest.fixture
def folder(tmp_path):
    """Four people's CSV recordings: still or swinging."""
    rng = np.random.default_rng(0)
    rows = ["recording,start,stop,label,subject"]
    for person in range(4):
        for label, size in (("still", 0.05), ("swing", 1.0)):
            name = f"{label}{person}"
            x = size * rng.normal(size=(120, 2))
            (tmp_path / f"{name}.csv").write_text("ax,ay\n" + "\n".join(f"{a:.4f},{b:.4f}" for a, b in x) + "\n")
            rows.append(f"{name},0,120,{label},p{person}")
    (tmp_path / "labels.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "meta.json").write_text('{"fs": 20}')
    return tmp_path


def test_json_is_one_object_and_names_the_checkpoint(folder, tmp_path, capsys):
    out = tmp_path / "run"
    assert main(["train", str(folder), *QUICK, "--out", str(out), "--json"]) == 0
    captured = capsys.readouterr()
    figures = json.loads(captured.out)
    assert figures["checkpoint"] == str(out / "checkpoint.pt")
    assert figures["epochs"] == 2
    assert (out / "checkpoint.pt").is_file()
    assert captured.err == ""


def test_a_person_is_told_the_accuracy_and_what_comes_next(folder, tmp_path, capsys):
    assert main(["train", str(folder), *QUICK, "--out", str(tmp_path / "run")]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "% right on validation people" in captured.err
    assert "edge-rnn export" in captured.err


def test_a_training_of_few_updates_is_warned_of_with_the_epochs_to_give(folder, tmp_path, capsys):
    assert main(["train", str(folder), *QUICK, "--out", str(tmp_path / "run")]) == 0
    captured = capsys.readouterr()
    assert (
        "warning: 2 epochs were 8 updates of the weights, few to learn from: --epochs 250 makes 1,000" in captured.err
    )


def test_people_who_are_held_back_are_there_for_tune(folder, tmp_path, capsys):
    """The road of docs/recordings.md: `tune` refuses all of a model's people, and finds those that were held back."""
    bundle, tuned = str(tmp_path / "m.ernn"), str(tmp_path / "t.ernn")
    tune = ["tune", bundle, str(folder), "--people", "unseen", "--false-alarms-per-hour", "1000", "-o", tuned]
    export = ["export", str(tmp_path / "run" / "checkpoint.pt"), "--precision", "float32", "-o", bundle]
    train = ["train", str(folder), *QUICK, "--epochs", "20", "--out", str(tmp_path / "run")]
    assert main(train) == main(export) == 0
    assert main(tune) == 2
    assert "--set held_back=" in capsys.readouterr().err
    assert main([*train, "--set", "held_back=p1"]) == main(export) == 0
    training = edge_rnn.load(bundle).manifest.training
    assert set(training["train_subjects"] + training["validation_subjects"]) == {"p0", "p2", "p3"}
    capsys.readouterr()
    assert main(tune) == 0
    captured = capsys.readouterr()
    assert edge_rnn.load(tuned).manifest.tuning["subjects"] == ["p1"]
    assert "1000 false alarms an hour are shared by 2 labels: at most 500 each" in captured.err
    shares = [float(share) for share in re.findall(r"\((\S+) % \[", captured.out)]
    assert len(shares) == 2
    assert ("learns when something begins" in captured.err) == (min(shares) < 80)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["FOLDER", "--set", "held_back=nobody"], "subjects ['nobody'] are not in the data"),
        (["nowhere"], "no data set (hapt, watch)"),
        (["FOLDER", "--set", "bacth=3"], "did you mean 'batch'?"),
        (["FOLDER", "--set", "batch"], "expected NAME=VALUE"),
        (["FOLDER", "--arch", "tcn"], "expected one of perceptron"),
        (["FOLDER", "--set", "window=500"], "has 120 samples, a window is 500"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(arguments, words, folder, tmp_path, capsys):
    given = [str(folder) if text == "FOLDER" else text for text in arguments]
    assert main(["train", *given, "--out", str(tmp_path / "run")]) == 2
    captured = capsys.readouterr()
    assert words in captured.err
    assert captured.err.count("\n") == 1
    assert not (tmp_path / "run" / "checkpoint.pt").exists()


def test_an_event_model_goes_all_the_way_from_recordings_to_events(tmp_path, capsys):
    """train --events, export, tune on the people held out, run: the road of docs/detection.md, shortened."""
    rng = np.random.default_rng(0)
    rows = ["recording,start,stop,label,subject"]
    for person in range(5):
        x = 0.2 * rng.normal(size=(900, 2))
        last = 0
        for number, at in enumerate(range(200, 850, 150)):
            x[at : at + 40] += 2
            rows += [f"r{person},{last},{at},still,p{person}", f"r{person},{at},{at + 40},{'ud'[number % 2]},p{person}"]
            last = at + 40
        rows.append(f"r{person},{last},900,still,p{person}")
        (tmp_path / f"r{person}.csv").write_text("ax,ay\n" + "\n".join(f"{a:.4f},{b:.4f}" for a, b in x) + "\n")
    (tmp_path / "labels.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "meta.json").write_text('{"fs": 20}')
    out, model, tuned = tmp_path / "run", tmp_path / "m.ernn", tmp_path / "t.ernn"
    quick = ["--hidden", "8", "--set", "steps=150", "--set", "chunk=40", "--set", "lanes=16"]
    merge = ["--events", "jump", "--merge", "jump=u,d"]
    assert main(["train", str(tmp_path), *merge, *quick, "--out", str(out), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["held_out_subjects"]
    assert {path.name for path in out.iterdir()} == {
        "checkpoint.pt", "metrics.json", "learning_curve.png", "confusion.png"
    }  # fmt: skip
    assert main(["export", figures["checkpoint"], "--precision", "int8", "-o", str(model), "--json"]) == 0
    capsys.readouterr()
    unseen = ["--people", "unseen", "--json"]
    assert main(["tune", str(model), str(tmp_path), "--false-alarms-per-hour", "60", "-o", str(tuned), *unseen]) == 0
    tuning = json.loads(capsys.readouterr().out)
    assert list(tuning["labels"]) == ["jump"]
    assert tuning["labels"]["jump"]["found"] > 0
    assert main(["run", str(tuned), "--source", str(tmp_path / f"r{figures['held_out_subjects'][0][1:]}.csv")]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {line["type"] for line in lines} == {"start", "event"}
    assert all(line["label"] == "jump" for line in lines)


@pytest.mark.parametrize(("arch", "precision"), [("gru", "int8"), ("transformer", "float32")])
def test_a_person_who_trains_for_events_is_told_what_comes_next(folder, tmp_path, capsys, arch, precision):
    quick = ["--arch", arch, "--hidden", "4", "--set", "steps=3", "--set", "chunk=20", "--set", "lanes=4"]
    assert main(["train", str(folder), "--events", "swing", *quick, "--out", str(tmp_path / "run")]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "of the samples right on people held out: p2" in captured.err
    assert f"next: edge-rnn export {tmp_path}/run/checkpoint.pt --precision {precision}" in captured.err
    assert f"then: edge-rnn tune model.ernn {folder} --people unseen" in captured.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--events", "wave"], "events are ['wave'], the data's classes are still, swing"),
        (["--events", "swing", "--epochs", "3"], "--epochs cannot be given with --events"),
        (["--events", "swing", "--set", "stepz=3"], "did you mean 'steps'?"),
        (["--events", "swing", "--set", "restart=3"], "restart is 3.0, expected 0 to 1"),
        (["--merge", "a=b"], "--merge goes with --events"),
        (["--events", "swing", "--merge", "a"], "expected NEW=A,B"),
    ],
)
def test_a_mistake_in_an_event_training_is_one_sentence(arguments, words, folder, tmp_path, capsys):
    assert main(["train", str(folder), *arguments, "--out", str(tmp_path / "run")]) == 2
    assert words in capsys.readouterr().err
