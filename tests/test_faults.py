"""Which values are no measurement; the negative control is a model of what a sensor may really do."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_rnn.errors import SnapshotError
from edge_rnn.faults import REACH, REASONS, Watch
from edge_rnn.manifest import Channel


def watch(constant=1) -> Watch:
    return Watch([Channel("a", "g", 0, 1, -2, 2, constant), Channel("b", "g", 0, 1, -2, 2)])


def reasons(w, values):
    """Reasons of channel a, the other one moving."""
    x = np.array([(v, 0.1 * (i % 3)) for i, v in enumerate(values)], np.float32)
    found = w.check(x)
    if found is None:
        return [""] * len(values)
    assert not found[:, 1].any()
    return [REASONS[code] for code in found[:, 0]]


@pytest.mark.parametrize(("value", "reason"), [(np.nan, "NaN"), (np.inf, "Inf"), (-np.inf, "Inf"), (3e38, "range")])
def test_what_is_no_number_is_named(value, reason):
    assert reasons(watch(), [0, value, 1]) == ["", reason, ""]


def test_a_value_somewhat_outside_the_training_range_is_a_measurement():
    assert reasons(watch(), [5, -50, 1e-45]) == ["", "", ""]
    assert reasons(watch(), [2 + 4.1 * REACH]) == ["range"]


def test_a_sensor_at_its_stop_is_saturated_after_three_samples_until_it_moves():
    assert reasons(watch(), [1, 16, 16, 16, 16, 16, 15.9, 16]) == ["", "", "", "", "saturated", "saturated", "", ""]


def test_a_constant_inside_the_training_range_is_not_saturated():
    assert reasons(watch(), [1.5] * 25) == [""] * 25


def test_a_stuck_channel_is_named_after_its_time_until_it_moves():
    assert reasons(watch(constant=1), [1] * 27 + [1.01]) == [""] * 25 + ["stuck"] * 2 + [""]
    assert reasons(watch(constant=10), [1] * 42 + [1.01]) == [""] * 40 + ["stuck"] * 2 + [""]


def test_a_noisy_or_coarse_sensor_is_never_stuck():
    rng = np.random.default_rng(1)
    assert watch(constant=6).check(rng.integers(-2, 3, (5000, 2)).astype(np.float32)) is None


def test_a_slow_coarse_sensor_outside_the_training_range_is_not_saturated():
    thermometer = watch(constant=40)
    assert reasons(thermometer, [2.5] * 30 + [2.6] * 30) == [""] * 60
    assert reasons(watch(constant=0), [16] * 1000) == [""] * 1000


def test_without_a_training_range_only_what_is_no_number_is_named():
    w = Watch([Channel("a", "g", 0, 1, 0, 0), Channel("b", "g", 0, 1, 0, 0)])
    assert reasons(w, [1e30, 1e30, 1e30, 1e30, 1e30, np.nan]) == [""] * 5 + ["NaN"]


@given(st.lists(st.sampled_from([0.0, 1.0, 9.0, np.nan, 3e38]), max_size=12), st.data())
def test_any_cut_and_a_snapshot_change_nothing(values, data):
    values = [v for v in values for _ in range(data.draw(st.sampled_from([1, 2, 5, 30])))]
    cut = data.draw(st.integers(0, len(values)))
    first, second = watch(), watch()
    x = np.array([(v, v) for v in values], np.float32).reshape(-1, 2)
    whole = watch().check(x)
    parts = [first.check(x[:cut])]
    second.restore(first.snapshot())
    parts.append(second.check(x[cut:]))
    sizes = (cut, len(values) - cut)
    filled = [np.zeros((n, 2), np.uint8) if p is None else p for p, n in zip(parts, sizes, strict=True)]
    np.testing.assert_array_equal(np.concatenate(filled), np.zeros(x.shape, np.uint8) if whole is None else whole)


def test_a_snapshot_of_other_channels_is_refused():
    with pytest.raises(SnapshotError):
        watch().restore(b"1")
