"""The comparison of an int8 model with its float network counts what it says."""

import numpy as np
import torch
from edge_rnn.export.agreement import compare, integer_logits
from edge_rnn.export.calibration import Calibration
from edge_rnn.export.datasets import Recordings
from edge_rnn.export.networks import Network
from edge_rnn.export.quantize import quantize

from edge_rnn.engine import State
from edge_rnn.engines.integer import IntegerEngine


def recordings(rng) -> Recordings:
    label = np.repeat([0, 1, -1, 1, 0, 1], 40)
    x = rng.normal(0, 1, (240, 3)) + label[:, None]
    return Recordings(
        x, np.ones(3), label, np.array([0, 100, 240]), None, ("a", "b"), 50.0, ("x", "y", "z"), ("", "", ""), ("p", "q")
    )


def test_a_network_agrees_with_its_own_integers_and_not_with_anothers():
    rng = np.random.default_rng(0)
    data = recordings(rng)
    torch.manual_seed(0)
    network, other = Network.of("gru", 3, 2, hidden=8).eval(), Network.of("gru", 3, 2, hidden=8).eval()
    made = quantize(network.to_graph(), Calibration(data.values())).graph
    own, foreign = compare(network, made, data, 20, 10), compare(other, made, data, 20, 10)
    assert own.samples == 240
    assert own.agreement >= 0.98
    assert own.rmse < 0.02
    assert abs(own.float_windows - own.int8_windows) < 0.1
    assert foreign.agreement < own.agreement
    assert foreign.rmse > 10 * own.rmse


def test_recordings_side_by_side_give_the_logits_of_each_alone():
    rng = np.random.default_rng(1)
    data = recordings(rng)
    torch.manual_seed(1)
    made = quantize(Network.of("lstm", 3, 2, hidden=4).to_graph(), Calibration(data.values())).graph
    x, valid = Calibration(data.values(), [0, 100]).blocks(240)
    together = integer_logits(made, x)
    for n in range(2):
        alone = data.values(n)
        out, state = np.zeros((len(alone), 2), np.float32), State(made.states)
        IntegerEngine(made).run(alone, state, out)
        np.testing.assert_array_equal((together[valid[:, n], n] / 65536).astype(np.float32), out)
