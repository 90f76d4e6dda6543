"""Training for events: what is fed, and that folds never judge themselves. No network is trained to a figure here."""

import json

import numpy as np
import pytest
import torch
from edge_rnn.export.crossvalidate import judge_folds, main
from edge_rnn.export.datasets import UNKNOWN, Recordings, merge
from edge_rnn.export.event_lanes import EventLanes
from edge_rnn.export.event_recipes import EventRecipe
from edge_rnn.export.events import train_events
from edge_rnn.export.train import repeatable

from edge_rnn.tune import Take

CLASSES = ("calm", "up", "down")


def recordings(people=5, rows=800):
    rng = np.random.default_rng(0)
    label = np.zeros((people, rows), np.int64)
    for r in range(people):
        for at in range(100, rows - 100, 200):
            label[r, at : at + 50] = 1 + (at // 200 + r) % 2
    label[:, :20] = UNKNOWN
    x = rng.normal(0, 0.2, (people * rows, 3)) + 2 * (label.reshape(-1, 1) > 0)
    start, ids = np.arange(people + 1) * rows, tuple(map(str, range(people)))
    return Recordings(
        x, np.ones(3), label.reshape(-1), start, ids, ids, 50.0, ("gx", "gy", "gz"), ("rad/s",) * 3, CLASSES
    )


def test_merged_classes_are_one_and_unknown_stays_unknown():
    data = merge(recordings(), "move", ["up", "down"])
    assert data.classes == ("calm", "move")
    assert set(np.unique(data.label)) == {-1, 0, 1}
    assert (data.label == 1).sum() == (recordings().label > 0).sum()


def test_lanes_stay_inside_a_recording_and_score_nothing_right_after_a_start():
    data = merge(recordings(), "move", ["up", "down"])
    recipe = EventRecipe(lanes=16, chunk=64, restart=0.3)
    lanes = EventLanes(data, [1], recipe, torch.Generator().manual_seed(1))
    for _ in range(50):
        before = lanes.age.clone()
        x, label, asked, fresh = lanes.next()
        assert x.shape == (16, 64, 3)
        assert torch.all(label[fresh][:, :50] == UNKNOWN)
        row = lanes.row - lanes.way * 64
        assert torch.all((row >= lanes.low) & (row < lanes.high))
        assert torch.all(lanes.age[~fresh] == before[~fresh] + 64)
        assert not asked.all()


def test_training_is_the_same_twice_and_learns_something():
    data = merge(recordings(), "move", ["up", "down"])
    recipe = EventRecipe(steps=30, lanes=8, chunk=64)
    with repeatable(0):
        one, two = (train_events(data, ["move"], hidden=4, recipe=recipe) for _ in range(2))
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


def take(peak):
    """Events of 50 samples whose probability reaches `peak`, and alarms at 0.6 elsewhere."""
    truth, p = np.zeros(5000, np.int8), np.full(5000, 0.01)
    for at in range(200, 5000, 500):
        truth[at : at + 50] = 1
        p[at + 5 : at + 40] = peak
        p[at + 200 : at + 220] = 0.6
    return Take(p, truth)


def test_a_fold_is_judged_by_parameters_of_the_others():
    folds = [[take(0.9)], [take(0.9)], [take(0.65)]]
    whole, each = judge_folds(folds, 50.0, per_hour=1.0, recall=0.95, early_s=0.0)
    assert whole.events == 30
    assert [o.found for o in each[:2]] == [10, 10]
    assert each[2].params.enter > 0.6  # what the others need; its own best would be lower


@pytest.mark.slow
def test_the_command_runs_through(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("edge_rnn.tune.ENTER", (0.3, 0.6, 0.9))
    data = recordings()
    np.savez(
        tmp_path / "d.npz", x=data.x, label=data.label + 1, rec_start=data.rec_start, rec_subject=np.array(data.rec_id),
        fs=50.0, channels=np.array(data.channels), units=np.array(data.units),
        classes=np.array(["UNLABELLED", *CLASSES]),
    )  # fmt: skip
    main([str(tmp_path / "d.npz"), "--merge", "move=up,down", "--event", "move", "--steps", "60",
          "--false-alarms-per-hour", "10000", "--recall", "0"])  # fmt: skip
    report = json.loads(capsys.readouterr().out)
    assert report["early_0_s"]["events"] == 15
