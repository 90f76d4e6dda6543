"""The onnxruntime engine: shapes, states, its two prepared bindings, and what it refuses."""

import numpy as np
import onnx
import pytest
import torch
from edge_rnn.export.bundle_writer import build_bundle
from float_models import RIVALS, STACKS, facts_of, float_graph
from int8_models import golden_graph, read_golden

from edge_rnn.bundle import parse_bundle
from edge_rnn.engine import State
from edge_rnn.engines.numpy import NumpyEngine, open_graph
from edge_rnn.engines.onnxruntime import OnnxruntimeEngine, open_bundle, open_onnx, require
from edge_rnn.errors import BundleError, MissingExtra, UsageError
from edge_rnn.onnx_scan import scan_onnx

RNG = np.random.default_rng(2)


def bundle_of(graph):
    return parse_bundle(build_bundle(graph, facts_of(graph)))


@pytest.fixture(scope="module")
def int8_bundle():
    return bundle_of(golden_graph(read_golden("GRU2")))


def noise(steps, bundle):
    return RNG.normal(0.5, 2, (steps, len(bundle.manifest.channels))).astype(np.float32)


@pytest.mark.parametrize("stack", [*STACKS, *RIVALS])
def test_steps_of_many_streams_agree_with_numpy_in_float64(stack):
    graph = float_graph(stack)
    bundle = bundle_of(graph)
    engine, reference = open_bundle(bundle), NumpyEngine(graph, np.float64)
    state, truth = State(graph.states, 5), State(graph.states, 5)
    truth.arrays = tuple(a.astype(np.float64) for a in truth.arrays)
    for _ in range(50):
        x = RNG.normal(0.5, 2, (5, graph.inputs)).astype(np.float32)
        y, expected = np.zeros((5, graph.outputs), np.float32), np.zeros((5, graph.outputs))
        engine.step(x, state, y)
        reference.step(x, truth, expected)
        np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
    for ours, theirs in zip(state.arrays, truth.arrays, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_a_step_fills_the_callers_arrays_and_replaces_none(int8_bundle):
    engine, state = open_bundle(int8_bundle), State(int8_bundle.graph.states)
    arrays, out = state.arrays, np.zeros((1, int8_bundle.graph.outputs), np.float32)
    engine.step(noise(1, int8_bundle), state, out)
    assert state.arrays is arrays
    assert any(a.any() for a in arrays)
    assert out.any()


@pytest.mark.parametrize("stack", ["gru", "mixed", "perceptron", "transformer", "cnn"])
def test_the_bound_step_gives_what_the_plain_step_gives(stack):
    bundle = bundle_of(float_graph(stack))
    engine, x = open_bundle(bundle), noise(40, bundle)
    bound, plain = State(bundle.graph.states), State(bundle.graph.states)
    step, y = engine.bind(bound), np.zeros((1, bundle.graph.outputs), np.float32)
    for sample in x:
        engine.step(sample[None], plain, y)
        assert np.array_equal(step(sample), y[0])
        assert bound.to_bytes() == plain.to_bytes()


def test_the_bound_step_survives_everything_else_that_touches_its_state(int8_bundle):
    """zero, restore, a plain step, integers, a second binding: at any time, in any order."""
    engine, graph = open_bundle(int8_bundle), int8_bundle.graph
    reference, truth = open_graph(graph), State(graph.states)
    state = State(graph.states)
    steps = [engine.bind(state), engine.bind(state)]
    expected, y = (np.zeros((1, graph.outputs), np.float32) for _ in range(2))
    for turn, x in enumerate(noise(400, int8_bundle)):
        what = RNG.integers(0, 6)
        if what == 0:
            state.zero()
            truth.zero()
        elif what == 1:
            state.from_bytes(truth.to_bytes())
        elif what == 2:
            state.arrays = tuple(a.copy() for a in state.arrays)
        reference.step(x[None], truth, expected)
        if what == 3:
            engine.step(x[None], state, y)
        else:
            y[0] = steps[turn % 3 == 0](x)
        assert np.array_equal(y, expected)
        assert state.to_bytes() == truth.to_bytes()


def test_integers_go_in_exactly_whatever_the_input_scale():
    golden = read_golden("GRU5_normalised")
    graph = golden_graph(golden)
    codes = np.arange(-32768, 32768, dtype=np.int16)
    for scale in (graph.arrays["sx"], np.float32([1e-30, 1.1920929e-7, 3.3e33])):
        back = np.rint(np.divide(codes[:, None].astype(np.float32) * scale, scale, dtype=np.float32))
        assert np.array_equal(back, np.repeat(codes[:, None], 3, 1))


def test_the_golden_integers_come_out_of_step_int():
    golden = read_golden("LSTM")
    bundle = bundle_of(golden_graph(golden))
    engine, state = open_bundle(bundle), State(bundle.graph.states)
    y_q = np.zeros((1, bundle.graph.outputs), np.int32)
    for code, expected in zip(golden["xq"][:300], golden["y_q"][:300], strict=True):
        engine.step_int(code[None], state, y_q)
        assert np.array_equal(y_q[0], expected)


def test_step_int_of_a_float_model_is_refused():
    bundle = bundle_of(float_graph("gru"))
    with pytest.raises(UsageError, match="int8"):
        open_bundle(bundle).step_int(np.zeros((1, 3), np.int16), State(bundle.graph.states), np.zeros((1, 4), np.int32))


@pytest.mark.parametrize("bad", [[1.0, 2.0], [np.nan, 0, 0], [np.inf, 0, 0], "abc", [1j, 0, 0]])
def test_a_bad_sample_raises_and_leaves_the_state_as_it_was(bad):
    bundle = bundle_of(float_graph("lstm"))
    state = State(bundle.graph.states)
    step = open_bundle(bundle).bind(state)
    step(np.ones(3, np.float32))
    before = state.to_bytes()
    with pytest.raises(UsageError):
        step(bad)
    assert state.to_bytes() == before


def test_one_thread_no_spinning_no_arena():
    options = open_bundle(bundle_of(float_graph("gru")))._session.get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert not options.enable_cpu_mem_arena


def test_a_bare_onnx_file_loads_with_its_manifest(tmp_path, int8_bundle):
    path = tmp_path / "mine.onnx"
    path.write_bytes(int8_bundle.onnx)
    manifest, engine = open_onnx(path)
    assert manifest.name == "mine"
    assert manifest.detector == {}
    for key in ("precision", "labels", "rate_hz", "layers", "states", "model_digest", "input", "warmup_samples"):
        assert getattr(manifest, key) == getattr(int8_bundle.manifest, key)
    y_q, expected = (np.zeros((1, len(manifest.labels)), np.int32) for _ in range(2))
    codes = np.array([[100, -2000, 30000, 5, 6, 7][: len(manifest.channels)]], np.int16)
    engine.step_int(codes, State(manifest.states), y_q)
    open_graph(int8_bundle.graph).step_int(codes, State(manifest.states), expected)
    assert np.array_equal(y_q, expected)


def test_a_foreign_onnx_file_is_refused_by_what_it_lacks(tmp_path):
    x = onnx.helper.make_tensor_value_info("x", 1, [1, 2])
    y = onnx.helper.make_tensor_value_info("y", 1, [1, 2])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"])], "g", [x], [y])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "foreign.onnx")
    with pytest.raises(BundleError, match=r"lacks edge_rnn.digest, .*export_bundle"):
        open_onnx(tmp_path / "foreign.onnx")


def test_an_onnx_file_of_another_network_is_refused():
    gru, lstm = bundle_of(float_graph("gru")), bundle_of(float_graph("lstm"))
    with pytest.raises(BundleError, match="takes and gives"):
        OnnxruntimeEngine(gru.onnx, lstm.manifest)


def test_what_onnxruntime_cannot_open_is_a_bundle_error():
    bundle = bundle_of(float_graph("gru"))
    model = onnx.load_from_string(bundle.onnx)
    model.graph.node[0].input[1] = "nothing"
    with pytest.raises(BundleError, match="cannot open"):
        OnnxruntimeEngine(model.SerializeToString(), bundle.manifest)


def test_without_onnxruntime_the_error_has_the_pip_line(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(MissingExtra, match=r"pip install 'edge-rnn\[onnx\]'"):
        require()


def test_torch_agrees_over_a_sequence():
    """Not by way of our graph arrays: torch's own module, its weights put into a graph by hand."""
    torch.manual_seed(0)
    gru, head = torch.nn.GRU(3, 6, batch_first=True), torch.nn.Linear(6, 4)
    graph = float_graph("gru")
    arrays = {**graph.arrays, "mean": np.zeros(3, np.float32), "std": np.ones(3, np.float32)}
    for ours, theirs in (("w_ih", "weight_ih"), ("w_hh", "weight_hh"), ("b_ih", "bias_ih"), ("b_hh", "bias_hh")):
        arrays[f"l0.{ours}"] = getattr(gru, f"{theirs}_l0").detach().numpy()
    arrays |= {"l1.w": head.weight.detach().numpy(), "l1.b": head.bias.detach().numpy()}
    bundle = bundle_of(type(graph)("float32", graph.layers, arrays))
    x = RNG.normal(0, 1, (200, 3)).astype(np.float32)
    y = np.zeros((200, 4), np.float32)
    open_bundle(bundle).run(x, State(graph.states), y)
    with torch.no_grad():
        expected = head(gru(torch.from_numpy(x)[None])[0])[0].numpy()
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)


def test_a_graph_that_fails_when_it_runs_is_a_bundle_error():
    bundle = bundle_of(float_graph("gru"))
    model = onnx.load_from_string(bundle.onnx)
    for tensor in model.graph.initializer:
        if tensor.name == "std":  # five numbers for three channels: only a run finds that
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.ones(5, np.float32), "std"))
    with pytest.raises(BundleError):
        OnnxruntimeEngine(model.SerializeToString(), bundle.manifest)


def test_refusing_a_file_prints_nothing(capfd):
    bundle = bundle_of(float_graph("gru"))
    model = onnx.load_from_string(bundle.onnx)
    model.graph.node[0].input[1] = "nothing"
    with pytest.raises(BundleError):
        OnnxruntimeEngine(model.SerializeToString(), bundle.manifest)
    assert capfd.readouterr() == ("", "")


def test_mutated_files_that_pass_the_scan_run_or_are_bundle_errors():
    """The scan is not the last wall: what it lets through meets onnxruntime itself, which may find more."""
    bundle, passed = bundle_of(float_graph("lstm")), 0
    for _ in range(1500):
        blob = bytearray(bundle.onnx)
        blob[RNG.integers(len(blob))] ^= 1 << RNG.integers(8)
        try:
            scan_onnx(bytes(blob))
        except BundleError:
            continue
        passed += 1
        try:
            step = OnnxruntimeEngine(bytes(blob), bundle.manifest).bind(State(bundle.graph.states))
            step(np.ones(3, np.float32))
        except BundleError:
            pass
    assert passed > 100
