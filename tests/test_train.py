"""The training loop: determinism, resume, schedules, and the sentence a failed training gives. Tiny nets, seconds."""

import itertools
import json
import math
import os
import re
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from edge_rnn.export import Checkpoint, Network, train
from edge_rnn.export.architectures import ARCHITECTURES
from edge_rnn.export.datasets import Recordings
from edge_rnn.export.progress import Nothing, show_bar
from edge_rnn.export.recipes import Recipe, open_dataset
from edge_rnn.export.run_folder import Interrupted
from edge_rnn.export.train import learning_rate
from waiting import until

from edge_rnn.errors import DataError, UsageError

SETTINGS = {"window": "32", "hop": "16", "epochs": "10", "batch": "32", "validation": "4", "lanes": "8"}


def rhythms(people=5, seed=0):
    """Three frequencies of a noisy swing, by people who are a little different; int16 codes."""
    rng = np.random.default_rng(seed)
    pieces, labels, subjects = [], [], []
    for person in range(people):
        for label, frequency in enumerate((0.5, 1.5, 4.0)):
            t = np.arange(400) / 25
            phase = 2 * np.pi * frequency * (1 + 0.05 * rng.normal()) * t
            swing = np.stack([np.sin(phase), np.cos(phase), 0.2 * np.sin(2 * phase)], 1) + 0.1 * rng.normal(
                size=(400, 3)
            )
            pieces.append(np.rint(swing * 1000).astype(np.int16))
            labels.append(np.full(400, label))
            subjects.append(str(person))
    return Recordings(
        x=np.concatenate(pieces),
        scale=np.full(3, 1e-3),
        label=np.concatenate(labels),
        rec_start=np.arange(len(pieces) + 1) * 400,
        rec_subject=tuple(subjects),
        rec_id=tuple(str(r) for r in range(len(pieces))),
        rate_hz=25.0,
        channels=("ax", "ay", "az"),
        units=("g", "g", "g"),
        classes=("slow", "middle", "fast"),
    )


@pytest.fixture(scope="module")
def data():
    return rhythms()


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    return train(data, "gru", 8, out=tmp_path_factory.mktemp("run"), settings={**SETTINGS, "gains": "az:5"})


def weights(run):
    return Checkpoint.load(run.checkpoint).state_dict


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_it_learns_and_leaves_one_checkpoint_metrics_and_pictures(run):
    assert run.accuracy > 0.6  # chance is a third
    assert {p.name for p in run.folder.iterdir()} == {
        "checkpoint.pt", "metrics.json", "learning_curve.png", "confusion.png", "resume",
    }  # fmt: skip
    metrics = json.loads((run.folder / "metrics.json").read_text())
    assert len(metrics["history"]) == 10
    best = max(epoch["validation_accuracy"] for epoch in metrics["history"])
    assert metrics["validation"]["accuracy"] == pytest.approx(best)
    assert np.sum(metrics["validation"]["confusion"]) == metrics["validation"]["count"] == 3 * 24
    assert (run.folder / "confusion.png").read_bytes().startswith(b"\x89PNG")


def test_the_checkpoint_holds_all_that_export_needs(run, data):
    checkpoint = Checkpoint.load(run.checkpoint)
    x = open_dataset(data, SETTINGS).train.values()
    assert checkpoint.labels == ["slow", "middle", "fast"]
    assert [c["name"] for c in checkpoint.channels] == ["ax", "ay", "az"]
    np.testing.assert_allclose([c["mean"] for c in checkpoint.channels], x.mean(0), atol=1e-6)
    np.testing.assert_allclose(checkpoint.max_abs, np.abs(x).max(0))
    assert checkpoint.lsb == [1e-3] * 3
    assert checkpoint.window == 32
    assert checkpoint.rate_hz == 25.0
    assert checkpoint.training["train_subjects"] == ["0", "1", "2", "3"]
    assert checkpoint.training["validation_subjects"] == ["4"]
    assert checkpoint.golden_x.shape == (256, 3)
    assert checkpoint.calibration_x.shape == (4096, 3)
    network = checkpoint.build()
    expected = [c["std"] / gain for c, gain in zip(checkpoint.channels, (1, 1, 5), strict=True)]
    np.testing.assert_allclose(network.std.numpy(), expected, rtol=1e-6)
    assert checkpoint.build().to_graph().digest() == network.to_graph().digest()


def test_golden_and_calibration_samples_are_real_contiguous_stretches(run, data):
    checkpoint = Checkpoint.load(run.checkpoint)
    x = open_dataset(data, SETTINGS).train.values()
    where = {row.tobytes(): i for i, row in enumerate(x)}
    golden = [where[row.tobytes()] for row in checkpoint.golden_x]
    assert np.diff(golden).tolist() == [1] * 255
    edges = [*checkpoint.calibration_start, 4096]
    assert edges[0] == 0
    for start, stop in itertools.pairwise(edges):
        rows = [where[row.tobytes()] for row in checkpoint.calibration_x[start:stop]]
        assert np.diff(rows).tolist() == [1] * (stop - start - 1)
        assert rows[0] // 400 == rows[-1] // 400


