"""The compact float form: small, standard, and the float network of the rounded weights."""

import numpy as np
import onnx
import onnxruntime
import pytest
from edge_rnn.export.bundle_writer import Facts, build_bundle
from edge_rnn.export.calibration import Calibration
from edge_rnn.export.quantize import quantize, quantize_with
from edge_rnn.export.to_onnx_weights import dequantize, weights_form
from hypothesis import given, settings
from hypothesis import strategies as st
from int8_models import KINDS, float_graph

import edge_rnn
from edge_rnn.bundle import parse_bundle
from edge_rnn.engine import State
from edge_rnn.engines.numpy import NumpyEngine
from edge_rnn.errors import UsageError
from edge_rnn.graph import Graph
from edge_rnn.manifest import Channel

WEIGHED = [kind for kind in KINDS if kind != "statistics"]


def bundle_of(graph: Graph, x: np.ndarray):
    channels = tuple(Channel(f"c{i}", "", 0.0, 1.0, -4.0, 4.0) for i in range(graph.inputs))
    labels = tuple(f"class {i}" for i in range(graph.outputs))
    return parse_bundle(build_bundle(graph, Facts(channels, labels, 50.0, 10, x)))


def quantized(seed: int, kinds: list[str], bits: int = 8, units: int | None = None):
    rng = np.random.default_rng(seed)
    graph = float_graph(rng, kinds, 4, 3, units)
    x = (rng.normal(0, 1, (200, 4)) * graph.arrays["std"] + graph.arrays["mean"]).astype(np.float32)
    return quantize(graph, Calibration(x), bits=bits, input_scale="range").graph, x


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**32 - 1), st.lists(st.sampled_from(WEIGHED), max_size=3), st.sampled_from([8, 4]))
def test_onnxruntime_gives_the_float_network_of_the_rounded_weights(seed, kinds, bits):
    graph, x = quantized(seed, kinds, bits)
    blob = weights_form(bundle_of(graph, x))
    session = onnxruntime.InferenceSession(blob, providers=["CPUExecutionProvider"])
    floats = dequantize(graph)
    engine, state, y = NumpyEngine(floats), State(floats.states), np.zeros((1, 3), np.float32)
    theirs = [a.copy() for a in state.arrays]
    for t in range(30):
        feeds = {f"{s.name}_in": a for s, a in zip(floats.states, theirs, strict=True)}
        got, *theirs = session.run(None, {"x": x[t : t + 1], **feeds})
        engine.step(x[t : t + 1], state, y)
        np.testing.assert_allclose(got, y, atol=1e-4)


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("kinds", [["gru", "relu", "dense", "lstm"], ["conv", "fastgrnn"], ["window", "dense"]])
def test_dequantized_weights_quantize_to_the_same_integers(bits, kinds):
    graph, _ = quantized(1, kinds, bits)
    again = quantize_with(dequantize(graph), graph.arrays["sx"], [layer.exponent for layer in graph.layers], bits)
    for name, array in graph.arrays.items():
        if array.dtype == np.int8:
            np.testing.assert_array_equal(again.arrays[name], array)


def test_the_file_is_small_names_its_precision_and_loads(tmp_path):
    graph, x = quantized(2, ["gru"], units=64)
    bundle = bundle_of(graph, x)
    blob = weights_form(bundle)
    assert blob == weights_form(bundle)
    model = onnx.load_from_string(blob)
    floats = sum(np.prod(i.dims) for i in model.graph.initializer if i.data_type == onnx.TensorProto.FLOAT)
    assert floats < 3 * 64 * 8, "a weight matrix is stored as floats"
    assert len(blob) < 30_000
    props = {p.key: p.value for p in model.metadata_props}
    assert props["edge_rnn.precision"] == "float32-w8"
    assert props["edge_rnn.digest"] != bundle.manifest.model_digest
    (tmp_path / "m.weights.onnx").write_bytes(blob)
    loaded = edge_rnn.load(tmp_path / "m.weights.onnx")
    exact, state = np.zeros((200, 3), np.float32), State(bundle.graph.states)
    from edge_rnn.engines.integer import IntegerEngine

    IntegerEngine(bundle.graph).run(x, state, exact)
    np.testing.assert_allclose(loaded.run(x), exact, atol=5e-3)


def test_a_float_bundle_has_no_weights_form():
    rng = np.random.default_rng(3)
    graph = float_graph(rng, ["gru"], 4, 3)
    with pytest.raises(UsageError, match="made of an int8 model"):
        weights_form(bundle_of(graph, np.zeros((10, 4), np.float32)))


def test_statistics_are_refused_as_one_scale_a_row_does_not_hold_their_units():
    graph, x = quantized(1, ["window", "statistics", "dense"])
    with pytest.raises(UsageError, match="a unit for each output"):
        weights_form(bundle_of(graph, x))
