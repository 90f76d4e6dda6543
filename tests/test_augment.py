"""Alterations of inertial windows: each is checked against what it means physically."""

import itertools
import math

import numpy as np
import pytest
import torch
from edge_rnn.export.augment import Axes, Wearing, disturb, draw_wearing, find_axes, hold, rotations, wear
from edge_rnn.export.datasets import UNKNOWN, Recordings
from edge_rnn.export.feeds import Crops, Lanes
from edge_rnn.export.recipes import Recipe


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    ("channels", "units", "expected"),
    [
        (["acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "gyro_z"], ["g"] * 3 + ["rad/s"] * 3, ([0, 3], [3, 4, 5])),
        (["ax", "ay", "az", "wx", "wy", "wz"], [""] * 6, ([0, 3], [3, 4, 5])),
        (["t", "z", "ay", "ax", "az"], [""] * 5, ([3], [])),
        (["emg0", "emg1"], ["", ""], ([], [])),
        (["ax", "ay"], ["g", "g"], ([], [])),
    ],
)
def test_axes_are_found_by_name_and_gyroscopes_by_unit(channels, units, expected):
    axes = find_axes(channels, units)
    assert [triad[0] for triad in axes.triads] == expected[0]
    assert list(axes.gyroscope) == expected[1]


def test_rotations_are_proper_and_turn_by_no_more_than_asked():
    turn = rotations(500, math.radians(35), generator()).double()
    eye = torch.eye(3, dtype=torch.float64).expand(500, 3, 3)
    torch.testing.assert_close(turn @ turn.transpose(1, 2), eye, atol=1e-6, rtol=0)
    torch.testing.assert_close(torch.linalg.det(turn), torch.ones(500, dtype=torch.float64), atol=1e-6, rtol=0)
    trace = turn.diagonal(dim1=1, dim2=2).sum(1)
    angle = torch.rad2deg(torch.acos(((trace - 1) / 2).clamp(-1, 1)))
    assert angle.max() <= 35.01
    assert abs(angle.mean() - 17.5) < 1.5


def test_wearing_turns_every_triad_alike_scales_all_and_leaves_the_rest():
    axes = Axes(((0, 1, 2), (3, 4, 5)), (3, 4, 5))
    x = torch.randn(4, 10, 7)
    worn = Wearing(rotations(4, 1.0, generator()), torch.tensor([1.0, 2.0, 0.5, 1.0]))
    got = wear(x, axes, worn)
    for b in range(4):
        for triad in axes.triads:
            expected = worn.gain[b] * (x[b][:, list(triad)] @ worn.turn[b].T)
            torch.testing.assert_close(got[b][:, list(triad)], expected)
        torch.testing.assert_close(got[b, :, 6], worn.gain[b] * x[b, :, 6])


def test_nothing_asked_alters_nothing():
    recipe = Recipe(rotation_deg=0.0, gain_sd=0.0)
    x = torch.randn(3, 8, 6)
    axes = Axes(((0, 1, 2),), ())
    got = disturb(wear(x, axes, draw_wearing(3, recipe, generator())), recipe, torch.ones(6), generator())
    torch.testing.assert_close(got, x, atol=0, rtol=0)


def test_noise_is_in_standard_deviations_of_the_channel():
    recipe = Recipe(noise_sd=0.1)
    got = disturb(torch.zeros(50, 200, 2), recipe, torch.tensor([1.0, 5.0]), generator())
    np.testing.assert_allclose(got.std((0, 1)).numpy(), [0.1, 0.5], rtol=0.05)


def test_dropped_samples_hold_the_last_one_that_came():
    x = torch.arange(6.0)[None, :, None]
    lost = torch.tensor([[True, True, False, True, True, False]])
    assert hold(x, lost).flatten().tolist() == [0, 0, 2, 2, 2, 5]
    share = disturb(torch.arange(1000.0)[None, :, None], Recipe(dropped=0.2), torch.ones(1), generator())
    assert 0.15 < float((share.flatten() != torch.arange(1000.0)).float().mean()) < 0.25


def ramps(lengths=(300, 200, 500), labels=(0, 1, UNKNOWN), subjects=("1", "2", "3")):
    """Recording r holds r * 10000 + t in channel a and its label throughout; b is noise."""
    x = np.concatenate([10000.0 * r + np.arange(n) for r, n in enumerate(lengths)])
    return Recordings(
        x=np.stack([x, np.random.default_rng(0).normal(size=len(x))], 1),
        scale=np.ones(2),
        label=np.repeat(labels, lengths),
        rec_start=np.concatenate([[0], np.cumsum(lengths)]),
        rec_subject=subjects,
        rec_id=subjects,
        rate_hz=50.0,
        channels=("a", "b"),
        units=("", ""),
        classes=("p", "q"),
    )


PLAIN = {"rotation_deg": 0.0, "gain_sd": 0.0, "window": 50, "hop": 25, "batch": 64, "lanes": 8}


def test_crops_stay_inside_their_segment_and_are_uniform():
    feed = Crops(ramps(), Axes((), ()), Recipe(**PLAIN, warp=0.0), torch.ones(2))
    chance = generator()
    batches = [batch for _ in range(60) for batch in feed.epoch(chance)]
    first = torch.cat([batch.x[:, 0, 0] for batch in batches])
    labels = torch.cat([batch.label[:, 0] for batch in batches])
    assert ((first < 9999) == (labels == 0)).all()
    assert first[labels == 0].min() >= 0
    assert first[labels == 0].max() <= 250
    assert first[labels == 1].max() <= 10150
    assert (torch.cat([batch.x for batch in batches])[..., 0].diff(dim=1) == 1).all()
    share = float((labels == 0).float().mean())
    assert share == pytest.approx(251 / (251 + 151), abs=0.02)
    assert set(first[labels == 1].tolist()) == set(range(10000, 10151))


def test_warped_crops_interpolate_inside_the_segment_and_the_gyroscope_follows():
    recipe = Recipe(**PLAIN, warp=0.3)
    plain = Crops(ramps(), Axes((), ()), recipe, torch.ones(2))
    turned = Crops(ramps(), Axes((), (1,)), recipe, torch.ones(2))
    a = next(plain.epoch(generator(5)))
    b = next(turned.epoch(generator(5)))
    speed = a.x[:, 1:, 0].sub(a.x[:, :-1, 0]).mean(1)
    assert speed.min() >= math.exp(-0.3) - 1e-3
    assert speed.max() <= math.exp(0.3) + 1e-3
    assert speed.std() > 0.1
    inside = a.x[..., 0] % 10000
    assert (inside <= torch.where(a.label == 0, 299, 199)).all()
    torch.testing.assert_close(b.x[..., 1], a.x[..., 1] * speed[:, None], atol=1e-2, rtol=1e-2)


def test_a_segment_of_exactly_one_window_is_used_whole():
    data = ramps(lengths=(50, 50, 60), labels=(0, 1, UNKNOWN))
    batch = next(Crops(data, Axes((), ()), Recipe(**PLAIN, warp=0.5), torch.ones(2)).epoch(generator()))
    assert (batch.x[..., 0] % 10000 <= 49).all()


def test_lanes_go_on_where_they_stopped_and_start_anew_at_a_recordings_end():
    feed = Lanes(ramps(), Axes((), ()), Recipe(**PLAIN), torch.ones(2), chunk=20)
    batches = list(feed.epoch(generator()))
    assert len(batches) == 1000 // (8 * 20)
    assert batches[0].restart.all()
    for before, after in itertools.pairwise(batches):
        goes_on = ~after.restart
        torch.testing.assert_close(after.x[goes_on, 0, 0], before.x[goes_on, -1, 0] + 1)
        assert (before.x[after.restart, -1, 0] % 10000 + 20 >= torch.tensor(180)).all()


def test_lanes_score_neither_unknown_samples_nor_the_first_quarter_of_a_window():
    feed = Lanes(ramps(), Axes((), ()), Recipe(**PLAIN), torch.ones(2), chunk=20)
    first, second = list(feed.epoch(generator()))[:2]
    assert (first.label[:, :12] == UNKNOWN).all()
    known = first.x[:, 12:, 0] < 20000
    assert ((first.label[:, 12:] != UNKNOWN) == known).all()
    went_on = ~second.restart & (second.x[:, 0, 0] < 20000)
    assert (second.label[went_on] != UNKNOWN).all()


def test_a_recording_shorter_than_a_chunk_is_padded_and_the_padding_not_scored():
    data = ramps(lengths=(30, 30, 30), labels=(0, 1, 0))
    batch = next(Lanes(data, Axes((), ()), Recipe(**PLAIN), torch.ones(2), chunk=64).epoch(generator()))
    assert (batch.label[:, 30:] == UNKNOWN).all()
    assert (batch.label[:, 12:30] != UNKNOWN).all()
