import numpy as np
import pytest

from edge_rnn.latency import Histogram, spoken


def test_an_empty_histogram_has_zeros():
    assert Histogram().to_json() == {"p50_us": 0.0, "p99_us": 0.0, "max_us": 0.0}


@pytest.mark.parametrize("seed", range(5))
def test_quantiles_are_those_of_numpy_within_a_bucket(seed):
    durations = np.random.default_rng(seed).lognormal(8, 2, 5000)
    histogram = Histogram()
    for ns in durations:
        histogram.add(ns)
    for q in (0.01, 0.5, 0.9, 0.99):
        exact = np.quantile(durations, q, method="inverted_cdf") / 1e3
        assert exact * 0.9999 <= histogram.quantile_us(q) <= exact * 1.016
    assert histogram.to_json()["max_us"] == pytest.approx(durations.max() / 1e3, abs=1e-3)


def test_a_weight_counts_as_so_many_durations():
    one, many = Histogram(), Histogram()
    one.add(5000.0, 99)
    one.add(1e6)
    for _ in range(99):
        many.add(5000.0)
    many.add(1e6)
    assert one.to_json() == many.to_json()
    assert one.count == 100


def test_absurd_durations_stay_in_the_last_bucket():
    histogram = Histogram()
    histogram.add(0.0)
    histogram.add(1e30)
    assert histogram.count == 2


def test_durations_are_spoken_in_their_own_unit():
    assert [spoken(us) for us in (0, 0.4512, 71.06, 999.4, 999.6, 8367.21, 2.5e6)] == [
        "0 us", "0.451 us", "71.1 us", "999 us", "1 ms", "8.37 ms", "2.5 s"
    ]  # fmt: skip
