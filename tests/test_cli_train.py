"""`edge-rnn train` as a person or a script calls it."""

import json

import numpy as np
import pytest

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


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
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
