"""`edge-rnn tune` on recordings made from a bundle's own behaviour."""

import json

import numpy as np
import pytest
from edge_rnn.export import export_bundle
from edge_rnn.export.event_recipes import parse_merge
from edge_rnn.export.scoring import read, read_for
from edge_rnn.export.tuning import plot_tradeoff, takes_of, tune
from test_cli import MODELS

import edge_rnn
from edge_rnn.cli.main import main
from edge_rnn.errors import DataError, UsageError


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    path = tmp_path_factory.mktemp("tune") / "m.ernn"
    return export_bundle(MODELS / "watch_gru32.pt", path, precision="int8", steps=100).path


@pytest.fixture(scope="module")
def data(bundle, tmp_path_factory):
    """Events are where the model itself is sure of its first label; so a good tuning finds nearly all."""
    model = edge_rnn.load(bundle)
    golden = model.bundle.golden["x"][:128]
    x = np.concatenate([np.tile(golden * s, (6, 1)) for s in (1, 0.05, -1, 0.4, -0.5, 1)]).astype(np.float32)
    y = model.run(x)
    first = np.bincount(y.argmax(1)).argmax()
    label = np.where(y.argmax(1) == first, 1, 2)
    name = model.manifest.labels[first]
    path = tmp_path_factory.mktemp("tune") / "d.npz"
    arrays = {"x": x, "label": np.where(label == 1, 1, 0), "rec_start": np.array([0, len(x)]), "fs": 50.0}
    channels = np.array([c.name for c in model.manifest.channels])
    np.savez(path, **arrays, channels=channels, classes=np.array(["OTHER", name]), rec_subject=np.array(["someone"]))
    return path, name


def test_tune_writes_a_bundle_that_finds_what_it_promises(bundle, data, tmp_path, capsys):
    path, name = data
    out, plot = tmp_path / "t.ernn", tmp_path / "curve.png"
    code = main(["tune", str(bundle), str(path), "--false-alarms-per-hour", "60", "-o", str(out), "--json",
                 "--allow-seen", "--plot", str(plot)])  # fmt: skip
    assert code == 0
    said = json.loads(capsys.readouterr().out)["labels"][name]
    assert said["found"] > 0
    assert said["recall"] > 0.5
    assert said["false_alarms_per_hour"] <= 60
    old, new = edge_rnn.load(bundle).manifest, edge_rnn.load(out).manifest
    assert new.model_digest == old.model_digest
    assert new.tuning["labels"][name]["found"] == said["found"]
    assert {k: v for k, v in old.detector.items() if k != name} == {k: v for k, v in new.detector.items() if k != name}
    assert plot.read_bytes().startswith(b"\x89PNG")
    stream = edge_rnn.load(out).stream()
    with np.load(path) as file:
        x, label = file["x"], file["label"]
    starts = [e.t_ns // 20_000_000 for e in stream.push(x) if isinstance(e, edge_rnn.Started) and e.label == name]
    edges = np.flatnonzero(np.diff(np.concatenate([[0], label, [0]])))
    events = [(max(a, new.warmup_samples), b) for a, b in zip(edges[::2], edges[1::2], strict=True)]
    assert sum(any(a <= s < b for s in starts) for a, b in events) == said["found"]
    assert sum(label[s] == 0 for s in starts) == said["false_alarms"]


def test_people_of_the_training_are_refused(bundle, data, tmp_path):
    path, _ = data
    training = edge_rnn.load(bundle).manifest.training
    seen = str(training["train_subjects"][0])
    arrays = dict(np.load(path))
    np.savez(tmp_path / "seen.npz", **{**arrays, "rec_subject": np.array([seen])})
    run = [
        "tune",
        str(bundle),
        str(tmp_path / "seen.npz"),
        "--false-alarms-per-hour",
        "60",
        "-o",
        str(tmp_path / "o.ernn"),
    ]
    assert main(run) == 2
    assert not (tmp_path / "o.ernn").exists()
    del arrays["rec_subject"]
    np.savez(tmp_path / "nobody.npz", **arrays)
    assert main([*run[:2], str(tmp_path / "nobody.npz"), *run[3:]]) == 2


def test_what_cannot_be_tuned_is_told(bundle, data):
    path, name = data
    model = edge_rnn.load(bundle)
    with pytest.raises(DataError, match="no parameters"):
        tune(model, read(path), [name], per_hour=60, latency_s=-1)
    with pytest.raises(DataError, match="lack the class"):
        takes_of(model, read(path), "nothing")
    with pytest.raises(UsageError, match="NEW=A,B"):
        parse_merge("x")
    assert read(path, parse_merge("ANY=OTHER")).classes == (name, "ANY")


def test_the_curve_is_drawn_without_a_window(bundle, data, tmp_path):
    path, name = data
    plot_tradeoff(tune(edge_rnn.load(bundle), read(path), [name], 60), tmp_path / "c.png")
    assert (tmp_path / "c.png").stat().st_size > 5000


def test_neither_or_both_targets_are_refused(bundle, data):
    assert main(["tune", str(bundle), str(data[0]), "--false-alarms-per-hour", "1"]) == 2


def test_score_says_what_the_bundles_own_detector_does(bundle, data, tmp_path, capsys):
    """The stream's events, counted here a second time, and tune's own figures."""
    path, name = data
    tuned = tmp_path / "t.ernn"
    options = ["--allow-seen", "--label", name, "--json"]
    main(["tune", str(bundle), str(path), "--false-alarms-per-hour", "60", "-o", str(tuned), *options])
    promised = json.loads(capsys.readouterr().out)["labels"][name]
    assert main(["score", str(tuned), str(path), *options]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["labels"][name] == {k: v for k, v in promised.items() if k != "params"}
    assert said["subjects"] == ["someone"]
    assert main(["score", str(tuned), str(path), "--label", "nothing", "--allow-seen"]) == 2


def test_people_are_chosen_by_name_or_as_those_the_bundle_has_not_seen(bundle, data, tmp_path):
    path, _ = data
    model = edge_rnn.load(bundle)
    seen = str(model.manifest.training["train_subjects"][0])
    arrays = dict(np.load(path))
    half = len(arrays["x"]) // 2
    start = np.array([0, half, len(arrays["x"])])
    np.savez(tmp_path / "two.npz", **{**arrays, "rec_start": start, "rec_subject": np.array([seen, "new"])})
    assert read_for(model, tmp_path / "two.npz", people="unseen").subjects == ("new",)
    assert read_for(model, tmp_path / "two.npz", people=seen).subjects == (seen,)
    with pytest.raises(UsageError, match="recordings are of"):
        read_for(model, tmp_path / "two.npz", people="nobody")


def test_enough_recall_is_traded_for_a_shorter_latency(bundle, data):
    path, name = data
    model, recordings = edge_rnn.load(bundle), read(path)
    most = tune(model, recordings, [name], 60)[0].chosen
    enough = tune(model, recordings, [name], 60, recall=0.5)[0].chosen
    assert enough.recall >= 0.5
    assert np.median(enough.latencies_s) <= np.median(most.latencies_s)
    with pytest.raises(DataError, match="and 100% of the events"):
        tune(model, recordings, [name], -1.0, recall=1.0)
