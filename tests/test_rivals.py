"""The laws of a stream for every layer beside the first four, through a bundle as a user has it.

Exported, loaded and proven; step by step, cut anywhere, from a snapshot, in a group and in one call the same.
"""

import json
import logging

import numpy as np
import pytest
import torch
from edge_rnn.export import Network, export_bundle
from edge_rnn.export.bundle_writer import build_bundle, write_bundle
from edge_rnn.export.calibration import Calibration
from edge_rnn.export.quantize import quantize
from edge_rnn.export.torch_engine import TorchEngine
from float_models import RIVALS, facts_of, float_graph

import edge_rnn
from edge_rnn.arrays import pack_arrays, unpack_arrays
from edge_rnn.bundle import parse_bundle
from edge_rnn.cli.main import main
from edge_rnn.engine import State, engines_for, open_engine
from edge_rnn.engines import native
from edge_rnn.errors import BundleError, SnapshotError, UsageError
from edge_rnn.layer import INT8_KINDS
from edge_rnn.model import from_bundle
from edge_rnn.stored_zip import pack_zip, unpack_zip

ENGINES = ("numpy", "onnxruntime")
STEPS = 150


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A bundle of each, proven by torch on every engine that takes it."""
    found = tmp_path_factory.mktemp("rivals")
    for stack in RIVALS:
        graph = float_graph(stack)
        _, report = write_bundle(graph, facts_of(graph), found / f"{stack}.ernn", steps=1200)
        assert report.ok
        assert set(ENGINES) <= set(report.stream)
    return found


def noise(steps=STEPS, streams=1, seed=8):
    return np.random.default_rng(seed).normal(0.5, 3, (steps, streams, 3)).astype(np.float32)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("stack", RIVALS)
def test_step_push_run_and_group_give_torchs_numbers(folder, stack, engine):
    model, x = edge_rnn.load(folder / f"{stack}.ernn", engine), noise()
    wanted = TorchEngine(float_graph(stack)).sequences(x[:, 0][None], State(model.manifest.states))[0]
    stream = model.stream()
    stepped = np.array([stream.step(sample).copy() for sample in x[:, 0]])
    pushed = model.stream()
    parts = []
    for start in range(0, STEPS, 37):
        pushed.push(x[start : start + 37, 0])
        parts.append(pushed.last_scores.copy())
    group = model.group(4)
    grouped = np.array([group.step(np.repeat(sample, 4, 0))[3].copy() for sample in x])
    for got in (stepped, np.concatenate(parts), model.run(x[:, 0]), grouped):
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("stack", RIVALS)
def test_a_snapshot_taken_on_one_engine_goes_on_on_another(folder, stack):
    one, other = (edge_rnn.load(folder / f"{stack}.ernn", engine) for engine in ENGINES)
    x = noise()[:, 0]
    first = one.stream()
    first.push(x[:80])
    blob = first.snapshot()
    same, elsewhere = one.stream(), other.stream()
    same.restore(blob)
    elsewhere.restore(blob)
    for stream in (first, same, elsewhere):
        stream.push(x[80:])
    assert np.array_equal(first.last_scores, same.last_scores)
    np.testing.assert_allclose(first.last_scores, elsewhere.last_scores, rtol=1e-4, atol=1e-4)


def test_a_snapshot_of_another_network_is_refused(folder):
    cnn, transformer = (edge_rnn.load(folder / f"{stack}.ernn", "numpy").stream() for stack in ("cnn", "transformer"))
    with pytest.raises(SnapshotError):
        transformer.restore(cnn.snapshot())


@pytest.mark.parametrize("stack", RIVALS)
def test_a_reset_is_the_state_before_the_first_sample(folder, stack):
    stream, x = edge_rnn.load(folder / f"{stack}.ernn", "numpy").stream(), noise(40)[:, 0]
    first = [stream.step(sample).copy() for sample in x]
    stream.reset()
    assert np.array_equal(first, [stream.step(sample).copy() for sample in x])


@pytest.mark.parametrize("stack", RIVALS)
def test_verify_proves_every_engine_that_takes_it_and_says_why_another_does_not(folder, stack, capsys):
    assert main(["verify", str(folder / f"{stack}.ernn"), "--steps", "300", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["engines"]
    assert all(told[engine]["steps"] == 300 for engine in ENGINES)
    assert told["native"].get("steps") == 300 or "layers" in told["native"]["skipped"] or "built" in str(told)


def test_an_engine_that_lacks_a_layer_says_so_once_and_numpy_runs_the_model(folder, caplog, monkeypatch):
    def refuse(bundle):
        raise UsageError("the native engine has no conv layers")

    monkeypatch.setattr(native, "open_bundle", refuse)
    bundle = parse_bundle((folder / "cnn.ernn").read_bytes())
    edge_rnn.engine._say_once.cache_clear()
    with caplog.at_level(logging.WARNING, "edge_rnn"):
        engines = [open_engine(bundle) for _ in range(3)]
    assert {engine.name for engine in engines} == {"numpy"}
    assert [record.getMessage() for record in caplog.records] == [
        "models run on NumPy: the native engine has no conv layers"
    ]
    assert engines_for(bundle)[1]["native"] == "the native engine has no conv layers"


@pytest.mark.parametrize(
    ("stack", "words"),
    [
        (
            "cnn",
            ["conv 6 relu (kernel 3, dilation 4)", "the last 13 samples, 0.26 s", "buf0 float32 x 12"],
        ),
        ("transformer", ["attention 8 (window 6, heads 2)", "feedforward 8 relu (hidden 12)", "last 16 samples"]),
        ("statistics", ["window 7 > statistics 15 (window 7) > dense 8 relu", "buf0 float32 x 21: 84 bytes"]),
        ("fastgrnn", ["fastgrnn 6 tanh > fastgrnn 5 tanh", "all samples there were", ": 44 bytes"]),
    ],
)
def test_inspect_tells_layers_receptive_field_and_state(folder, stack, words, capsys):
    assert main(["inspect", str(folder / f"{stack}.ernn")]) == 0
    told = capsys.readouterr().out
    for word in words:
        assert word in told
    assert main(["inspect", str(folder / f"{stack}.ernn"), "--json"]) == 0
    found, graph = json.loads(capsys.readouterr().out), float_graph(stack)
    assert (found["receptive_field"], found["state_bytes"]) == (graph.receptive_field, graph.state_bytes)
    assert found["macs"] == graph.macs


@pytest.mark.parametrize("stack", RIVALS)
def test_the_same_weights_give_the_same_bundle(stack):
    graph = float_graph(stack)
    assert build_bundle(graph, facts_of(graph)) == build_bundle(float_graph(stack), facts_of(graph))


def hostile(stack, edit_manifest=lambda m: None, edit_weights=lambda w: None):
    """A bundle with right hashes whose manifest and weights were changed."""
    import hashlib

    graph = float_graph(stack)
    members = unpack_zip(build_bundle(graph, facts_of(graph)), "bundle")
    weights = unpack_arrays(members["weights.npz"], "weights")
    edit_weights(weights)
    members["weights.npz"] = pack_arrays(weights)
    manifest = json.loads(members["manifest.json"])
    edit_manifest(manifest)
    manifest["files"]["weights.npz"] = hashlib.sha256(members["weights.npz"]).hexdigest()
    members["manifest.json"] = json.dumps(manifest).encode()
    return pack_zip(members)


def with_layer(index, **change):
    return lambda manifest: manifest["layers"][index].update(change)


@pytest.mark.parametrize(
    ("stack", "change", "words"),
    [
        ("cnn", with_layer(1, dilation=-4), "dilation = -4"),
        ("cnn", with_layer(1, dilation=5), "model_digest"),
        ("cnn", with_layer(1, dilation=4096, kernel=64), "numbers in buf"),
        ("cnn", with_layer(1, kernel=4), r"array 'l1.w' is float32 \(6, 18\), expected float32 \(6, 24\)"),
        ("cnn", with_layer(1, stride=2), "a newer edge-rnn made it"),
        ("windowed", with_layer(0, window=1 << 31), "window = 2147483648"),
        ("windowed", with_layer(0, window=10), "27 units of 3 inputs"),
        ("statistics", with_layer(1, window=3), "15 units of 21 inputs"),
        ("transformer", with_layer(1, heads=0), "heads = 0"),
        ("transformer", with_layer(1, window=4096), "'l1.bias'"),
        ("transformer", with_layer(2, hidden=11), "'l2.w_up'"),
        ("transformer", lambda m: m["states"][0].update(shape=[1 << 40]), "states"),
        ("fastgrnn", lambda m: m.update(precision="int8", input={"sx": [1, 1, 1]}), "exponent"),
    ],
)
def test_a_hostile_manifest_is_refused_with_what_is_wrong(stack, change, words):
    with pytest.raises(BundleError, match=words):
        parse_bundle(hostile(stack, change))


@pytest.mark.parametrize(
    ("name", "value"), [("l0.zeta", -0.1), ("l1.nu", 1.5), ("l0.zeta", np.nan), ("l0.w_hh", np.inf)]
)
def test_weights_that_cannot_be_are_refused(name, value):
    with pytest.raises(BundleError, match=name):
        parse_bundle(hostile("fastgrnn", edit_weights=lambda w: w[name].fill(value)))


@pytest.mark.parametrize("stack", RIVALS)
def test_any_content_of_a_restored_state_gives_numbers_or_nan_and_no_crash(folder, stack):
    """A past has no position that could point anywhere."""
    model = from_bundle(parse_bundle((folder / f"{stack}.ernn").read_bytes()), "numpy")
    state, y = State(model.manifest.states), np.zeros((1, 4), np.float32)
    rng = np.random.default_rng(0)
    for _ in range(30):
        state.from_bytes(rng.bytes(len(state.to_bytes())))
        with np.errstate(all="ignore"):
            model.engine.step(noise(1)[0], state, y)


FLOAT_ONLY = [stack for stack in RIVALS if {layer.kind for layer in float_graph(stack).layers} - set(INT8_KINDS)]


@pytest.mark.parametrize("stack", FLOAT_ONLY)
def test_what_has_no_integers_says_so_at_export_and_at_load(stack):
    graph = float_graph(stack)
    with pytest.raises(UsageError, match="--precision float32"):
        quantize(graph, Calibration(noise(300)[:, 0]))
    kind = next(layer.kind for layer in graph.layers if layer.kind not in INT8_KINDS)
    with pytest.raises(BundleError, match=f"a {kind} layer has no int8 form|exponent"):
        parse_bundle(hostile(stack, lambda m: m.update(precision="int8", input={"sx": [1, 1, 1]})))


@pytest.mark.parametrize("arch", ["mlp", "stats-mlp", "fastgrnn", "cnn", "transformer"])
def test_a_network_of_ours_is_exported_as_it_is(arch, tmp_path):
    torch.manual_seed(0)
    network = Network.of(arch, 3, 4, hidden=8, window=20).eval()
    network.std.copy_(torch.tensor([1.0, 3.0, 2.0]))
    facts = {"channels": "xyz", "labels": "abcd", "rate_hz": 50, "sample": noise(400)[:, 0]}
    assert export_bundle(network, tmp_path / "m.ernn", **facts, steps=300).report.ok
    x = noise(60)[:, 0]
    with torch.no_grad():
        wanted = network(torch.from_numpy(x)[None])[0][0].numpy()
    np.testing.assert_allclose(edge_rnn.load(tmp_path / "m.ernn").run(x), wanted, rtol=1e-4, atol=1e-4)
    with pytest.raises(UsageError, match="its own mean and std"):
        export_bundle(network, tmp_path / "m.ernn", **facts, mean=[0, 0, 0])
