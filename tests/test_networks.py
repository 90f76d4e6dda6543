"""One call over a sequence equals step by step; torch's own modules are the oracle of the wiring."""

import json

import numpy as np
import pytest
import torch
from edge_rnn.export.architectures import ARCHITECTURES, RECURRENT
from edge_rnn.export.initial import initialise
from edge_rnn.export.networks import Network
from torch import nn

from edge_rnn.errors import UsageError

SPECS = {
    "perceptron": [],
    "mlp": [{"kind": "dense", "units": 7, "activation": "relu"}, {"kind": "dense", "units": 5, "activation": "none"}],
    "rnn": [{"kind": "rnn", "units": 6, "activation": "tanh"}],
    "rnn-relu": [{"kind": "rnn", "units": 6, "activation": "relu"}],
    "gru": [{"kind": "gru", "units": 8, "activation": "tanh"}] * 2,
    "lstm": [{"kind": "lstm", "units": 8, "activation": "tanh"}, {"kind": "lstm", "units": 4, "activation": "tanh"}],
    "mixed": [
        {"kind": "dense", "units": 5, "activation": "relu"},
        {"kind": "lstm", "units": 4, "activation": "tanh"},
        {"kind": "gru", "units": 6, "activation": "tanh"},
    ],
    **{
        arch: Network.of(arch, 3, 4, hidden=8, layers=2, window=9).spec()["layers"]
        for arch in ("fastgrnn", "stats-mlp", "cnn", "transformer")
    },
    "windowed": Network.of("mlp", 3, 4, hidden=8, layers=2, window=9).spec()["layers"],
}


def make(name: str) -> Network:
    torch.manual_seed(3)
    network = Network(3, SPECS[name], 4).eval()
    network.mean.copy_(torch.tensor([0.5, -2.0, 10.0]))
    network.std.copy_(torch.tensor([0.1, 3.0, 2.0]))
    return network


@pytest.mark.parametrize("name", SPECS)
def test_one_call_over_a_sequence_equals_step_by_step_in_outputs_and_final_state(name):
    network = make(name)
    x = torch.randn(5, 40, 3) * 2
    state = network(torch.randn(5, 13, 3))[1:]  # what was before
    whole, *final = network(x, *state)
    steps = []
    for t in range(x.shape[1]):
        y, *state = network(x[:, t : t + 1], *state)
        steps.append(y)
    torch.testing.assert_close(torch.cat(steps, 1), whole, atol=2e-6, rtol=1e-5)
    torch.testing.assert_close(list(state), final, atol=2e-6, rtol=1e-5)
    assert [s.shape for s in final] == [(5, width) for width in network.state_widths]


@pytest.mark.parametrize("name", SPECS)
def test_no_state_given_means_zeros(name):
    network = make(name)
    x = torch.randn(2, 9, 3)
    torch.testing.assert_close(network(x), network(x, *network.zero_state(2)), atol=0, rtol=0)


@pytest.mark.parametrize(
    ("name", "oracle"),
    [
        ("rnn", nn.RNN(3, 6, batch_first=True)),
        ("rnn-relu", nn.RNN(3, 6, nonlinearity="relu", batch_first=True)),
        ("gru", nn.GRU(3, 8, 2, batch_first=True)),
    ],
)
def test_stacked_layers_are_torchs_own_on_the_normalised_input(name, oracle):
    network = make(name)
    for index, layer in enumerate(network.layers):
        for parameter in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            getattr(oracle, f"{parameter}_l{index}").data = getattr(layer, f"{parameter}_l0").data
    x = torch.randn(4, 30, 3)
    h, last = oracle((x - network.mean) / network.std)
    y, *state = network(x)
    torch.testing.assert_close(y, network.head(h))
    torch.testing.assert_close(torch.stack(state), last)


def test_lstm_states_are_h_then_c_layer_by_layer():
    network = make("mixed")
    _y, *state = network(torch.randn(2, 5, 3))
    assert [s.name for s in network.to_graph().states] == ["h1", "c1", "h2"]
    assert [s.shape[1] for s in state] == [4, 4, 6]
    assert (state[0].abs() <= state[1].tanh().abs() + 1e-6).all()  # h = o tanh(c), o <= 1


@pytest.mark.parametrize("name", SPECS)
def test_spec_is_json_and_builds_the_same_network(name):
    network = make(name)
    copy = Network.from_spec(json.loads(json.dumps(network.spec())))
    copy.load_state_dict(network.state_dict())
    x = torch.randn(2, 6, 3)
    torch.testing.assert_close(copy.eval()(x), network(x), atol=0, rtol=0)


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_architectures_by_name(arch):
    network = Network.of(arch, 6, 5, hidden=12, layers=2, window=20)
    assert network(torch.zeros(1, 3, 6))[0].shape == (1, 3, 5)
    if arch in RECURRENT:
        assert [layer["units"] for layer in network.spec()["layers"]] == [12, 12]
    elif arch != "cnn":
        assert network.to_graph().receptive_field in (20, 21)


@pytest.mark.parametrize(
    ("arch", "parameters"),
    [("gru", 4038), ("lstm", 5318), ("rnn", 1478), ("fastgrnn", 1480), ("mlp", 49606), ("perceptron", 4614)],
)
def test_defaults_have_the_parameters_of_the_published_figures(arch, parameters):
    network = Network.of(arch, 6, 6, window=128)
    assert sum(p.numel() for p in network.parameters()) == parameters == network.to_graph().parameters


def test_the_default_cnn_sees_a_window():
    assert Network.of("cnn", 6, 6).to_graph().receptive_field == 125


