"""The integer engine against the golden vectors, which another implementation made."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from int8_models import GOLDEN_NAMES, golden_graph, random_graph, random_layers, read_golden

from edge_rnn.engine import State
from edge_rnn.engines.integer import IntegerEngine, Matrix, mulr24, quantize_input, round_shift, sat16, sat32
from edge_rnn.engines.numpy import open_graph
from edge_rnn.errors import UsageError
from edge_rnn.graph import Graph, Layer


@pytest.mark.parametrize("name", GOLDEN_NAMES)
def test_every_golden_logit_and_state_is_reproduced(name):
    golden = read_golden(name)
    graph = golden_graph(golden)
    engine, state = IntegerEngine(graph), State(graph.states)
    kind = graph.layers[0].kind
    xq = quantize_input(golden["x"], graph.arrays["sx"])
    np.testing.assert_array_equal(xq, golden["xq"])
    out = np.zeros((1, graph.outputs), np.int32)
    for t in range(len(xq)):
        engine.step_int(xq[t : t + 1], state, out)
        np.testing.assert_array_equal(out[0], golden["y_q"][t], err_msg=f"step {t}")
        if (t + 1) % 50 == 0:
            wanted = {"gru": ["s"], "lstm": ["h", "s"], "rnn": ["h"]}[kind]
            width = int(golden["hidden"])
            rows = {key: golden[f"{key}_every_50"][t // 50].reshape(-1, width) for key in wanted}
            expected = [rows[key][layer] for layer in range(len(graph.layers) - 1) for key in wanted]
            for array, values in zip(state.arrays, expected, strict=True):
                np.testing.assert_array_equal(array[0], values, err_msg=f"state after step {t}")


def test_streams_in_one_batch_do_not_touch_each_other():
    rng = np.random.default_rng(1)
    graph = random_graph(rng, random_layers(rng, ["gru", "lstm"], 3, [7, 5], 4))
    engine = open_graph(graph)
    x = rng.normal(0, 100, (20, 3, 3)).astype(np.float32)
    together, state = np.zeros((20, 3, 4), np.float32), State(graph.states, 3)
    for t in range(20):
        engine.step(x[t], state, together[t])
    for n in range(3):
        alone, mine = np.zeros((20, 4), np.float32), State(graph.states)
        engine.run(np.ascontiguousarray(x[:, n]), mine, alone)
        np.testing.assert_array_equal(alone, together[:, n])
        for array, wide in zip(mine.arrays, state.arrays, strict=True):
            np.testing.assert_array_equal(array[0], wide[n])


def test_bound_step_gives_the_logits_of_step_int_over_65536():
    golden = read_golden("GRU")
    graph = golden_graph(golden)
    step = IntegerEngine(graph).bind(State(graph.states))
    for t in range(5):
        np.testing.assert_array_equal(step(golden["x"][t]), (golden["y_q"][t] / 65536).astype(np.float32))


def test_the_integer_engine_refuses_a_float_model():
    arrays = {"mean": np.zeros(1, np.float32), "std": np.ones(1, np.float32)}
    arrays |= {"l0.w": np.ones((1, 1), np.float32), "l0.b": np.zeros(1, np.float32)}
    with pytest.raises(UsageError, match="quantize it first"):
        IntegerEngine(Graph("float32", (Layer("dense", 1, 1, "none"),), arrays))


def test_input_is_divided_rounded_half_to_even_and_saturated():
    sx = np.float32(0.5)
    x = np.array([0.25, 0.75, -0.25, -0.75, 1e6, -1e6, 3e38, -3e38, 1e-45], np.float32)
    assert quantize_input(x, sx).tolist() == [0, 2, 0, -2, 32767, -32768, 32767, -32768, 0]


def test_input_is_a_division_and_not_a_multiplication_by_the_inverse():
    rng = np.random.default_rng(0)
    sx = rng.uniform(1e-3, 1, 200_000).astype(np.float32)
    x = ((rng.integers(-1000, 1000, sx.size) + 0.5) * sx).astype(np.float32)
    exact = np.rint((x.astype(np.float64) / sx.astype(np.float64)).astype(np.float32))
    assert (np.rint(x * (np.float32(1) / sx)) != exact).any(), "the sample has no case that tells them apart"
    np.testing.assert_array_equal(quantize_input(x, sx), exact)


def test_rounding_is_half_up_for_negative_numbers_too():
    assert round_shift(np.array([3, 2, 1, 0, -1, -2, -3, -6, -7]), 2).tolist() == [1, 1, 0, 0, 0, 0, -1, -1, -2]


def test_saturation_keeps_the_ends():
    assert sat16(np.array([32767, 32768, -32768, -32769])).tolist() == [32767, 32767, -32768, -32768]
    assert sat32(np.array([2**31 - 1, 2**31, -(2**31), -(2**31) - 1])).tolist() == [2**31 - 1] * 2 + [-(2**31)] * 2


def high_half(acc: int, m: int, S: int) -> int:
    """Requantization as a machine with 32-bit registers does it; wraps where such a register would."""
    k = max(0, 33 - S)
    high = (((acc << k) + 2**31) % 2**32 - 2**31) * m >> 32
    return (high + (1 << (S + k - 33))) >> (S + k - 32)


@given(st.integers(1, 62), st.integers(1, 2**31 - 1), st.data())
def test_requantization_is_the_high_half_of_a_32_bit_product(S, m, data):
    limit = (2**31 - 1) >> max(0, 33 - S)
    acc = data.draw(st.one_of(st.integers(-limit, limit), st.sampled_from([-limit, 0, limit])))
    matrix = Matrix(np.array([[float(acc)]]), np.array([m]), S)
    result = int(matrix.times(np.array([[1]]))[0, 0])
    assert result == high_half(acc, m, S) == (acc * m + (1 << (S - 1))) >> S


@given(st.integers(-(2**29), 2**29), st.integers(0, 2**24))
def test_mulr24_rounds_half_up(a, q):
    assert int(mulr24(np.array([a]), np.array([q]))[0]) == (a * q + 2**23) // 2**24


@pytest.mark.parametrize("kind", ["relu", "dense", "linear"])
def test_scaled_activations_round_half_up_and_saturate(kind):
    rng = np.random.default_rng(2)
    layers = random_layers(rng, [kind], 4, [6], 3)
    graph = random_graph(rng, [dataclasses.replace(layers[0], exponent=3), layers[1]], (20, 25))
    a, e = graph.layer_arrays(0), 3
    xq = rng.integers(-32768, 32768, (50, 4), dtype=np.int16)
    wanted = []
    for row in range(6):
        part = "ih_" if kind == "relu" else ""
        acc = xq.astype(np.int64) @ a[part + "w"][row].astype(np.int64)
        S = int(a[part + "S_k"][0])
        p = [(int(v) * int(a[part + "m"][row]) + (1 << (S - 1)) >> S) + int(a["b"][row]) for v in acc]
        wanted.append([min(32767, max(-32768 if kind == "linear" else 0, (v + 2 ** (e - 1)) >> e)) for v in p])
    h = np.array(wanted).T
    head = graph.layer_arrays(1)
    S = int(head["S_k"][0])
    y = ((h @ head["w"].astype(np.int64).T) * head["m"] + (1 << (S - 1)) >> S) + head["b"]
    out, state = np.zeros((50, 3), np.int32), State(graph.states, 50)
    IntegerEngine(graph).step_int(xq, state, out)
    np.testing.assert_array_equal(out, y)
    assert (h == (32767 if kind != "linear" else -32768)).any(), "nothing saturated: the test says nothing"
