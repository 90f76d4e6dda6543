import numpy as np

from edge_rnn.manifest import Channel
from edge_rnn.probe import SATURATION, probe

CHANNELS = [Channel("a", "g", 0.0, 1.0, -3.0, 4.0), Channel("b", "", 50.0, 0.0, 50.0, 50.0)]


def test_the_same_seed_gives_the_same_samples_and_another_one_others():
    assert np.array_equal(probe(CHANNELS, 1000), probe(CHANNELS, 1000))
    assert not np.array_equal(probe(CHANNELS, 1000), probe(CHANNELS, 1000, seed=1))


def test_half_walks_within_the_training_range():
    x = probe(CHANNELS, 10_000)[:5000]
    assert x[:, 0].min() >= -3.0
    assert x[:, 0].max() <= 4.0
    assert np.ptp(x[:, 0]) > 6.5  # it goes everywhere
    assert np.abs(np.diff(x[:, 0])).max() < 2  # and does not jump
    assert np.abs(x[:, 1] - 50).max() < 1e-3  # a constant channel stays


def test_a_quarter_bursts_that_leave_the_range_and_come_back():
    x = probe(CHANNELS, 10_000)[5000:7500, 0]
    outside = (x < -3.0) | (x > 4.0)
    assert 0.1 < outside.mean() < 0.6
    assert np.diff(outside.astype(int)).clip(0).sum() > 20


def test_a_quarter_saturates_in_either_sign():
    x = probe(CHANNELS, 10_000)[7500:]
    assert set(np.unique(x[:, 0])) == {-4 * SATURATION, 4 * SATURATION}
    assert set(np.unique(x[:, 1])) == {-50 * SATURATION, 50 * SATURATION}


def test_any_number_of_steps_is_finite_float32():
    for steps in (1, 2, 3, 5, 7, 100):
        x = probe(CHANNELS, steps)
        assert x.shape == (steps, 2)
        assert x.dtype == np.float32
        assert np.isfinite(x).all()
