"""The page docs/numeric.md, written a second time in plain numbers, against the engine and the exporter."""

import json
from dataclasses import replace

import numpy as np
import pytest
from edge_rnn.export.quantize import quantize_with
from hypothesis import given, settings
from hypothesis import strategies as st
from int8_models import GOLDEN, KINDS, float_graph, golden_graph, random_graph, random_layers, read_golden
from plain_integers import Model, quantize

from edge_rnn.arrays import unpack_arrays
from edge_rnn.engine import State
from edge_rnn.engines.integer import IntegerEngine, quantize_input
from edge_rnn.engines.lut import TANH_KNOTS
from edge_rnn.graph import Graph, Layer

OWN_GOLDEN = ["RELU_RNN", "DENSE", "INT4", "FASTGRNN", "WINDOW", "CONV", "MIXED", "STATISTICS"]
"""Made by tests/golden/make.py from the plain numbers."""


def plain(graph: Graph) -> Model:
    return Model(graph.layers, {name: a.tolist() for name, a in graph.arrays.items()}, TANH_KNOTS.tolist())


def assert_same(graph: Graph, xq: np.ndarray) -> None:
    engine, state, model = IntegerEngine(graph), State(graph.states), plain(graph)
    out = np.zeros((1, graph.outputs), np.int32)
    for t in range(len(xq)):
        engine.step_int(xq[t : t + 1], state, out)
        assert out[0].tolist() == model.step(xq[t].tolist()), f"logits of step {t}"
        for spec, array in zip(graph.states, state.arrays, strict=True):
            assert array[0].tolist() == model.state[spec.name], f"state {spec.name} after step {t}"


@pytest.mark.parametrize("name", ["GRU5_normalised", "LSTM", "RNN", "GRU_wide_input"])
def test_the_plain_numbers_agree_with_the_golden_vectors_of_others(name):
    golden = read_golden(name)
    model = plain(golden_graph(golden))
    for sample, y_q in zip(golden["xq"][:60].tolist(), golden["y_q"][:60].tolist(), strict=True):
        assert model.step(sample) == y_q


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.lists(st.sampled_from(KINDS), max_size=3))
def test_random_models_within_the_obligations_agree_with_the_plain_numbers(seed, kinds):
    rng = np.random.default_rng(seed)
    widths = [int(n) for n in rng.integers(1, 8, len(kinds))]
    layers = random_layers(rng, kinds, int(rng.integers(1, 6)), widths, 3)
    graph = random_graph(rng, layers, (10, rng.uniform(12, 28.9)))
    xq = rng.integers(-32768, 32768, (8, graph.inputs)).astype(np.int16)
    xq[::3] = rng.choice([-32768, 32767, 0, 1], xq[::3].shape)
    assert_same(graph, xq)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.lists(st.sampled_from(KINDS), max_size=3), st.sampled_from([8, 4]))
def test_random_floats_become_the_integers_of_the_plain_numbers(seed, kinds, bits):
    rng = np.random.default_rng(seed)
    graph = float_graph(rng, kinds, int(rng.integers(1, 6)), 3)
    sx = (np.exp(rng.uniform(-1, 1, graph.inputs)) * graph.arrays["std"] / 8000).astype(np.float32)
    hidden = [layer.scaled for layer in graph.layers[:-1]]
    exponents = [int(rng.integers(1, 8)) if scaled else None for scaled in [*hidden, False]]
    statistics = [(i, layer.units) for i, layer in enumerate(graph.layers) if layer.kind == "statistics"]
    codes = {i: np.exp(rng.uniform(-13, -9, units)) for i, units in statistics}
    made = quantize_with(graph, sx, exponents, bits, codes=codes)
    floats = {name: a.astype(np.float64).tolist() for name, a in graph.arrays.items()}
    wanted = quantize(graph.layers, floats, sx.astype(np.float64).tolist(), exponents, bits, codes)
    assert set(wanted) == set(made.arrays) - {"sx"}
    for name, values in wanted.items():
        assert made.arrays[name].tolist() == values, name


def own_golden(name: str) -> tuple[Graph, dict]:
    golden = unpack_arrays((GOLDEN / f"{name}.npz").read_bytes(), name)
    layers = tuple(Layer.from_json(layer) for layer in json.loads(golden["layers"].tobytes()))
    stored = {key: a for key, a in golden.items() if key == "sx" or (key.startswith("l") and "." in key)}
    return Graph.from_stored("int8", layers, stored), golden


@pytest.mark.parametrize("name", OWN_GOLDEN)
def test_golden_vectors_of_relu_layers_and_int4_are_reproduced(name):
    graph, golden = own_golden(name)
    engine, state = IntegerEngine(graph), State(graph.states)
    xq = quantize_input(golden["x"], graph.arrays["sx"])
    np.testing.assert_array_equal(xq, golden["xq"])
    out = np.zeros((1, graph.outputs), np.int32)
    for t in range(len(xq)):
        engine.step_int(xq[t : t + 1], state, out)
        np.testing.assert_array_equal(out[0], golden["y_q"][t], err_msg=f"step {t}")
        if (t + 1) % 50 == 0:
            for spec, array in zip(graph.states, state.arrays, strict=True):
                np.testing.assert_array_equal(array[0], golden[f"state.{spec.name}"][t // 50])


@pytest.mark.parametrize("name", OWN_GOLDEN)
def test_golden_floats_of_relu_layers_and_int4_become_the_golden_integers(name):
    graph, golden = own_golden(name)
    floats = {key.removeprefix("float."): a for key, a in golden.items() if key.startswith("float.")}
    layers = tuple(replace(a, exponent=None, bits=None) for a in graph.layers)
    bits = graph.layers[0].bits or 8
    exponents = [layer.exponent for layer in graph.layers]
    codes = {int(key.removeprefix("codes.")): a for key, a in golden.items() if key.startswith("codes.")}
    made = quantize_with(Graph("float32", layers, floats), golden["sx"], exponents, bits, codes=codes)
    assert made.digest() == graph.digest()
    assert bits == (4 if name in ("INT4", "MIXED") else 8)


def test_the_golden_relu_network_reaches_its_saturation_and_leaves_it():
    _, golden = own_golden("RELU_RNN")
    h = golden["state.h0"]
    assert (h == 32767).any()
    assert ((h > 0) & (h < 32767)).any()
