"""`compare` on tiny data: equal budgets, trainings kept, every row of the table, pages that stand alone."""

import json
import re
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
from edge_rnn.export import Network
from edge_rnn.export.compare import compare
from edge_rnn.export.compare_budget import contenders, known_architectures
from edge_rnn.export.compare_cost import steps_of
from edge_rnn.export.compare_memory import horizon, saliency, shares
from edge_rnn.export.compare_quality import quality, spread
from edge_rnn.export.compare_report import ROWS
from edge_rnn.export.compare_train import Paused, trained
from edge_rnn.export.compare_words import findings
from edge_rnn.export.exporting import export_bundle
from edge_rnn.export.progress import Nothing
from edge_rnn.export.recipes import open_dataset
from edge_rnn.export.samples import stretches
from test_train import SETTINGS, rhythms

from edge_rnn.bundle import read_bundle
from edge_rnn.cli.main import main
from edge_rnn.errors import UsageError

BUDGET = 400
OPTIONS = {"settings": {**SETTINGS, "epochs": "2"}, "budget": BUDGET, "lengths": (8,)}


@contextmanager
def quietly(what, total):
    yield lambda: None


@pytest.fixture(scope="module")
def dataset():
    return open_dataset(rhythms(), {**SETTINGS, "epochs": "2"})


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    out, said = tmp_path_factory.mktemp("compare"), []
    names = ["gru", "cnn", "perceptron"]
    return compare(rhythms(), out, arch=names, seeds=2, stages=quietly, say=said.append, **OPTIONS), out, said


def test_every_architecture_comes_as_near_to_the_budget_as_its_sizes_allow(dataset):
    rows = contenders(list(known_architectures()), dataset, 3000)
    assert {row.arch for row in rows} == set(known_architectures())
    for row in rows:
        if row.arch == "perceptron":
            continue
        mine = abs(row.parameters - 3000)
        step = 2 if row.arch == "transformer" else 1
        for hidden in (row.hidden - step, row.hidden + step):
            if hidden > 0:
                network = Network.of(row.arch, 3, 3, hidden=hidden, window=32)
                assert abs(sum(p.numel() for p in network.parameters()) - 3000) >= mine


def test_parameters_are_those_a_bundle_counts(dataset):
    (row,) = contenders(["gru"], dataset)
    assert row.hidden == 32
    assert row.parameters == Network.of("gru", 3, 3, hidden=32).to_graph().parameters


def test_a_size_can_be_asked_for_and_nonsense_is_refused(dataset):
    small, large = contenders(["mlp", "mlp@64"], dataset, 500)
    assert (large.name, large.hidden, large.fixed) == ("mlp@64", 64, True)
    assert small.name == "mlp"
    for wrong in (["mlp@x"], ["grru"], ["gru", "gru"]):
        with pytest.raises(UsageError, match=r"name@units|expected one of|twice"):
            contenders(wrong, dataset, 500)


def test_the_report_has_every_row_for_every_architecture(compared):
    report, out, _ = compared
    assert list(report["architectures"]) == ["gru", "cnn", "perceptron"]
    for row in report["architectures"].values():
        assert len(row["accuracy"]["windows"]["values"]) == 2
        assert {"receptive_field", "forgets_s", "one_percent_steps"} <= set(row["memory"])
        assert len(row["parallelism"]["samples_per_s"]["2"]) == 1
        assert sum(row["saliency"]["channels"].values()) == pytest.approx(1, abs=1e-3)
        cost = row["streaming"]["float32"]
        assert cost["macs"] > 0
        if "not_measured" not in cost:
            assert cost["p50_us"] == cost["engines"][cost["engine"]] == min(cost["engines"].values())
        for part in ("int8", "firmware"):  # measured, or why not
            assert len(row[part]) > 1 or ": " in row[part]["not_measured"]
        for _title, cell in ROWS:
            assert cell(row)
    gru = report["architectures"]["gru"]
    assert gru["streaming"]["float32"]["state_bytes"] == 4 * gru["hidden"]
    assert gru["memory"]["receptive_field"] is None
    assert 0 <= gru["int8"]["agreement"] <= 1
    assert json.loads((out / "report.json").read_text()) == report


