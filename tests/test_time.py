"""Rate estimate and resampler."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_rnn.clock import POINTS, RateEstimate
from edge_rnn.errors import UsageError
from edge_rnn.recording import Chunk
from edge_rnn.resample import Resampler


@pytest.mark.parametrize("ppm", [-500, 0, 80, 30_000])
def test_drift_is_found_under_jitter_and_a_stall(ppm):
    rng = np.random.default_rng(1)
    t = np.arange(200_000) * 20e6 / (1 + ppm * 1e-6) + rng.normal(0, 2e6, 200_000)
    t[150_000:] += 30e9  # a suspend
    estimate = RateEstimate(50.0)
    for part in np.array_split(t.astype(np.int64), 37):
        estimate.push(part)
    assert estimate.drift_ppm == pytest.approx(ppm, abs=15)
    assert len(estimate._points) <= POINTS
    assert (estimate.warning() is not None) == (ppm == 30_000)


def test_without_a_stall_drift_is_exact_to_a_few_ppm_and_jitter_is_told():
    rng = np.random.default_rng(2)
    t = np.arange(50_000) * 20e6 / (1 + 80e-6) + rng.uniform(-3e6, 3e6, 50_000)
    estimate = RateEstimate(50.0)
    estimate.push(t.astype(np.int64))
    said = estimate.to_json()
    assert said["drift_ppm"] == pytest.approx(80, abs=5)
    assert said["jitter_ms"] == pytest.approx(1.5, abs=0.3)


def test_lost_samples_do_not_change_the_rate_where_there_are_sequence_numbers():
    kept = np.delete(np.arange(10_000), np.arange(3000, 5000))
    estimate = RateEstimate(50.0)
    estimate.push(kept * 20_000_000, kept)
    assert estimate.drift_ppm == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("ppm", [0, -5000, 30_000])
@pytest.mark.parametrize("chunk", [1, 50, 10_000])
def test_pauses_do_not_change_the_rate_where_there_are_only_times(ppm, chunk):
    """A watch that is taken off between exercises, ten seconds in fifty: it seemed to run at 40 Hz."""
    rng = np.random.default_rng(3)
    t = np.arange(20_000) * 20e6 / (1 + ppm * 1e-6) + rng.uniform(-1e6, 1e6, 20_000)
    t += np.arange(20_000) // 2000 * 10e9
    estimate = RateEstimate(50.0)
    for at in range(0, 20_000, chunk):
        estimate.push(t[at : at + chunk].astype(np.int64))
    assert estimate.drift_ppm == pytest.approx(ppm, abs=50)
    assert (estimate.warning() is not None) == (ppm == 30_000)
    assert estimate.to_json()["jitter_ms"] < 10


def test_bursts_are_no_holes():
    """Ten samples come at once, each stamped when it came: the steps between bursts are too many to be holes."""
    t = np.repeat(np.arange(2000) * 200e6, 10) + np.tile(np.arange(10) * 1e6, 2000)
    estimate = RateEstimate(50.0)
    for many in (150, 20_000):
        estimate.push(t[estimate._count : many].astype(np.int64))
        assert estimate.rate_hz == pytest.approx(50, rel=0.02)


def test_too_few_samples_say_nothing():
    estimate = RateEstimate(50.0)
    estimate.push(np.arange(5) * 20_000_000)
    assert (estimate.rate_hz, estimate.to_json(), estimate.warning()) == (None, None, None)
    frozen = RateEstimate(50.0)
    frozen.push(np.zeros(100, np.int64))
    assert frozen.rate_hz is None


def resampled(x, source_hz, rate_hz, t_ns=None, cuts=()):
    resampler = Resampler(source_hz, rate_hz)
    out = [
        resampler.push(Chunk(x[a:b], None if t_ns is None else t_ns[a:b]))
        for a, b in zip([0, *cuts], [*cuts, len(x)], strict=True)
    ]
    return np.concatenate([c.samples for c in out]), np.concatenate([c.seq for c in out])


def sine(hz, rate, seconds=10.0):
    t = np.arange(int(rate * seconds)) / rate
    return np.sin(2 * np.pi * hz * t)[:, None].astype(np.float32), t


@pytest.mark.parametrize(("source", "rate"), [(50, 50), (25, 50), (48.3, 50), (60, 50), (100, 50), (1000, 50)])
def test_a_slow_sine_keeps_its_form_and_the_rate_is_the_models(source, rate):
    x, _ = sine(0.5, source)
    y, seq = resampled(x, source, rate)
    assert abs(len(y) - 10 * rate) <= 2
    delay = 0 if source < 1.5 * rate else (1 - rate / source) / 2 / rate
    expected = np.sin(2 * np.pi * 0.5 * (seq / rate - delay))
    np.testing.assert_allclose(y[:, 0], expected, atol=0.005)


def test_the_same_rate_passes_samples_unchanged():
    x = np.random.default_rng(0).normal(size=(100, 3)).astype(np.float32)
    y, seq = resampled(x, 50, 50)
    np.testing.assert_array_equal(y, x)
    assert seq.tolist() == list(range(100))


def test_what_lies_above_the_new_band_is_mostly_kept_out():
    x, _ = sine(190, 1000)
    assert np.abs(resampled(x, 1000, 50)[0]).max() < 0.3
    assert np.abs(x[::20]).max() > 0.9  # what plain decimation would give


def test_a_hole_is_left_a_hole_and_a_bad_sample_stays_bad():
    x, _ = sine(0.5, 100)
    t = (np.arange(1000) * 10_000_000).astype(np.int64)
    keep = np.delete(np.arange(1000), np.arange(300, 500))
    _, seq = resampled(x[keep], 100, 50, t[keep])
    assert np.diff(seq).max() >= 100
    assert not set(range(152, 249)) & set(seq.tolist())
    x[700] = np.nan
    assert np.isnan(resampled(x, 100, 50)[0]).any()


@settings(max_examples=100)
@given(
    st.sampled_from([(40.0, 50.0), (50.0, 50.0), (75.0, 50.0), (333.0, 50.0)]),
    st.lists(st.floats(-0.5, 4), max_size=60),
    st.data(),
)
def test_any_cut_gives_the_same_samples(rates, steps, data):
    source, rate = rates
    t = np.cumsum([0, *(int(s * 1e9 / source) for s in steps)]).astype(np.int64)
    x = np.random.default_rng(3).normal(size=(len(t), 2)).astype(np.float32)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(t)), max_size=4)))
    whole, parts = resampled(x, source, rate, t), resampled(x, source, rate, t, cuts)
    np.testing.assert_array_equal(parts[1], whole[1])
    np.testing.assert_array_equal(parts[0], whole[0])
    assert np.all(np.diff(whole[1]) > 0)


def test_a_new_recording_begins_a_new_grid():
    resampler = Resampler(100, 50)
    resampler.push(Chunk(np.ones((10, 1), np.float32)))
    chunk = resampler.push(Chunk(np.ones((10, 1), np.float32), restart=True))
    assert chunk.restart
    assert chunk.seq[0] <= 1


def test_an_absurd_rate_is_refused():
    with pytest.raises(UsageError):
        Resampler(0, 50)
