"""Tuning: the fast detector is the detector, figures are exact, choices are the best of the grid."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_rnn.detect import Detector
from edge_rnn.intervals import rate, share
from edge_rnn.manifest import DetectorParams
from edge_rnn.tune import Take, choose, detections, frontier, judge, median_s, quickest, search, smooth

PARAMS = st.builds(
    lambda enter, part, smooth_ms, least, silence: DetectorParams(smooth_ms, enter, enter * part, least, silence),
    st.sampled_from([0.3, 0.5, 0.9]),
    st.sampled_from([0.2, 0.5, 0.99]),
    st.sampled_from([0.0, 40.0, 320.0]),
    st.sampled_from([0.0, 20.0, 100.0]),
    st.sampled_from([0.0, 20.0, 500.0]),
)


@settings(max_examples=300)
@given(PARAMS, st.lists(st.sampled_from([0.0, 0.1, 0.25, 0.3, 0.46, 0.6, 0.95, 1.0]), max_size=150))
def test_the_fast_detector_decides_as_the_stream_does(params, values):
    p = np.array(values, np.float64)
    decisions = Detector({0: params}, 50.0).push(p[:, None], 0)
    starts, ends = detections(smooth(p, params.smooth_ms, 50.0), params, 50.0)
    assert [d.at for d in decisions if d.reason is None] == starts.tolist()
    assert [d.at for d in decisions if d.reason == "exit"] == [e for e in ends.tolist() if e < len(p)]


SHARP = DetectorParams(0, 0.5, 0.25, 0, 0)


def figures(p, truth, early_s=0.0):
    take = Take(np.array(p, float), np.array(truth, np.int8))
    outcome = judge([take.p], [take], SHARP, 50.0, early_s)
    return outcome.events, outcome.found, outcome.false_alarms, outcome.latencies_s


def test_hits_misses_alarms_and_unknown_samples_are_told_apart():
    truth = [0] * 5 + [1] * 5 + [0] * 5 + [-1] * 5 + [1] * 5 + [0] * 5
    p = np.zeros(30)
    p[[2, 7, 17]] = 1  # an alarm, a hit two samples late, something in the unknown
    assert figures(p, truth) == (2, 1, 1, (0.04,))


def test_a_second_detection_of_one_event_is_no_alarm_and_no_second_event():
    assert figures([0, 1, 0, 1, 0], [0, 1, 1, 1, 0])[:3] == (1, 1, 0)


def test_a_detection_somewhat_early_counts_where_that_is_allowed():
    truth, p = [0] * 10 + [1] * 5, [0] * 8 + [1] + [0] * 6
    assert figures(p, truth)[:3] == (1, 0, 1)
    assert figures(p, truth, early_s=0.04) == (1, 1, 0, (-0.04,))


def test_hours_are_those_of_known_samples_without_the_event():
    take = Take(np.zeros(9 * 3600), np.repeat(np.array([0, 1, -1], np.int8), 3 * 3600))
    assert judge([take.p], [take], SHARP, 1.0, 0.0).hours == pytest.approx(3)


def test_the_choice_is_the_most_found_within_the_budget():
    rng = np.random.default_rng(1)
    truth = np.zeros(20_000, np.int8)
    p = rng.beta(1, 6, 20_000)
    for at in range(500, 20_000, 1000):
        truth[at : at + 100] = 1
        p[at + 10 : at + 60] = rng.beta(5, 2, 50)
    takes = [Take(p, truth)]
    steps = []
    outcomes = search(takes, 50.0, on_step=lambda: steps.append(1))
    for outcome in outcomes[:: len(outcomes) // 40]:
        smoothed = [smooth(p, outcome.params.smooth_ms, 50.0)]
        assert judge(smoothed, takes, outcome.params, 50.0, 0.0) == outcome
    chosen = choose(outcomes, per_hour=10)
    assert chosen.recall > 0.9
    assert chosen.per_hour <= 10
    assert all(o.found <= chosen.found for o in outcomes if o.per_hour <= 10)
    assert choose(outcomes, per_hour=10, latency_s=-1.0) is None
    curve = frontier(outcomes)
    assert [o.found for o in curve] == sorted({o.found for o in curve})
    assert [o.false_alarms for o in curve] == sorted(o.false_alarms for o in curve)
    quick = quickest(outcomes, recall=0.8)
    assert all(o.recall >= 0.8 for o in quick)
    for one in quick:
        others = [o for o in outcomes if o.recall >= 0.8 and o.false_alarms <= one.false_alarms]
        assert median_s(one) == min(map(median_s, others))


def test_intervals_are_those_of_the_tables():
    """Clopper-Pearson and Garwood, as published tables and scipy give them."""
    assert share(237, 250) == pytest.approx((0.9127, 0.9720), abs=2e-3)
    assert share(0, 10) == pytest.approx((0, 0.3085), abs=1e-4)
    assert share(10, 10) == pytest.approx((0.6915, 1), abs=1e-4)
    assert rate(6, 4.43) == pytest.approx((0.497, 2.948), abs=2e-3)
    assert rate(0, 2)[1] == pytest.approx(1.5, abs=3e-3)
    assert rate(3, 0) == (0, math.inf)


def test_intervals_agree_with_scipy():
    stats = pytest.importorskip("scipy.stats")
    for k, n in ((1, 7), (50, 60), (239, 250)):
        assert share(k, n) == pytest.approx((stats.beta.ppf(0.025, k, n - k + 1), stats.beta.ppf(0.975, k + 1, n - k)))
        chi = (stats.chi2.ppf(0.025, 2 * k) / 2, stats.chi2.ppf(0.975, 2 * k + 2) / 2)
        assert rate(k, 1.0) == pytest.approx(chi)
