"""Weights that 32-bit machines could not compute are refused wherever an int8 graph is made, by name."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from int8_models import GOLDEN_NAMES, golden_graph, random_graph, random_layers, read_golden

from edge_rnn.errors import BundleError
from edge_rnn.graph import Graph, Layer


def change(graph: Graph, **arrays) -> Graph:
    """The graph with some arrays replaced; `l0_ih_w` stands for `l0.ih_w`."""
    return Graph("int8", graph.layers, {**graph.arrays, **{k.replace("_", ".", 1): v for k, v in arrays.items()}})


@pytest.fixture
def graph() -> Graph:
    return golden_graph(read_golden("GRU"))


@pytest.mark.parametrize("name", GOLDEN_NAMES)
def test_the_golden_models_keep_them(name):
    golden_graph(read_golden(name))


def test_a_row_whose_sum_overflows_is_named_with_its_gate_and_unit(graph):
    S_k = np.array([30, 3], np.int32)
    w = np.zeros((96, 32), np.int8)
    w[37] = 127  # 32 * 127 * 2^3 is below 2^16, twice as much is not
    small = np.full(96, 1, np.int32)
    change(graph, l0_hh_w=w, l0_hh_S_k=S_k, l0_hh_m=small)
    S_k = np.array([28, 5], np.int32)
    with pytest.raises(BundleError, match=r"layer 0 \(gru\) hh .*, row 37 \(gate z of unit 5\): sum \|Wq\|"):
        change(graph, l0_hh_w=w, l0_hh_S_k=S_k, l0_hh_m=small)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"l0_ih_m": np.zeros(96, np.int32)}, r"layer 0 \(gru\) ih, row 0 \(gate r of unit 0\): m is 0, expected > 0"),
        ({"l0_b": np.full(96, -(2**29), np.int32)}, r"layer 0 \(gru\) b, row 0 .*\|b\| in Q16 is 536870912"),
        ({"l0_b": np.full(96, -(2**31), np.int32)}, r"\|b\| in Q16 is 2147483648"),
        ({"l0_bn": np.full(32, 2**29, np.int32)}, r"hh and bn, row 64 \(gate n of unit 0\)"),
        ({"l0_ih_w": np.full((96, 6), -128, np.int8)}, r"\|Wq\| is 128, expected less than 128"),
        ({"l0_ih_S_k": np.array([63, 0], np.int32)}, "S = 63"),
        ({"l0_ih_S_k": np.array([34, 1], np.int32)}, "k = 1"),
        ({"l1_b": np.full(8, 2**29, np.int32)}, r"layer 1 \(dense\) b, row 0: "),
        ({"sx": np.array([1, 1, 0, 1, 1, 1], np.float32)}, "sx of channel 2 is 0.0"),
        ({"sx": np.array([1, 1, 1, 1, 1, 1e-38], np.float32)}, "sx of channel 5"),
    ],
)
def test_each_broken_obligation_is_refused(graph, arrays, message):
    if "sx" in arrays:
        with pytest.raises(BundleError, match=message):
            Graph("int8", graph.layers, {**graph.arrays, **arrays})
        return
    with pytest.raises(BundleError, match=message):
        change(graph, **arrays)


@given(st.integers(1, 62), st.integers(1, 2**31 - 1), st.integers(1, 2**16))
def test_no_row_within_the_obligations_leaves_the_range_of_a_pre_activation(S, m, total):
    k = max(0, 33 - S)
    if total << k < 1 << 16:
        assert (32768 * total * m + (1 << (S - 1))) >> S < 2**29


def test_int4_weights_beyond_seven_are_refused():
    rng = np.random.default_rng(0)
    layers = [dataclasses.replace(layer, bits=4) for layer in random_layers(rng, ["gru"], 3, [4], 2)]
    graph = random_graph(rng, layers)
    w = graph.arrays["l0.ih_w"].copy()
    w[2, 1] = 8
    with pytest.raises(BundleError, match=r"row 2 \(gate r of unit 2\): \|Wq\| is 8, expected less than 8"):
        change(graph, l0_ih_w=w)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (Layer("dense", 2, 2, "relu"), "expected an exponent"),
        (Layer("rnn", 2, 2, "relu"), "expected an exponent"),
        (Layer("rnn", 2, 2, "tanh", 3), "expected no exponent"),
    ],
)
def test_a_layer_with_a_needless_or_missing_exponent_is_refused(layer, message):
    with pytest.raises(BundleError, match=message):
        Graph("int8", (layer, Layer("dense", 2, 1, "none")), {})


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 2**32 - 1), st.lists(st.sampled_from(["gru", "lstm", "rnn", "relu", "dense", "linear"]), max_size=3)
)
def test_stored_arrays_bring_the_graph_back_int4_included(seed, kinds):
    rng = np.random.default_rng(seed)
    widths = [int(n) for n in rng.integers(1, 9, len(kinds))]
    graph = random_graph(rng, random_layers(rng, kinds, int(rng.integers(1, 7)), widths, 3))
    stored = graph.stored_arrays()
    back = Graph.from_stored("int8", graph.layers, stored)
    assert back.digest() == graph.digest()
    for index, layer in enumerate(graph.layers):
        if layer.bits == 4:
            name = f"l{index}.{'w' if layer.kind == 'dense' else 'ih_w'}"
            assert stored[name].shape[1] == (layer.inputs + 1) // 2


def test_the_low_nibble_comes_first_and_bad_nibbles_are_refused():
    layers = (Layer("dense", 3, 1, "none", None, 4),)
    arrays = {"sx": np.ones(3, np.float32), "l0.w": np.array([[1, -2, 7]], np.int8), "l0.b": np.zeros(1, np.int32)}
    arrays |= {"l0.m": np.ones(1, np.int32), "l0.S_k": np.array([33, 0], np.int32)}
    stored = Graph("int8", layers, arrays).stored_arrays()
    assert stored["l0.w"].tolist() == [[0xE1, 0x07]]
    for bad in ([[0x81, 0x07]], [[0xE1, 0x17]]):
        with pytest.raises(BundleError, match="nibble"):
            Graph.from_stored("int8", layers, {**stored, "l0.w": np.array(bad, np.uint8)})
    with pytest.raises(BundleError, match="pairs of int4"):
        Graph.from_stored("int8", layers, {**stored, "l0.w": np.array([[1, -2, 7]], np.int8)})
