"""The detector against its definition, written a second time as a plain loop over one class."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_rnn.detect import Detector, samples_of, smoothing_factor, softmax
from edge_rnn.errors import BundleError, SnapshotError
from edge_rnn.manifest import DetectorParams

RATE = 50.0
SHARP = {"smooth_ms": 0.0, "enter": 0.7, "exit": 0.4, "min_ms": 0.0, "refractory_ms": 0.0}


def told(values, first=0, **changes):
    """(first, at, reason) of the decisions on one class's probabilities."""
    detector = Detector({0: DetectorParams(**{**SHARP, **changes})}, RATE)
    return [(d.first, d.at, d.reason) for d in detector.push(np.array(values, float)[:, None], first)]


def test_a_class_starts_at_enter_and_ends_below_exit():
    assert told([0, 0.7, 0.4, 0.39]) == [(1, 1, None), (1, 3, "exit")]


def test_a_value_just_below_enter_does_not_start():
    assert told([np.nextafter(0.7, 0)] * 5) == []


def test_between_the_thresholds_nothing_changes():
    assert told([0.5] * 5 + [0.8] + [0.5] * 5) == [(5, 5, None)]


def test_a_start_waits_for_the_minimum_and_names_the_first_sample():
    assert told([0, 0.8, 0.8, 0.8, 0.8], min_ms=60) == [(1, 4, None)]


def test_a_break_begins_the_minimum_again():
    assert told([0.8, 0.8, 0.6, 0.8, 0.8, 0.8, 0.8], min_ms=60) == [(3, 6, None)]


def test_no_start_within_the_refractory_time():
    values = [0.8, 0.1] + [0.1, 0.8, 0.1] * 4
    started = [at for _, at, reason in told(values, refractory_ms=100) if reason is None]
    assert started[0] == 0
    assert started[1] > 1 + 5


def test_a_class_that_stays_high_is_not_armed_again():
    values = [0.8, 0.1] + [0.9] * 50 + [0.1, 0.9]
    assert [d for d in told(values, refractory_ms=100) if d[2] is None] == [(0, 0, None), (53, 53, None)]


def test_classes_are_independent_and_told_in_label_order():
    detector = Detector({2: DetectorParams(**SHARP), 0: DetectorParams(**SHARP)}, RATE)
    decisions = detector.push(np.array([[0.9, 0.0, 0.9], [0.1, 0.9, 0.9]]), 10)
    assert [(d.label, d.at, d.reason) for d in decisions] == [(0, 10, None), (2, 10, None), (0, 11, "exit")]


def test_peak_is_the_largest_smoothed_probability_of_the_whole_run():
    detector = Detector({0: DetectorParams(**{**SHARP, "min_ms": 40})}, RATE)
    decisions = detector.push(np.array([[0.75], [0.95], [0.8], [0.85], [0.1]]), 0)
    assert [d.peak for d in decisions] == [0.95, 0.95]


def test_the_average_begins_at_the_first_probability():
    assert told([0.9], smooth_ms=1000) == [(0, 0, None)]


def test_smoothing_reaches_63_percent_of_a_step_after_its_time():
    alpha = smoothing_factor(200, RATE)
    p = 0.0
    for _ in range(samples_of(200, RATE)):
        p += alpha * (1 - p)
    assert p == pytest.approx(1 - 1 / math.e)


def test_samples_left_out_break_a_minimum():
    detector = Detector({0: DetectorParams(**{**SHARP, "min_ms": 60})}, RATE)
    high = np.array([[0.9], [0.9]])
    assert detector.push(high, 0) == []
    assert detector.push(high, 10) == []
    assert [d.first for d in detector.push(high, 12)] == [10]


def test_ending_tells_of_active_classes_alone_and_forgets_all():
    detector = Detector({0: DetectorParams(**SHARP), 1: DetectorParams(**SHARP)}, RATE)
    detector.push(np.array([[0.9, 0.5]]), 0)
    assert [(d.label, d.at, d.reason) for d in detector.end(7, "reset")] == [(0, 7, "reset")]
    assert detector.end(8, "reset") == []


PARAMS = st.builds(
    lambda thresholds, smooth, least, silence: DetectorParams(smooth, max(thresholds), min(thresholds), least, silence),
    st.sampled_from([(0.3, 0.5), (0.4, 0.7), (0.0, 1.0), (0.49, 0.5)]),
    st.sampled_from([0.0, 30.0, 200.0]),
    st.sampled_from([0.0, 1.0, 20.0, 50.0]),
    st.sampled_from([0.0, 20.0, 130.0]),
)


def by_definition(values, params):
    """The words of docs/detection.md, one class."""
    a = 1.0 if params.smooth_ms == 0 else 1 - math.exp(-1000 / (params.smooth_ms * RATE))
    p, began, active, armed, silent_until = None, None, False, True, -1
    found = []
    for t, value in enumerate(values):
        p = value if p is None else p + a * (value - p)
        if active:
            if p < params.exit:
                found.append((began, t, "exit"))
                silent_until = t + params.refractory_ms * RATE / 1000
                active, began, armed = False, None, params.refractory_ms == 0
            continue
        if not armed:
            armed = t >= silent_until - 1e-9 and p < params.exit
            continue
        began = (t if began is None else began) if p >= params.enter else None
        if began is not None and (t - began) * 1000 / RATE >= params.min_ms - 1e-9:
            found.append((began, t, None))
            active = True
    return found


@given(PARAMS, st.lists(st.sampled_from([0.0, 0.2, 0.35, 0.45, 0.5, 0.6, 0.8, 1.0]), max_size=120))
def test_decisions_follow_the_definition(params, values):
    detector = Detector({0: params}, RATE)
    decisions = detector.push(np.array(values).reshape(-1, 1), 0)
    assert [(d.first, d.at, d.reason) for d in decisions] == by_definition(values, params)


@given(PARAMS, st.lists(st.floats(0, 1), max_size=60), st.data())
def test_any_cut_and_a_snapshot_at_any_sample_change_nothing(params, values, data):
    p = np.array(values).reshape(-1, 1)
    whole = Detector({0: params}, RATE).push(p, 0)
    cut = data.draw(st.integers(0, len(values)))
    first, second = Detector({0: params}, RATE), Detector({0: params}, RATE)
    before = first.push(p[:cut], 0)
    second.restore(first.snapshot())
    assert before + second.push(p[cut:], cut) == whole


def test_a_snapshot_of_other_classes_is_refused():
    one, two = (Detector({label: DetectorParams()}, RATE) for label in (1, 2))
    with pytest.raises(SnapshotError, match="other classes"):
        two.restore(one.snapshot())
    with pytest.raises(SnapshotError, match="truncated"):
        one.restore(one.snapshot()[:-1])


def test_exit_must_be_below_enter():
    with pytest.raises(BundleError, match="exit"):
        DetectorParams(enter=0.5, exit=0.5)


@given(st.lists(st.lists(st.floats(-80, 80, width=32), min_size=3, max_size=3), min_size=1, max_size=20))
def test_softmax_is_the_definition_and_no_cut_changes_a_bit(rows):
    y = np.array(rows, np.float32)
    e = np.array([[math.exp(v - max(row)) for v in row] for row in y.tolist()])
    np.testing.assert_allclose(softmax(y), e / e.sum(axis=1, keepdims=True), rtol=1e-12)
    np.testing.assert_array_equal(softmax(y), np.concatenate([softmax(row[None]) for row in y]))
