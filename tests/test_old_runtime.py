"""onnxruntime 1.16.3 with numpy 1.26: the third oracle, and the oldest pair that we promise to run on."""

import sys

import numpy as np
import pytest
from bit_exact import assert_same_bits, hostile
from edge_rnn.export.bundle_writer import build_bundle
from edge_rnn.export.to_onnx import to_onnx
from float_models import STACKS, facts_of, float_graph
from int8_models import GOLDEN_NAMES, golden_graph, random_graph, random_layers, read_golden
from old_runtime import run_there, verify_there

from edge_rnn.engine import State
from edge_rnn.engines.numpy import NumpyEngine, reference_state

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.version_info >= (3, 12), reason="onnxruntime 1.16.3 has wheels up to Python 3.11"),
]


def verified_there(graph, tmp_path, steps):
    path = tmp_path / "m.ernn"
    path.write_bytes(build_bundle(graph, facts_of(graph)))
    report = verify_there(path, steps)
    assert report["versions"] == ["1.26.0", "1.16.3"]
    assert report["ok"]
    return report["engines"]


@pytest.mark.parametrize("name", GOLDEN_NAMES)
def test_int8_bundles_have_the_same_bits_there(name, tmp_path):
    engines = verified_there(golden_graph(read_golden(name)), tmp_path, 2000)
    assert engines["onnxruntime"]["bit_exact"]
    assert engines["onnxruntime"]["golden"]["bit_exact"]
    assert engines["numpy"]["golden"]["bit_exact"]


@pytest.mark.parametrize("stack", STACKS)
def test_float_bundles_that_were_made_here_agree_there(stack, tmp_path):
    engines = verified_there(float_graph(stack), tmp_path, 2000)
    assert engines["onnxruntime"]["max_abs_err"] < 1e-3


def test_the_golden_integers_come_out_of_plain_old_onnxruntime(tmp_path):
    golden = read_golden("GRU_wide_input")
    graph = golden_graph(golden)
    x = golden["x"][:, None].astype(np.float32)
    states = {f"{s.name}_in": a for s, a in zip(graph.states, State(graph.states).arrays, strict=True)}
    out = run_there(to_onnx(graph, {}), x, states, tmp_path)
    np.testing.assert_array_equal(out["y_q"][:, 0], golden["y_q"])
    np.testing.assert_array_equal(out["s0_out"][49::50, 0], golden["s_every_50"])


@pytest.mark.parametrize("kinds", [["relu", "dense", "lstm"], ["gru", "linear", "rnn"]])
def test_three_streams_of_any_int8_layers_come_out_of_plain_old_onnxruntime(kinds, tmp_path):
    rng = np.random.default_rng(len(kinds[0]))
    graph = random_graph(rng, random_layers(rng, kinds, 4, [9, 6, 7], 3), (10, 26))
    x, start = hostile(rng, graph, 300, 3), State(graph.states, 3)
    states = {f"{s.name}_in": a for s, a in zip(graph.states, start.arrays, strict=True)}
    out = run_there(to_onnx(graph, {}), x, states, tmp_path)
    steps = iter(zip(*(out[name] for name in ("y", "y_q", *(f"{s.name}_out" for s in graph.states))), strict=True))
    assert_same_bits(graph, x, lambda feeds: next(steps))


def test_many_float_streams_in_plain_old_onnxruntime(tmp_path):
    graph = float_graph("mixed")
    x = np.random.default_rng(4).normal(0, 3, (100, 5, 3)).astype(np.float32)
    states = {f"{s.name}_in": a for s, a in zip(graph.states, State(graph.states, 5).arrays, strict=True)}
    out = run_there(to_onnx(graph, {}), x, states, tmp_path)
    engine, state, y = NumpyEngine(graph, np.float64), reference_state(graph, 5), np.zeros((5, graph.outputs))
    for t, sample in enumerate(x):
        engine.step(sample, state, y)
        np.testing.assert_allclose(out["y"][t], y, rtol=1e-4, atol=1e-5)
