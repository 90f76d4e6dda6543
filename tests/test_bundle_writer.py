"""Writing a bundle: the same bytes, in one move, and never one that disagrees."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest
from edge_rnn.export import bundle_writer
from edge_rnn.export.bundle_writer import build_bundle, golden_stream, write_bundle
from edge_rnn.export.torch_engine import TorchEngine
from float_models import STACKS, facts_of, float_graph
from int8_models import golden_graph, read_golden

import edge_rnn
from edge_rnn import parity
from edge_rnn.atomic import write_atomically
from edge_rnn.bundle import parse_bundle, read_bundle
from edge_rnn.engine import State
from edge_rnn.engines.integer import IntegerEngine
from edge_rnn.engines.numpy import NumpyEngine
from edge_rnn.errors import DataError, ParityError, UsageError
from edge_rnn.stored_zip import unpack_zip

FLOAT, INT8 = float_graph("gru"), golden_graph(read_golden("GRU2"))


@pytest.mark.parametrize("stack", STACKS)
def test_every_stack_of_layers_is_written_and_proven(stack, tmp_path):
    graph = float_graph(stack)
    bundle, report = write_bundle(graph, facts_of(graph), tmp_path / "m.ernn", steps=300)
    assert report.ok
    assert {"numpy", "onnxruntime"} <= set(report.stream)
    assert read_bundle(tmp_path / "m.ernn").digest == bundle.digest
    assert bundle.graph.digest() == graph.digest()


def test_the_same_graph_and_facts_give_the_same_bytes_in_another_process_too():
    code = (
        "import sys, hashlib; sys.path.insert(0, 'tests')\n"
        "from test_bundle_writer import *\n"
        "print(*(hashlib.sha256(build_bundle(g, facts_of(g))).hexdigest() for g in (FLOAT, INT8)))"
    )
    here = " ".join(sha256(build_bundle(graph, facts_of(graph))).hexdigest() for graph in (FLOAT, INT8))
    environment = {**os.environ, "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"}
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert there.stdout.strip() == here


def test_names_thresholds_and_policy_change_neither_the_model_nor_its_onnx_file():
    one, two = (parse_bundle(build_bundle(FLOAT, facts_of(FLOAT, name=name))) for name in ("one", "two"))
    assert one.digest != two.digest
    assert one.manifest.model_digest == two.manifest.model_digest
    assert one.onnx == two.onnx


def test_a_bundle_is_a_stored_zip_of_four_files_with_their_hashes():
    members = unpack_zip(build_bundle(INT8, facts_of(INT8)), "test")
    assert list(members) == ["manifest.json", "model.onnx", "weights.npz", "golden.npz"]
    manifest = json.loads(members["manifest.json"])
    assert manifest["files"] == {name: sha256(body).hexdigest() for name, body in list(members.items())[1:]}
    promised = """format name version created_by model_digest files precision rate_hz channels labels task background
        layers states input warmup_samples gap detector front_end golden training tuning"""
    assert set(promised.split()) == set(manifest)
    assert manifest["created_by"] == f"edge-rnn {edge_rnn.__version__}"


def test_defaults_are_a_detector_for_each_class_but_the_background_and_the_gap_policy():
    manifest = parse_bundle(build_bundle(FLOAT, facts_of(FLOAT))).manifest
    assert set(manifest.detector) == {"b", "c", "d"}
    assert (manifest.gap.short, manifest.gap.long) == (3, 128)
    assert parse_bundle(build_bundle(FLOAT, facts_of(FLOAT, task="regress"))).manifest.detector == {}


def test_the_golden_stream_is_half_real_half_saturating():
    facts = facts_of(FLOAT)
    golden = golden_stream(FLOAT, facts)
    assert len(golden["x"]) == 256
    assert np.array_equal(golden["x"][:128], facts.golden_x[:128])
    assert np.abs(golden["x"][128:]).min() == 500
    xq = np.rint(golden_stream(INT8, facts_of(INT8))["x"][128:] / INT8.arrays["sx"])
    assert (np.abs(xq) > 32767).any()


def test_golden_outputs_are_torchs_in_one_call_and_the_integer_engines_step_by_step():
    golden = golden_stream(FLOAT, facts_of(FLOAT))
    state = State(FLOAT.states)
    np.testing.assert_allclose(TorchEngine(FLOAT).sequences(golden["x"][None], state)[0], golden["y"], atol=1e-6)
    golden = golden_stream(INT8, facts_of(INT8))
    state, y_q = State(INT8.states), np.zeros((1, INT8.outputs), np.int32)
    for x, expected in zip(golden["x"], golden["y_q"], strict=True):
        xq = np.clip(np.rint(x / INT8.arrays["sx"]), -32768, 32767).astype(np.int16)
        IntegerEngine(INT8).step_int(xq[None], state, y_q)
        assert np.array_equal(y_q[0], expected)
    for spec, array in zip(INT8.states, state.arrays, strict=True):
        assert np.array_equal(array[0], golden[f"state.{spec.name}"])


def test_few_real_samples_are_repeated_and_bad_ones_refused():
    facts = facts_of(FLOAT)
    few = golden_stream(FLOAT, replace(facts, golden_x=facts.golden_x[:50]))["x"]
    assert np.array_equal(few[:128], np.resize(facts.golden_x[:50], (128, 3)))
    for bad in (facts.golden_x[:0], facts.golden_x[:, :2], np.full((9, 3), np.nan)):
        with pytest.raises(DataError, match="real samples"):
            golden_stream(FLOAT, replace(facts, golden_x=bad))


def wrong(bundle):
    """As engines_for: one engine, and with one weight another than the bundle's."""
    arrays = {key: array.copy() for key, array in bundle.graph.arrays.items()}
    arrays["l0.w_hh" if bundle.graph.precision == "float32" else "l0.b"].flat[0] += 1
    graph = type(bundle.graph)(bundle.graph.precision, bundle.graph.layers, arrays)
    return {"wrong": NumpyEngine(graph) if graph.precision == "float32" else IntegerEngine(graph)}, {}