@pytest.mark.parametrize("name", ["windowed", "stats-mlp"])
def test_a_long_recording_goes_in_blocks_with_the_same_logits(name):
    network, x = make(name), torch.randn(1, 2500, 3)
    whole, *final = network(x)
    with torch.no_grad():
        blocks, *left = network(x)
        some = network(x, steps=slice(2, None, 700))[0]
    torch.testing.assert_close(blocks, whole)
    torch.testing.assert_close(left, final)
    torch.testing.assert_close(some, whole[:, 2::700])


def test_only_the_steps_that_are_asked_for_are_given_and_the_states_are_the_same():
    for name in SPECS:
        network, x = make(name), torch.randn(2, 30, 3)
        whole, *final = network(x)
        some, *left = network(x, steps=slice(7, None, 5))
        torch.testing.assert_close(some, whole[:, 7::5])
        torch.testing.assert_close(left, final)


@pytest.mark.parametrize("name", SPECS)
def test_graph_has_the_same_numbers(name):
    network = make(name)
    graph = network.to_graph()
    assert graph.inputs == 3
    assert graph.outputs == 4
    head = len(graph.layers) - 1
    np.testing.assert_array_equal(graph.arrays[f"l{head}.w"], network.head.weight.detach().numpy())
    np.testing.assert_array_equal(graph.arrays["std"], network.std.numpy())
    assert graph.parameters == sum(p.numel() for p in network.parameters())
    if name not in ("perceptron", "mlp", "rnn", "rnn-relu", "gru", "lstm", "mixed"):
        return  # others are not laid out as torch has them
    for index, layer in enumerate(network.layers):
        wanted = layer.weight if isinstance(layer, nn.Linear) else layer.weight_ih_l0
        got = graph.arrays[f"l{index}.w" if isinstance(layer, nn.Linear) else f"l{index}.w_ih"]
        np.testing.assert_array_equal(got, wanted.detach().numpy())


@pytest.mark.parametrize("name", ["gru", "lstm", "rnn"])
def test_functional_call_reaches_the_fused_kernels_with_other_weights(name):
    network = make(name)
    halved = {n: p.detach() * 0.5 for n, p in network.named_parameters()}
    x = torch.randn(2, 7, 3)
    got = torch.func.functional_call(network, halved, (x,))
    expected = make(name)
    expected.load_state_dict({**expected.state_dict(), **halved})
    torch.testing.assert_close(got, expected(x))
    names = {n.split(".", 2)[-1] for n in halved if n.startswith("layers.")}
    assert names == {"weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"}


def test_initialisation_is_orthogonal_with_a_slow_gate_and_repeats_with_its_seed():
    network, again = Network.of("gru", 6, 4), Network.of("gru", 6, 4)
    initialise(network, torch.Generator().manual_seed(1))
    initialise(again, torch.Generator().manual_seed(1))
    for name, value in network.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], value, atol=0, rtol=0)
    gru = network.layers[0]
    for block in gru.weight_hh_l0.chunk(3):
        torch.testing.assert_close(block @ block.T, torch.eye(32), atol=1e-5, rtol=0)
    assert gru.bias_ih_l0[32:64].eq(2).all()
    assert gru.bias_ih_l0[:32].eq(0).all()
    assert gru.bias_hh_l0.eq(0).all()


def test_a_fastgrnn_starts_where_no_stream_can_drive_it_out_of_bounds():
    network = Network.of("fastgrnn", 6, 4)
    initialise(network, torch.Generator().manual_seed(1))
    cell = network.layers[0]
    torch.testing.assert_close(cell.weight_hh_l0 @ cell.weight_hh_l0.T, torch.eye(32), atol=1e-5, rtol=0)
    with torch.no_grad():
        _, h = network(100 * torch.randn(4, 3000, 6))
    assert h.abs().max() <= torch.sigmoid(cell.zeta).item() + 1e-6


def test_a_square_convolution_starts_with_what_the_layer_below_found():
    network = Network.of("cnn", 6, 4)
    initialise(network, torch.Generator().manual_seed(1))
    first, *others = [layer.weight for layer in network.layers]
    assert first.shape == (16, 6, 5)
    for weight in others:
        diagonal = weight[:, :, -1].diagonal()
        assert (diagonal - 1).abs().max() < weight[:, :, :-1].abs().max() * 1.2


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Network.of("tcn", 6, 4), "perceptron, mlp"),
        (lambda: Network.of("transformer", 6, 4), "window"),
        (lambda: Network(3, [{"kind": "gru", "units": 4, "activation": "tanh", "width": 3}], 4), "width"),
        (lambda: Network(3, [{"kind": "gru", "units": 0, "activation": "tanh"}], 4), "units"),
        (lambda: Network(3, [{"kind": "gru", "units": 4}], 4), "activation"),
        (lambda: Network(3, [{"kind": "conv", "units": 4, "activation": "none"}], 4), "kernel = None"),
        (lambda: Network(3, [{"kind": "pool", "units": 4, "activation": "none"}], 4), "pool"),
        (lambda: Network.from_spec({"inputs": 3}), "classes"),
        (lambda: make("gru")(torch.zeros(1, 5, 4)), r"got \(1, 5, 4\)"),
        (lambda: make("gru")(torch.zeros(1, 0, 3)), "time >= 1"),
        (lambda: make("gru")(torch.zeros(2, 5, 3), torch.zeros(2, 8)), "states"),
        (lambda: make("gru")(torch.zeros(2, 5, 3), torch.zeros(2, 8), torch.zeros(1, 8)), "states"),
    ],
)
def test_what_does_not_fit_is_told(call, words):
    with pytest.raises(UsageError, match=words):
        call()