@pytest.mark.parametrize(
    ("arch", "tbptt"), [*((arch, None) for arch in ARCHITECTURES), ("cnn", 25), ("transformer", 25)]
)
def test_every_architecture_trains_and_some_with_carried_state(arch, tbptt, data, tmp_path):
    run = train(data, arch, 8, layers=2, out=tmp_path, settings=SETTINGS, epochs=1, tbptt=tbptt)
    network = Checkpoint.load(run.checkpoint).build()
    assert network.spec() == Network.of(arch, 3, 3, hidden=8, layers=2, window=32).spec()
    start = Network.of(arch, 3, 3, hidden=8, layers=2, window=32).state_dict()
    assert all(not torch.equal(value, start[name]) for name, value in network.named_parameters())


def test_the_same_seed_gives_the_same_weights_and_another_seed_does_not(run, data, tmp_path):
    options = {"settings": {**SETTINGS, "gains": "az:5"}}
    torch.manual_seed(99)  # whatever the caller's generator stands at
    assert same(weights(run), weights(train(data, "gru", 8, out=tmp_path / "a", **options)))
    assert not same(weights(run), weights(train(data, "gru", 8, seed=1, out=tmp_path / "b", **options)))


def test_the_callers_generator_and_threads_are_left_alone(data, tmp_path):
    torch.manual_seed(5)
    expected, threads = torch.rand(3), torch.get_num_threads()
    torch.manual_seed(5)
    train(data, "gru", 4, out=tmp_path, settings=SETTINGS, epochs=1)
    torch.testing.assert_close(torch.rand(3), expected, atol=0, rtol=0)
    assert torch.get_num_threads() == threads


class StopAt(Nothing):
    """Ctrl-C in the middle of an epoch."""

    def __init__(self, epoch, step):
        self.left, self.wanted = step, epoch

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def step(self, epoch, loss):
        if epoch == self.wanted:
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt


@pytest.mark.parametrize("tbptt", [None, 16])
def test_an_interrupted_run_resumed_gives_the_very_same_weights(tbptt, data, tmp_path):
    options = {
        "settings": {**SETTINGS, "noise_sd": "0.05", "dropped": "0.02", "dropout": "0.2"},
        "tbptt": tbptt,
        "epochs": 3,
    }
    whole = train(data, "lstm", 6, out=tmp_path / "whole", **options)
    with pytest.raises(Interrupted, match="after 2 of 3 epochs: resume with"):
        train(data, "lstm", 6, out=tmp_path / "cut", progress=lambda epochs, steps: StopAt(2, 2), **options)
    assert not (tmp_path / "cut" / "checkpoint.pt").exists()
    resumed = train(data, "lstm", 6, out=tmp_path / "cut", resume=True, **options)
    assert same(weights(whole), weights(resumed))
    assert resumed.best_epoch == whole.best_epoch
    curve = [json.loads((r.folder / "metrics.json").read_text())["history"] for r in (whole, resumed)]
    assert [e["loss"] for e in curve[0]] == [e["loss"] for e in curve[1]]


def test_a_killed_process_leaves_a_run_that_resumes_bit_exactly(data, tmp_path):
    script = tmp_path / "run.py"
    script.write_text(
        textwrap.dedent(f"""
        import sys, time
        from contextlib import contextmanager
        sys.path.insert(0, {os.path.dirname(__file__)!r})
        from test_train import SETTINGS, rhythms
        from edge_rnn.export import train
        from edge_rnn.export.progress import Nothing
        class Late(Nothing):
            def epoch(self, done, accuracy):
                if done == 25:  # somebody kills it before the end, however fast it is
                    time.sleep(300)
        @contextmanager
        def late(epochs, steps):
            yield Late()
        train(rhythms(), "gru", 6, out=sys.argv[1], settings=SETTINGS, epochs=30, progress=late)
        """)
    )
    process = subprocess.Popen([sys.executable, str(script), str(tmp_path / "cut")])
    state = tmp_path / "cut" / "resume" / "state.pt"
    try:
        assert until(lambda: state.exists() or process.poll() is not None, 120)
    finally:
        process.kill()
        process.wait()
    assert torch.load(state, weights_only=True)["epoch"] < 30, "the run ended before it was killed: nothing was tested"
    resumed = train(data, "gru", 6, out=tmp_path / "cut", settings=SETTINGS, epochs=30, resume=True)
    whole = train(data, "gru", 6, out=tmp_path / "whole", settings=SETTINGS, epochs=30)
    assert same(weights(whole), weights(resumed))


