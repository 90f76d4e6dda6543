"""The exact integer graph in onnxruntime: every output and every state, bit for bit."""

import numpy as np
import onnx
import onnx.reference
import pytest
from bit_exact import assert_same_bits, hostile, session
from edge_rnn.export.bundle_writer import build_bundle
from edge_rnn.export.to_onnx import to_onnx
from edge_rnn.export.to_onnx_int8 import _table
from float_models import facts_of
from hypothesis import given, settings
from hypothesis import strategies as st
from int8_models import GOLDEN_NAMES, KINDS, golden_graph, random_graph, random_layers, read_golden

from edge_rnn.engine import State
from edge_rnn.engines.lut import sigmoid_q24
from edge_rnn.graph import Graph, Layer


@pytest.mark.parametrize("optimised", [True, False])
@pytest.mark.parametrize("name", GOLDEN_NAMES)
def test_golden_models_have_the_same_bits_in_onnxruntime(name, optimised):
    golden = read_golden(name)
    graph = golden_graph(golden)
    opened = session(to_onnx(graph, {}), optimised)
    x = golden["x"][::10] if optimised else np.concatenate([golden["x"][:40], golden["x"][-80:]])
    assert_same_bits(graph, x[:, None], lambda feeds: opened.run(None, feeds))


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.lists(st.sampled_from(KINDS), max_size=3), st.sampled_from([1, 3]), st.booleans())
def test_random_models_have_the_same_bits_in_onnxruntime(seed, kinds, streams, optimised):
    rng = np.random.default_rng(seed)
    widths = [int(n) for n in rng.integers(1, 20, len(kinds))]
    layers = random_layers(rng, kinds, int(rng.integers(1, 8)), widths, int(rng.integers(1, 6)))
    graph = random_graph(rng, layers, (10, rng.uniform(12, 28.9)))
    opened = session(to_onnx(graph, {}), optimised)
    assert_same_bits(graph, hostile(rng, graph, 24, streams), lambda feeds: opened.run(None, feeds))


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["gru", "lstm", "rnn", "relu", "fastgrnn", "window", "conv"]))
def test_any_state_that_fits_its_type_gives_the_same_bits(seed, kind):
    rng = np.random.default_rng(seed)
    graph = random_graph(rng, random_layers(rng, [kind], 3, [5], 2))
    start = State(graph.states, 4)
    for array in start.arrays:
        ends = np.iinfo(array.dtype)
        array[...] = rng.integers(ends.min, ends.max, array.shape, endpoint=True)
        array[0], array[1] = ends.min, ends.max
    if kind == "gru":  # s stays within int32 only where it began within Q28's +-1
        np.clip(start.arrays[0], -(2**28), 2**28, out=start.arrays[0])
    if kind == "fastgrnn":
        np.clip(start.arrays[0], -(2**29), 2**29, out=start.arrays[0])
    opened = session(to_onnx(graph, {}))
    assert_same_bits(graph, hostile(rng, graph, 6, 4), lambda feeds: opened.run(None, feeds), start)


def test_wide_rows_of_a_tiny_gain_have_the_same_bits():
    rng = np.random.default_rng(0)
    w = rng.choice([-127, 127], (2, 515)).astype(np.int8)
    arrays = {"sx": np.ones(515, np.float32), "l0.w": w, "l0.b": np.zeros(2, np.int32)}
    arrays |= {"l0.m": np.full(2, 2**31 - 1, np.int32), "l0.S_k": np.array([62, 0], np.int32)}
    graph = Graph("int8", (Layer("dense", 515, 2, "none"),), arrays)
    blob = to_onnx(graph, {})
    assert "Mod" in {node.op_type for node in onnx.load_from_string(blob).graph.node}
    opened = session(blob)
    rails = 32768 * np.sign(w[:, None, :].astype(int))
    x = np.concatenate([rng.integers(-32768, 32767, (200, 1, 515)), rails, -rails])
    assert_same_bits(graph, x.astype(np.float32), lambda feeds: opened.run(None, feeds))


def test_the_table_gives_the_logistic_function_for_every_argument():
    D, C = _table()
    p = np.arange(-(1 << 20) - 5, (1 << 20) + 6)
    u = np.clip(p + (1 << 20), 0, 1 << 21)
    v = C[u // 4096] + D[u // 4096] * u
    assert (v >= 0).all(), "Div would round towards zero"
    np.testing.assert_array_equal(v // 4096, sigmoid_q24(p))


def test_the_file_is_what_the_interface_says():
    graph = golden_graph(read_golden("LSTM"))
    model = onnx.load_from_string(to_onnx(graph, {}))
    assert (model.ir_version, [(o.domain, o.version) for o in model.opset_import]) == (8, [("", 17)])
    onnx.checker.check_model(model, full_check=True)
    assert [i.name for i in model.graph.input] == ["x", "h0_in", "c0_in"]
    assert [o.name for o in model.graph.output] == ["y", "y_q", "h0_out", "c0_out"]
    kinds = [i.type.tensor_type.elem_type for i in model.graph.input]
    assert kinds == [onnx.TensorProto.FLOAT, onnx.TensorProto.INT16, onnx.TensorProto.INT32]
    assert to_onnx(graph, {}) == to_onnx(graph, {})


def test_the_weights_are_int8_in_the_file():
    graph = golden_graph(read_golden("GRU"))
    blob = to_onnx(graph, {})
    assert len(blob) < 24_000
    stored = {i.name: i.data_type for i in onnx.load_from_string(blob).graph.initializer}
    assert {stored[n] for n in ("l0.ih_w", "l0.hh_w", "l1.w")} == {onnx.TensorProto.INT8}


def test_the_onnx_reference_evaluator_gives_the_same_bits():
    graph = golden_graph(read_golden("GRU2"))
    evaluator = onnx.reference.ReferenceEvaluator(onnx.load_from_string(to_onnx(graph, {})))
    x = np.concatenate([read_golden("GRU2")["x"][:10], read_golden("GRU2")["x"][-10:]])
    assert_same_bits(graph, x[:, None], lambda feeds: evaluator.run(None, feeds))


def test_a_gru32_bundle_has_at_most_48_kilobytes():
    graph = golden_graph(read_golden("GRU"))
    assert len(build_bundle(graph, facts_of(graph))) <= 48_000
    assert sum(a.nbytes for a in graph.stored_arrays().values()) <= 5_500
