"""The benchmark itself: every contestant computes the same network, and the table, JSON and picture come out whole."""

import json
import subprocess
import sys

import numpy as np
import pytest

from benchmarks import litert, rtneural
from benchmarks.measure import agree, collect
from benchmarks.networks import NETWORKS, float_network, sensor
from benchmarks.rivals import Onnxruntime, torch_step
from edge_rnn.engine import State
from edge_rnn.engines.numpy import open_graph

from .kernel_files import ROOT


def assert_same(graph, contestants):
    samples = list(sensor(graph.inputs, 40))
    truth = collect(open_graph(graph).bind(State(graph.states)), samples)
    for name, step in contestants.items():
        agree({"numpy": truth, name: collect(step, samples)}, 1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_contestant_carries_its_state_through_the_same_network(name):
    graph = float_network(name)
    assert_same(
        graph, {"bound": Onnxruntime(graph).bound(), "run": Onnxruntime(graph).plain(), "torch": torch_step(graph)}
    )


@pytest.mark.skipif(not litert.installed(), reason="LiteRT is not installed (pip install ai-edge-litert)")
@pytest.mark.parametrize("name", NETWORKS)
def test_litert_carries_its_state_through_the_same_network(name):
    graph = float_network(name)
    assert_same(graph, {"public": litert.Litert(graph).public(), "in place": litert.Litert(graph).in_place()})


@pytest.mark.skipif(not rtneural.installed(), reason="RTNEURAL names no checkout of RTNeural, or there is no g++")
@pytest.mark.parametrize("name", ["gru32", "lstm32", "gru64x2"])
def test_rtneural_carries_its_state_through_the_same_network(name):
    graph = float_network(name)
    assert_same(graph, {"rtneural": rtneural.step_of(graph)})


def test_a_wrong_contestant_is_not_timed():
    """The negative control."""
    y = np.zeros((3, 2))
    with pytest.raises(ValueError, match="nothing is timed"):
        agree({"a": y, "b": y + 2e-5}, 1e-5)


@pytest.mark.slow
def test_one_command_prints_the_table_and_writes_json_and_picture(tmp_path):
    out, picture = tmp_path / "f.json", tmp_path / "f.png"
    command = [sys.executable, "-m", "benchmarks", "rnn32", "--seconds", "0.2", "--out", str(out)]
    done = subprocess.run([*command, "--picture", str(picture)], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "run of 1000 / onnxruntime sequence" in done.stdout
    found = json.loads(out.read_text())["networks"]["rnn32"]
    assert {"step", "tail", "cold_us", "sequence", "group", "start"} <= set(found)
    assert set(found["tail"]["native float32"]) == {"p50_us", "p99_us", "max_us"}
    assert found["start"]["native"]["memory_mib"] > 0
    assert picture.read_bytes().startswith(b"\x89PNG")
