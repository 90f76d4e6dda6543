"""Statistics in integers: the root to the last bit, the ends of every range, and what export makes of the floats."""

import math

import numpy as np
import pytest
from edge_rnn.export.calibration import Calibration, run_integers, trace
from edge_rnn.export.exact_statistics import COARSEST, alike_columns, range_codes
from edge_rnn.export.quantize import quantize
from float_models import float_graph
from hypothesis import given
from hypothesis import strategies as st
from test_int8_layers import walk

from edge_rnn.engines.exact_statistics import isqrt, sums
from edge_rnn.errors import BundleError, UsageError
from edge_rnn.graph import Graph, Layer
from edge_rnn.layer import STATISTICS

MOST = 4 * (4096 * (4096 * 2**30 + 2**31))
"""The largest number a root is taken of."""


@given(st.integers(0, MOST))
def test_the_root_is_pythons_integer_root(n):
    assert isqrt(np.array([n]))[0] == math.isqrt(n)


def test_the_root_is_right_beside_every_kind_of_square():
    rng = np.random.default_rng(0)
    roots = np.concatenate([np.arange(1, 3000), rng.integers(1, math.isqrt(MOST), 20_000), [math.isqrt(MOST)]])
    squares = roots * roots
    np.testing.assert_array_equal(isqrt(squares), roots)
    np.testing.assert_array_equal(isqrt(squares - 1), roots - 1)
    np.testing.assert_array_equal(isqrt(squares + 2 * roots), roots)


@pytest.mark.parametrize("window", [2, 3, 128, 4096])
def test_no_sum_passes_65536_w_at_the_ends_of_int16(window):
    ends = np.full((4, window, 1), -32768)
    ends[1] = 32767
    ends[2, ::2] = 32767
    ends[3, : window // 2] = 32767
    found = sums(ends, np.array([2**31 - 1]))
    assert np.abs(found).max() < 65536 * window
    change = dict(zip(STATISTICS, found[2], strict=True))["change"]
    assert change == 65535 * (window - 1)


@given(st.integers(0, 2**32 - 1), st.integers(2, 300))
def test_the_sums_over_the_window_are_numpys_statistics(seed, window):
    rng = np.random.default_rng(seed)
    rows = np.clip(rng.normal(rng.uniform(-2e4, 2e4), 10 ** rng.uniform(0, 4), (1, window, 2)), -32768, 32767)
    rows = np.rint(rows).astype(np.int64)
    mean, sd, low, high, change = sums(rows, np.zeros(2, np.int64)).reshape(5, 2)
    np.testing.assert_array_equal(mean, rows[0].sum(axis=0))
    np.testing.assert_allclose(sd, window * rows[0].std(axis=0), atol=0.5001)
    np.testing.assert_array_equal([low, high], [window * rows[0].min(axis=0), window * rows[0].max(axis=0)])
    np.testing.assert_array_equal(change, np.abs(np.diff(rows[0], axis=0)).sum(axis=0))


def test_sums_kept_up_to_date_are_the_sums_made_anew():
    """Why a device may do either: no rounding is in them."""
    rng = np.random.default_rng(1)
    x, window = rng.integers(-32768, 32768, 500), 16
    total = squares = 0
    for t in range(len(x)):
        gone = int(x[t - window]) if t >= window else 0
        total, squares = total + int(x[t]) - gone, squares + int(x[t]) ** 2 - gone**2
        kept = np.concatenate([np.zeros(window, np.int64), x[: t + 1]])[-window:]
        mean, sd, *_ = sums(kept[None, :, None], np.zeros(1, np.int64))[0]
        assert (mean, sd) == (total, (math.isqrt(4 * (window * squares - total**2)) + 1) // 2)


@pytest.fixture(scope="module")
def made() -> tuple[Graph, Graph, Calibration]:
    graph = float_graph("statistics", inputs=3)
    calibration = Calibration(walk(np.random.default_rng(2), graph, 400))
    return graph, quantize(graph, calibration, input_scale="range").graph, calibration


def test_each_output_follows_its_float_twin_to_a_code_or_two_of_the_input(made):
    graph, exact, calibration = made
    x = calibration.samples[:, None]
    unit = np.tile(exact.arrays["sx"] / graph.arrays["std"], 5)
    codes = np.maximum(alike_columns(graph, range_codes(graph, calibration))[1], unit / 256)
    offset = np.tile((graph.arrays["mean"] - exact.arrays["l0.o"] * exact.arrays["sx"]) / graph.arrays["std"], 5)
    moves = np.repeat([1, 0, 1, 1, 0], 3)
    got = run_integers(exact, x)[0][1][:, 0] * codes - offset * moves
    worst = np.abs(got - trace(graph, x).activations[1][:, 0]).max(axis=0)
    assert (worst <= 1.5 * unit + codes).all()


def test_a_code_leaves_a_quarter_of_headroom_and_no_column_of_the_next_matrix_towers(made):
    graph, _, calibration = made
    codes = alike_columns(graph, range_codes(graph, calibration))[1]
    activation = trace(graph, calibration.samples[:, None]).activations[1][:, 0]
    range_alone = 1.25 * np.abs(activation).max(axis=0) / 32767
    assert (codes >= range_alone * (1 - 1e-12)).all()
    assert (codes <= COARSEST * range_alone * (1 + 1e-12)).all()
    heights = np.abs(graph.arrays["l2.w"]).max(axis=0) * codes
    assert (np.isclose(heights, heights.max()) | np.isclose(codes, COARSEST * range_alone)).all()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("l1.m", 0, r"layer 1 \(statistics\) m, row 0: m is 0, expected > 0"),
        ("l1.floor", -1, r"layer 1 \(statistics\): floor is negative"),
        ("l1.S_k", 63, "S = 63"),
    ],
)
def test_statistics_beyond_their_obligations_are_refused(made, name, value, words):
    arrays = {key: a.copy() for key, a in made[1].arrays.items()}
    arrays[name].flat[0] = value
    with pytest.raises(BundleError, match=words):
        Graph("int8", made[1].layers, arrays)


def test_sums_that_a_shift_would_push_out_of_int32_are_refused(made):
    arrays = {**made[1].arrays, "l1.S_k": np.array([20, 13], np.int32)}
    with pytest.raises(BundleError, match=r"65536 \* 7 \* 2\^13, expected less than 2\^31"):
        Graph("int8", made[1].layers, arrays)


def test_statistics_of_channels_of_unlike_scales_are_refused_in_a_sentence():
    layers = (Layer("statistics", 8, 10, "none", window=4), Layer("dense", 10, 2, "none"))
    arrays = {"mean": np.zeros(8, np.float32), "std": np.ones(8, np.float32)}
    arrays |= {"l1.w": np.ones((2, 10), np.float32), "l1.b": np.zeros(2, np.float32)}
    x = np.random.default_rng(0).normal(0, 1, (50, 8)).astype(np.float32)
    with pytest.raises(UsageError, match=r"layer 0 \(statistics\) takes 8 inputs of unlike scales for 2 channels"):
        quantize(Graph("float32", layers, arrays), Calibration(x))
