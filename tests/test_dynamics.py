"""State lint on networks whose behaviour is known from their weights."""

import numpy as np
import pytest
from conftest import model_of, random_float_graph

from edge_rnn.dynamics import measure
from edge_rnn.graph import Graph, Layer


def leaky(keep: float, rate_hz=10.0, std=1.0):
    """One ReLU unit that adds its input and keeps `keep` of itself a step; the logit is the unit."""
    arrays = {"mean": np.zeros(1), "std": np.ones(1), "l0.w_ih": [[1 - keep]], "l0.w_hh": [[keep]]}
    arrays |= {"l0.b_ih": [1.0 - keep], "l0.b_hh": [0.0], "l1.w": [[4.0], [0.0]], "l1.b": [-4.0, 0.0]}
    layers = (Layer("rnn", 1, 1, "relu"), Layer("dense", 1, 2, "none"))
    graph = Graph("float32", layers, {k: np.array(v, np.float32) for k, v in arrays.items()})
    return model_of(graph, rate_hz=rate_hz)


def latch():
    """A tanh unit with two stable states: it never forgets on which side it began."""
    arrays = {"mean": np.zeros(1), "std": np.ones(1), "l0.w_ih": [[0.3]], "l0.w_hh": [[8.0]]}
    arrays |= {"l0.b_ih": [0.0], "l0.b_hh": [0.0], "l1.w": [[5.0], [0.0]], "l1.b": [0.0, 0.0]}
    layers = (Layer("rnn", 1, 1, "tanh"), Layer("dense", 1, 2, "none"))
    graph = Graph("float32", layers, {k: np.array(v, np.float32) for k, v in arrays.items()})
    return model_of(graph, rate_hz=10.0)


def test_a_longer_memory_is_measured_as_one():
    quick, slow = measure(leaky(0.5)), measure(leaky(0.98))
    assert quick.memory_s[0] < 2
    assert slow.memory_s[0] > 4 * max(quick.memory_s[0], 0.1)
    assert slow.settle_s[0] > quick.settle_s[0]
    assert slow.memory_s[1] < 60


def test_a_latch_is_warned_of():
    found = measure(latch())
    assert found.settle_s[1] == 120
    assert any("latches" in warning for warning in found.warnings())
    assert found.units["h0"]["at_stop"] > 0.5


def test_an_ordinary_network_has_nothing_to_be_warned_of_but_its_warmup():
    found = measure(model_of(random_float_graph(kind="lstm"), rate_hz=10.0, warmup_samples=400))
    assert found.idle_drift < 0.2
    assert found.warnings() == []
    assert set(found.units) == {"h0", "c0"}


def test_a_picture_is_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    from edge_rnn.export.dynamics_plot import plot_dynamics

    plot_dynamics(measure(leaky(0.9)), "leaky@1", tmp_path / "d.png")
    assert (tmp_path / "d.png").stat().st_size > 5000