@pytest.mark.parametrize("graph", [FLOAT, INT8], ids=["float32", "int8"])
def test_a_bundle_that_disagrees_is_not_left_behind_and_the_old_one_stays(graph, tmp_path, monkeypatch):
    path = tmp_path / "m.ernn"
    path.write_bytes(b"the old one")
    monkeypatch.setattr(parity, "engines_for", wrong)
    with pytest.raises(ParityError, match=r"m.ernn was not written.*from step \d+"):
        write_bundle(graph, facts_of(graph), path, steps=50)
    assert path.read_bytes() == b"the old one"
    assert os.listdir(tmp_path) == ["m.ernn"]


def test_a_disk_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, b"old")
    for name in ("fsync", "replace", "chmod"):
        with monkeypatch.context() as broken:
            broken.setattr(os, name, lambda *_: (_ for _ in ()).throw(OSError("disk")))
            with pytest.raises(OSError, match="disk"):
                write_atomically(path, b"new")
        assert path.read_bytes() == b"old"
        assert os.listdir(tmp_path) == ["file"]
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_file_is_flushed_before_it_gets_its_name(tmp_path, monkeypatch):
    order = []
    fsync, rename = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (order.append("fsync"), fsync(handle)))
    monkeypatch.setattr(os, "replace", lambda a, b: (order.append("rename"), rename(a, b)))
    write_atomically(tmp_path / "file", b"x")
    assert order == ["fsync", "rename", "fsync"]


def test_a_folder_that_is_not_there_is_told_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr(bundle_writer, "build_bundle", lambda *_: pytest.fail("it began to work"))
    with pytest.raises(UsageError, match="folder"):
        write_bundle(FLOAT, facts_of(FLOAT), tmp_path / "nowhere" / "m.ernn")
