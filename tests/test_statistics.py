"""Live statistics: units that do not fit are told, a sensor that is merely used otherwise is not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_rnn.manifest import Channel
from edge_rnn.statistics import BLOCKS, LiveStatistics

ACC = [Channel(name, "g", mean, 0.4, -2, 2) for name, mean in (("ax", 0.8), ("ay", 0.1), ("az", 0.1))]
GYRO = [Channel(name, "rad/s", 0.0, 0.5, -4, 4) for name in ("gx", "gy", "gz")]


def warned(acc=1.0, gyro=1.0, seconds=20, turned=False):
    rng = np.random.default_rng(0)
    still = np.array([0.1, 0.1, 0.9] if turned else [0.9, 0.1, 0.1])
    n = int(50 * seconds)
    x = np.hstack([acc * (still + rng.normal(0, 0.2, (n, 3))), gyro * rng.normal(0, 0.5, (n, 3))]).astype(np.float32)
    live = LiveStatistics([*ACC, *GYRO], 50.0)
    for part in np.array_split(x, 7):
        live.push(part)
    return live.warnings()


def test_the_same_units_are_not_warned_of_however_it_is_worn():
    assert warned() == warned(turned=True) == warned(gyro=0.01) == warned(gyro=2.5) == []


@pytest.mark.parametrize(
    ("scales", "words"),
    [
        ({"acc": 9.81}, "ax, ay, az look like m/s2, the model wants g"),
        ({"acc": 1000}, "look like mg"),
        ({"gyro": 57.3}, "gx, gy, gz look like deg/s, the model wants rad/s"),
        ({"acc": 0.05}, "times smaller"),
        ({"gyro": 300}, "times larger"),
    ],
)
def test_other_units_are_named(scales, words):
    assert any(words in warning for warning in warned(**scales))


def test_a_spike_now_and_then_says_nothing_of_units():
    rng = np.random.default_rng(0)
    x = rng.normal([0.8, 0.1, 0.1], 0.2, (50 * 1000, 3)).astype(np.float32)
    x[::10_000] = 1e30
    live = LiveStatistics(ACC, 50.0)
    for part in np.array_split(x, 97):
        live.push(part)
    assert live.warnings() == []
    assert len(live._blocks) < BLOCKS


@given(st.lists(st.integers(0, 130), max_size=12))
def test_blocks_are_whole_seconds_however_the_samples_are_cut(sizes):
    x = np.arange(1.0, 1 + 3 * sum(sizes)).reshape(-1, 3).astype(np.float32)
    live, at = LiveStatistics(ACC, 50.0), 0
    for size in sizes:
        live.push(x[at : at + size])
        at += size
    whole = len(x) // 50
    assert len(live._blocks) == whole
    for number, block in enumerate(live._blocks):
        np.testing.assert_allclose(block[1], np.square(x[50 * number : 50 * number + 50].astype(float)).sum(0))
        assert block[0].tolist() == [50] * 3
    assert live._open[0].tolist() == [len(x) - 50 * whole] * 3


def test_ten_seconds_are_waited_for_and_bad_samples_do_not_count():
    assert warned(acc=9.81, seconds=5) == []
    live = LiveStatistics(ACC, 50.0)
    x = np.tile(np.array([0.9, 0.1, 0.1], np.float32), (1000, 1))
    x[::2] = np.nan
    x[1] = np.inf
    live.push(x)
    assert live.warnings() == []
