"""Gradients back through time against calculus done by hand and against finite differences, in float64."""

import numpy as np
import pytest
import torch
from edge_rnn.export import Network
from edge_rnn.export.gradients import Flow, describe, flow, reach
from torch.nn.functional import cross_entropy

STEPS, BATCH, INPUTS, CLASSES = 12, 4, 3, 3


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(BATCH, STEPS, INPUTS, generator=generator)
    return x, torch.randint(CLASSES, (BATCH,), generator=generator)


def network_of(arch, layers=1):
    torch.manual_seed(5)
    network = Network.of(arch, INPUTS, CLASSES, hidden=5, layers=layers)
    network.std.copy_(torch.tensor([2.0, 1.0, 0.5]))
    return network


def test_a_tanh_rnns_gradients_are_the_product_of_its_jacobians(batch):
    """d loss/d h_(t-1) = d loss/d h_t diag(1 - h_t^2) W_hh, from the softmax down, in NumPy."""
    x, label = batch
    network = network_of("rnn")
    found = flow(network, x, label, smoothing=0.0)
    w = {name: p.detach().double().numpy() for name, p in network.named_parameters()}
    w_ih, w_hh = w["layers.0.weight_ih_l0"], w["layers.0.weight_hh_l0"]
    bias, std = w["layers.0.bias_ih_l0"] + w["layers.0.bias_hh_l0"], network.std.double().numpy()
    for b in range(BATCH):
        h = [np.zeros(5)]
        for sample in x[b].double().numpy():
            h.append(np.tanh(w_ih @ (sample / std) + w_hh @ h[-1] + bias))
        logits = w["head.weight"] @ h[-1] + w["head.bias"]
        p = np.exp(logits - logits.max())
        g = w["head.weight"].T @ (p / p.sum() - np.eye(CLASSES)[label[b]])
        for k in range(STEPS):
            inner = g * (1 - h[STEPS - k] ** 2)
            assert found.sample[b, k] == pytest.approx(np.linalg.norm(inner @ w_ih), rel=1e-9)
            g = inner @ w_hh
            assert found.state[b, k] == pytest.approx(np.linalg.norm(g), rel=1e-9)


@pytest.mark.parametrize(("arch", "layers"), [("gru", 1), ("lstm", 1), ("gru", 2), ("rnn-relu", 1)])
def test_gated_and_stacked_networks_agree_with_finite_differences(arch, layers, batch):
    x, label = batch
    network = network_of(arch, layers).double().eval()
    found = flow(network, x, label, smoothing=0.1)
    x = x.double()

    def loss(rest, state):
        y = network(rest, *state)[0][:, -1]
        return cross_entropy(y, label, reduction="none", label_smoothing=0.1).detach().numpy()

    for back in (1, 5, STEPS):
        state = network.zero_state(BATCH)
        if back < STEPS:
            _, *state = network(x[:, : STEPS - back], *state)
        state = [s.detach() for s in state]
        square, rest, small = np.zeros(BATCH), x[:, STEPS - back :], 1e-6
        for array in state:
            for column in range(array.shape[1]):
                change = torch.zeros_like(array)
                change[:, column] = small
                sides = [[s + sign * change if s is array else s for s in state] for sign in (1, -1)]
                square += ((loss(rest, sides[0]) - loss(rest, sides[1])) / (2 * small)) ** 2
        np.testing.assert_allclose(found.state[:, back - 1], np.sqrt(square), rtol=1e-5, atol=1e-12)


def test_a_warmed_up_state_is_as_in_the_whole_sequence_and_takes_no_gradient(batch):
    x, label = batch
    network = network_of("gru")
    whole, warm = flow(network, x, label), flow(network, x, label, lead=5)
    np.testing.assert_allclose(warm.state, whole.state[:, :7], rtol=1e-12)
    np.testing.assert_allclose(warm.sample, whole.sample[:, :7], rtol=1e-12)


def test_a_network_without_state_sees_the_last_sample_alone(batch):
    found = flow(network_of("perceptron"), *batch)
    assert found.state.shape == (BATCH, 0)
    assert found.receptive_field == 1
    assert flow(network_of("gru"), *batch).receptive_field is None


def test_the_network_is_left_as_it_was(batch):
    network = network_of("gru").train()
    before = {name: p.clone() for name, p in network.state_dict().items()}
    flow(network, *batch)
    assert network.training
    assert all(p.grad is None and p.dtype == torch.float32 for p in network.parameters())
    assert all(torch.equal(before[name], p) for name, p in network.state_dict().items())


def test_curves_are_medians_relative_to_one_step_back_and_rows_without_gradient_do_not_count():
    state = np.array([[2.0, 1.0, 0.5], [1.0, 0.1, 0.01], [4.0, 4.0, 4.0], [0.0, 0.0, 0.0]])
    np.testing.assert_allclose(Flow(state, state).curve, [1, 0.5, 0.25])


def test_reach_is_the_first_step_after_which_nothing_is_above_the_level():
    curve = np.array([1, 0.1, 1e-3, 0.05, 1e-4, 1e-5])
    assert reach(curve, 1e-2) == 4
    assert reach(curve, 1e-7) is None
    assert reach(np.array([1.0, np.nan, 0.0]), 0.5) == 2  # what cannot be computed has not vanished
    assert describe(0.5 ** np.arange(10.0))["factor_a_step"] == pytest.approx(0.5)
    assert describe(np.array([1.0, np.inf]))["largest"] is None
