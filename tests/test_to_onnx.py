"""The float ONNX file: its form to the letter; its numbers by onnx's reference, torch and torch's own export."""

import json
import subprocess
import sys
from dataclasses import asdict

import numpy as np
import onnx
import onnx.reference
import onnxruntime
import pytest
import torch
from edge_rnn.export.bundle_writer import build_bundle
from edge_rnn.export.to_onnx import to_onnx
from edge_rnn.export.torch_engine import TorchEngine, module_of
from float_models import RIVALS, STACKS, facts_of, float_graph
from int8_models import golden_graph, read_golden

from edge_rnn.bundle import parse_bundle
from edge_rnn.engine import State

RNG = np.random.default_rng(3)


def signature(values):
    kinds = {onnx.TensorProto.FLOAT: "float32", onnx.TensorProto.INT32: "int32", onnx.TensorProto.INT16: "int16"}
    told = []
    for value in values:
        batch, width = value.type.tensor_type.shape.dim
        told.append((value.name, kinds[value.type.tensor_type.elem_type], batch.dim_param, width.dim_value))
    return told


def test_inputs_and_outputs_have_the_promised_names_order_types_and_shapes():
    model = onnx.load_from_string(to_onnx(float_graph("mixed"), {}))
    assert signature(model.graph.input) == [
        ("x", "float32", "batch", 3),
        ("h1_in", "float32", "batch", 6),
        ("h3_in", "float32", "batch", 3),
        ("c3_in", "float32", "batch", 3),
        ("h4_in", "float32", "batch", 4),
    ]
    assert signature(model.graph.output) == [
        ("y", "float32", "batch", 4),
        ("h1_out", "float32", "batch", 6),
        ("h3_out", "float32", "batch", 3),
        ("c3_out", "float32", "batch", 3),
        ("h4_out", "float32", "batch", 4),
    ]


def test_an_exact_graph_also_gives_its_integers():
    model = onnx.load_from_string(to_onnx(golden_graph(read_golden("GRU2")), {}))
    assert [name for name, *_ in signature(model.graph.output)] == ["y", "y_q", "s0_out", "s1_out"]
    assert signature(model.graph.input)[1:] == [("s0_in", "int32", "batch", 24), ("s1_in", "int32", "batch", 24)]


@pytest.mark.parametrize("stack", [*STACKS, *RIVALS])
def test_opset_ir_and_domain(stack):
    model = onnx.load_from_string(to_onnx(float_graph(stack), {}))
    assert [(o.domain, o.version) for o in model.opset_import] == [("", 17)]
    assert model.ir_version == 8
    assert {node.domain for node in model.graph.node} == {""}
    onnx.checker.check_model(model, full_check=True)


def test_metadata_lets_a_stranger_run_it():
    graph = float_graph("gru")
    bundle = parse_bundle(build_bundle(graph, facts_of(graph)))
    props = {p.key: p.value for p in onnx.load_from_string(bundle.onnx).metadata_props}
    assert set(props) == {"edge_rnn.digest", "edge_rnn.format", "edge_rnn.precision", "edge_rnn.spec"}
    assert (props["edge_rnn.format"], props["edge_rnn.precision"]) == ("1", "float32")
    assert props["edge_rnn.digest"] == graph.digest()
    spec = json.loads(props["edge_rnn.spec"])
    assert spec["labels"] == ["a", "b", "c", "d"]
    assert spec["states"] == [{"name": "h0", "dtype": "float32", "shape": [6]}]
    assert spec["channels"] == [asdict(channel) for channel in bundle.manifest.channels]


def test_the_gru_resets_after_the_recurrent_product_as_torch_does():
    nodes = onnx.load_from_string(to_onnx(float_graph("gru"), {})).graph.node
    (gru,) = [node for node in nodes if node.op_type == "GRU"]
    assert {a.name: a.i for a in gru.attribute}["linear_before_reset"] == 1


def run_steps(run, graph, x):
    """Outputs (T, N, C) and final states by a function feeds -> outputs, from the zero state."""
    states = list(State(graph.states, x.shape[1]).arrays)
    found = []
    for sample in x:
        feeds = {"x": sample, **{f"{s.name}_in": a for s, a in zip(graph.states, states, strict=True)}}
        y, *states = run(feeds)
        found.append(y)
    return np.array(found), states