def test_the_pages_stand_alone_and_say_the_same(compared):
    _, out, _ = compared
    page, text = (out / "report.html").read_text(), (out / "report.md").read_text()
    assert page.count("data:image/png;base64,") == 4
    assert not re.search(r'(src|href)="(?!data:)', page)
    for title, _cell in ROWS:
        assert f"| {title} |" in text
        assert f"<td>{title}</td>" in page
    for picture in re.findall(r"\]\((.*?\.png)\)", text):
        assert (out / picture).read_bytes().startswith(b"\x89PNG")
    assert "they also chose the epoch" in text  # this data has no test split


def test_a_finished_training_is_taken_again_unless_the_recipe_is_another(compared, dataset, monkeypatch):
    report, out, said = compared
    assert len(said) == 6

    def never(*_, **__):
        raise AssertionError("trained again")

    monkeypatch.setattr("edge_rnn.export.compare_train.train", never)
    (row,) = contenders(["gru"], dataset, BUDGET)
    found = [trained(dataset, row, seed, out).validation_accuracy for seed in (0, 1)]
    assert found == report["architectures"]["gru"]["training"]["validation_accuracy"]["values"]
    other = replace(dataset, recipe=replace(dataset.recipe, epochs=3))
    with pytest.raises(AssertionError, match="trained again"):
        trained(other, row, 0, out)