def test_resume_of_another_run_is_refused_and_a_new_run_forgets_the_old(data, tmp_path):
    train(data, "gru", 4, out=tmp_path, settings=SETTINGS, epochs=1)
    with pytest.raises(UsageError, match="another hidden"):
        train(data, "gru", 5, out=tmp_path, settings=SETTINGS, epochs=1, resume=True)
    with pytest.raises(UsageError, match="another recipe"):
        train(data, "gru", 4, out=tmp_path, settings=SETTINGS, epochs=2, resume=True)
    (tmp_path / "resume" / "state.pt").write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(DataError, match="not a readable resume file"):
        train(data, "gru", 4, out=tmp_path, settings=SETTINGS, epochs=1, resume=True)
    with pytest.raises(DataError, match="not there"):
        train(data, "gru", 4, out=tmp_path / "new", settings=SETTINGS, epochs=1, resume=True)


def test_truncated_bptt_learns_with_carried_state(data, tmp_path):
    run = train(data, "gru", 8, out=tmp_path, settings={**SETTINGS, "epochs": "12"}, tbptt=25)
    checkpoint = Checkpoint.load(run.checkpoint)
    assert run.accuracy > 0.8
    assert checkpoint.training["metrics"]["tbptt"] == 25
    assert "whole" in checkpoint.training["metrics"]["scored"]


def test_a_diverged_training_is_told_with_epoch_and_step(data, tmp_path):
    with pytest.raises(
        UsageError, match=r"diverged: the loss became .* in epoch \d+, step \d+; lower the learning rate"
    ):
        train(data, "rnn-relu", 8, out=tmp_path, settings={**SETTINGS, "learning_rate": "1e30", "clip": "1e30"})
    assert not (tmp_path / "checkpoint.pt").exists()


def test_early_stopping_ends_a_training_that_no_longer_improves(data, tmp_path):
    settings = {**SETTINGS, "learning_rate": "1e-9", "patience": "2"}
    run = train(data, "gru", 4, out=tmp_path, settings=settings, epochs=6)
    assert run.epochs == 3


def test_learning_rate_warms_up_and_falls_to_zero_as_a_cosine():
    recipe = Recipe(epochs=10, learning_rate=1.0, warmup_epochs=1)
    rates = [learning_rate(recipe, 20, step) for step in range(201)]
    np.testing.assert_allclose(rates[:20], np.arange(1, 21) / 20)
    assert rates[20] == 1.0
    assert rates[110] == pytest.approx(0.5 * (1 + math.cos(math.pi * 90 / 180)))
    assert rates[200] == pytest.approx(0.0)
    assert all(a >= b for a, b in itertools.pairwise(rates[20:]))


def test_class_weights_are_the_inverse_share(tmp_path):
    from edge_rnn.export.losses import class_weights

    few = rhythms().select([0, 1, 2, 3])  # slow twice
    np.testing.assert_allclose(class_weights(few).numpy(), [4 / 6, 4 / 3, 4 / 3], rtol=1e-6)
    train(rhythms(), "gru", 4, out=tmp_path, settings={**SETTINGS, "class_weights": "true"}, epochs=1)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"settings": {**SETTINGS, "gains": "gx:3"}}, UsageError, r"gains are .*gx"),
        ({"settings": {**SETTINGS, "validation": "9"}}, DataError, r"\['9'\] are not in the data"),
        ({"settings": {**SETTINGS, "window": "500"}}, DataError, "has 400 samples, a window is 500"),
        ({"settings": {**SETTINGS, "dropout": "1.5"}}, UsageError, "dropout is 1.5"),
        ({"settings": {**SETTINGS, "batch": "0"}}, UsageError, "batch is 0"),
        ({"settings": {**SETTINGS, "background": "rest"}}, UsageError, "background is 'rest'"),
        ({"settings": {**SETTINGS, "labels": "slow"}}, DataError, "1 class"),
        ({"settings": SETTINGS, "tbptt": 1}, UsageError, "tbptt is 1"),
        ({"settings": SETTINGS, "arch": "tcn"}, UsageError, "architecture is 'tcn'"),
    ],
)
def test_what_cannot_be_trained_is_told_before_any_step(options, error, words, data, tmp_path):
    with pytest.raises(error, match=words):
        train(data, out=tmp_path, **options)


def test_the_defaults_of_data_nobody_named_are_256_cs_and_half_of_it(data):
    recipe = open_dataset(data).recipe
    assert (recipe.window, recipe.hop) == (64, 32)
    assert recipe.validation == ("2",)


def test_nothing_is_drawn_in_a_pipe(data, tmp_path, capfd):
    train(data, "gru", 4, out=tmp_path, settings=SETTINGS, epochs=1, progress=show_bar)
    assert capfd.readouterr() == ("", "")


def test_a_terminal_sees_epoch_loss_accuracy_and_time_left(data, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "140")
    train(data, "gru", 4, out=tmp_path, settings=SETTINGS, epochs=2, progress=show_bar)
    shown = capfd.readouterr()
    assert shown.out == ""
    for word in ("epoch 2/2", "loss", "validation", "%", "left"):
        assert word in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.err)