def by_torch(graph, x):
    """One call of torch over the whole sequence, of N streams side by side."""
    state = State(graph.states, x.shape[1])
    y = TorchEngine(graph).sequences(np.ascontiguousarray(x.swapaxes(0, 1)), state)
    return y.swapaxes(0, 1), state.arrays


def assert_close(ours, theirs):
    (y, states), (expected, expected_states) = ours, theirs
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
    for a, b in zip(states, expected_states, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "stack", [stack for stack in (*STACKS, *RIVALS) if stack != "rnn-relu"]
)  # it knows no RNN with Relu
def test_the_reference_evaluator_of_onnx_gives_torchs_numbers(stack):
    graph = float_graph(stack)
    x = RNG.normal(0, 3, (12, 2, 3)).astype(np.float32)
    evaluator = onnx.reference.ReferenceEvaluator(onnx.load_from_string(to_onnx(graph, {})))
    assert_close(run_steps(lambda feeds: evaluator.run(None, feeds), graph, x), by_torch(graph, x))


@pytest.mark.parametrize("stack", [*STACKS, *RIVALS])
def test_plain_onnxruntime_gives_torchs_numbers_for_any_number_of_streams(stack):
    graph = float_graph(stack)
    session = onnxruntime.InferenceSession(to_onnx(graph, {}), providers=["CPUExecutionProvider"])
    for streams in (1, 3, 17):
        x = RNG.normal(0, 3, (60, streams, 3)).astype(np.float32)
        assert_close(run_steps(lambda feeds: session.run(None, feeds), graph, x), by_torch(graph, x))


class OneStep(torch.nn.Module):
    """A graph as a torch module of one step, for torch's own exporter."""

    def __init__(self, graph):
        super().__init__()
        self.graph = graph
        layers = enumerate(graph.layers)
        self.parts = torch.nn.ModuleList(module_of(layer, graph.layer_arrays(i)) for i, layer in layers)
        self.mean, self.std = (torch.from_numpy(graph.arrays[name]) for name in ("mean", "std"))

    def forward(self, x, *states):
        left, after = [state[None] for state in states], []
        h = ((x - self.mean) / self.std)[None]
        for layer, part in zip(self.graph.layers, self.parts, strict=True):
            if layer.kind == "dense":
                h = torch.relu(part(h)) if layer.activation == "relu" else part(h)
            elif layer.kind == "lstm":
                h, (h1, c1) = part(h.transpose(0, 1), (left.pop(0), left.pop(0)))
                h, after = h.transpose(0, 1), [*after, h1[0], c1[0]]
            else:
                h, h1 = part(h.transpose(0, 1), left.pop(0))
                h, after = h.transpose(0, 1), [*after, h1[0]]
        return (h[0], *after)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("stack", ["gru", "lstm", "rnn-relu"])
def test_the_file_that_torch_exports_gives_the_same_numbers(stack, tmp_path):
    graph = float_graph(stack)
    given = (torch.zeros(1, 3), *(torch.zeros(1, state.width) for state in graph.states))
    torch.onnx.export(OneStep(graph).eval(), given, tmp_path / "t.onnx", dynamo=True, opset_version=18, verbose=False)
    theirs = onnxruntime.InferenceSession(tmp_path / "t.onnx", providers=["CPUExecutionProvider"])
    names = [value.name for value in theirs.get_inputs()]
    ours = onnxruntime.InferenceSession(to_onnx(graph, {}), providers=["CPUExecutionProvider"])
    x = RNG.normal(0, 3, (80, 1, 3)).astype(np.float32)
    assert_close(
        run_steps(lambda feeds: ours.run(None, feeds), graph, x),
        run_steps(lambda feeds: theirs.run(None, dict(zip(names, feeds.values(), strict=True))), graph, x),
    )


def test_the_same_weights_give_the_same_bytes_in_another_process_too():
    code = (
        "import sys, hashlib; sys.path.insert(0, 'tests')\n"
        "from float_models import float_graph\n"
        "from edge_rnn.export.to_onnx import to_onnx\n"
        "print(hashlib.sha256(to_onnx(float_graph('mixed'), {'b': '1', 'a': '2'})).hexdigest())"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1


def test_metadata_in_another_order_gives_the_same_bytes():
    graph = float_graph("gru")
    assert to_onnx(graph, {"a": "1", "b": "2"}) == to_onnx(graph, {"b": "2", "a": "1"})