class StopAtSecond(Nothing):
    """Ctrl-C in the second epoch."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def step(self, epoch, loss):
        if epoch == 1:
            raise KeyboardInterrupt


def test_an_interrupted_training_goes_on_where_it_stopped(dataset, tmp_path, monkeypatch):
    (row,) = contenders(["gru"], dataset, 200)
    with pytest.raises(Paused, match="interrupted in gru, seed 0: the same command goes on"):
        trained(dataset, row, 0, tmp_path, lambda epochs, steps: StopAtSecond())
    from edge_rnn.export.compare_train import train

    asked = []
    monkeypatch.setattr(
        "edge_rnn.export.compare_train.train", lambda *a, **k: (asked.append(k["resume"]), train(*a, **k))
    )
    whole = trained(dataset, row, 0, tmp_path / "whole")
    cut = trained(dataset, row, 0, tmp_path)
    assert asked == [False, True]
    mine, other = whole.checkpoint.state_dict, cut.checkpoint.state_dict
    assert all(torch.equal(mine[name], other[name]) for name in mine)


def test_an_architecture_without_an_int8_form_is_told_so_and_stops_nothing(compared):
    report, out, _ = compared
    text = (out / "report.md").read_text()
    for name, row in report["architectures"].items():
        if "not_measured" in row["int8"]:
            assert row["int8"]["not_measured"].startswith("float only: ")
            assert f"**{name}**, int8: float only: " in text


def test_events_are_found_by_a_perfect_classifier_and_by_no_other(dataset):
    """A network that reads the label off a channel finds every stretch; one that always answers 0 only its own."""

    data = dataset.validation
    shown = replace(data, x=np.eye(3, dtype=np.float32)[data.label], scale=np.ones(3))

    class Reads:
        labels, background = data.classes, None

        def __init__(self, matrix):
            self.network = Network.of("perceptron", 3, 3, window=None)
            with torch.no_grad():
                self.network.head.weight.copy_(torch.tensor(matrix) * 20.0)
                self.network.head.bias.zero_()

        def build(self):
            return self.network.eval()

    perfect = quality(Reads(np.eye(3)), shown, 32, 16)
    assert (perfect.windows, perfect.samples, perfect.events.recall, perfect.events.false_alarms) == (1, 1, 1, 0)
    stuck = quality(Reads(np.array([[1.0, 1, 1], [0, 0, 0], [0, 0, 0]])), shown, 32, 16)
    assert stuck.samples == pytest.approx(1 / 3)
    assert stuck.events.recall == pytest.approx(1 / 3)
    assert stuck.events.false_alarms == 2


def test_a_network_without_memory_forgets_at_once_and_a_window_after_its_length(dataset):
    now = Network.of("perceptron", 3, 3)
    assert horizon(now, dataset.validation, 32) == (0.0, 0.0)
    torch.manual_seed(0)
    window = Network.of("perceptron", 3, 3, window=32)
    with torch.no_grad():
        window.head.weight.mul_(200)
    median, worst = horizon(window, dataset.validation, 32)
    assert 0 < median <= worst <= 31 / 25


def test_saliency_is_the_gradient_by_finite_differences(dataset):
    torch.manual_seed(0)
    network = Network.of("gru", 3, 3, hidden=4).double()
    network.std.copy_(torch.tensor([500.0, 1000.0, 2000.0]))
    x = stretches(dataset.validation, 6, 1)[0][0].double().numpy()
    found, answer = saliency(network, x)
    for t, channel in ((0, 1), (5, 0), (5, 2)):
        sides = []
        for sign in (1, -1):
            moved = x.copy()
            moved[t, channel] += sign * 1e-3
            sides.append(float(network(torch.from_numpy(moved)[None])[0][0, -1, answer].detach()))
        slope = abs(sides[0] - sides[1]) / 2e-3 * float(network.std[channel])
        assert found[t, channel] == pytest.approx(slope, rel=1e-4)
    told = shares(np.array([[0.0, 1, 0], [1, 0, 2]]), ["a", "b", "c"])
    assert told == {"channels": {"a": 0.25, "b": 0.25, "c": 0.5}, "half_in_last": 1}


def test_the_fastest_engine_is_named_among_those_that_take_the_bundle(compared):
    _, out, _ = compared
    bundle = read_bundle(out / "bundles" / "gru-float32.ernn")
    assert {"numpy", "onnxruntime"} <= set(steps_of(bundle, np.zeros((1, 3), np.float32)))
    assert export_bundle  # the bundles came from it


def row_of(arch, values, speed=1.0, fall=0.0):
    cost = {"state_bytes": 4, "macs": 9}
    return {
        "arch": arch, "accuracy": {"windows": spread(values), "samples": spread([values[0] - fall])},
        "streaming": {"float32": cost},
        "parallelism": {"samples_per_s": {"1": [speed]}, "lengths": [8]}, "gradient": {"warnings": []},
    }  # fmt: skip


def test_words_follow_from_figures_and_a_tie_is_called_one():
    told = " ".join(findings({"gru": row_of("gru", [0.94, 0.96]), "cnn": row_of("cnn", [0.93, 0.95], 5.0)}, 1000))
    assert "Most windows right: **gru**, 95.0%; within what chance does: cnn 94.0%" in told
    assert "they tie" in told
    assert "cnn is 5.0 times as fast as gru" in told
    told = " ".join(findings({"gru": row_of("gru", [0.90, 0.901]), "cnn": row_of("cnn", [0.95, 0.951])}, 4000))
    assert "the other one is better" in told
    told = " ".join(findings({"gru": row_of("gru", [0.94]), "cnn": row_of("cnn", [0.95])}, 500))
    assert "its state runs on" not in told
    assert "its state runs on" in " ".join(findings({"gru": row_of("gru", [0.94], fall=0.5)}, 500))
    told = " ".join(findings({"gru": row_of("gru", [0.94]), "cnn": row_of("cnn", [0.95])}, 500))
    assert "they tie" in told  # five windows more of 500, on one seed


def test_the_command_writes_a_report_and_tells_it_in_json(tmp_path, capsys):
    data = rhythms()
    np.savez(
        tmp_path / "d.npz", x=data.x, scale=data.scale, label=data.label, rec_start=data.rec_start, fs=25.0,
        rec_subject=np.array(data.rec_subject), channels=np.array(data.channels), classes=np.array(data.classes),
    )  # fmt: skip
    options = [f"--set={key}={value}" for key, value in SETTINGS.items()]
    call = ["compare", str(tmp_path / "d.npz"), "--out", str(tmp_path / "out"), "--arch", "perceptron", *options]
    assert main([*call, "--seeds", "1", "--epochs", "1", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert list(told["architectures"]) == ["perceptron"]
    assert told["recipe"]["epochs"] == 1
    assert (tmp_path / "out" / "report.html").is_file()
