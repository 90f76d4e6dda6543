"""Bring your own model: what is taken, what is refused, each by name. The oracle is the module's own forward."""

import numpy as np
import pytest
import torch
from edge_rnn.export import export_bundle
from edge_rnn.export.from_torch import graph_of
from torch import nn

import edge_rnn
from edge_rnn.engine import State
from edge_rnn.engines.numpy import NumpyEngine
from edge_rnn.errors import UsageError

RNG = np.random.default_rng(5)
SAMPLE = (RNG.normal(0, 1, (300, 3)) * [1, 5, 0.2] + [0, 9.8, -1]).astype(np.float32)
MEAN, STD = SAMPLE.mean(axis=0).astype(np.float64), SAMPLE.std(axis=0).astype(np.float64)


class Net(nn.Module):
    """A network whose forward is the function it is given."""

    def __init__(self, forward, **layers):
        super().__init__()
        torch.manual_seed(1)
        for name, make in layers.items():
            setattr(self, name, make())
        self.register_buffer("mean", torch.tensor(MEAN, dtype=torch.float32))
        self.register_buffer("std", torch.tensor(STD, dtype=torch.float32))
        self._forward = forward

    def forward(self, x, *more):
        return self._forward(self, x, *more)


def graph(net, mean=None, std=None):
    return graph_of(net.eval(), SAMPLE, np.zeros(3) if mean is None else mean, np.ones(3) if std is None else std)


def step_by_step(made):
    y = np.zeros((len(SAMPLE), made.outputs), np.float32)
    NumpyEngine(made).run(SAMPLE, State(made.states), y)
    return y


def gru(**options):
    return lambda: nn.GRU(3, 5, **options)


def every_step(net, x):
    return net.head(net.rnn(x)[0])


def test_batch_first_gru_with_a_head_at_every_step():
    net = Net(every_step, rnn=gru(batch_first=True), head=lambda: nn.Linear(5, 2))
    expected = net(torch.from_numpy(SAMPLE)[None])[0].detach().numpy()
    np.testing.assert_allclose(step_by_step(graph(net)), expected, rtol=1e-4, atol=1e-4)


def test_time_first_lstm_of_three_layers_without_biases():
    net = Net(every_step, rnn=lambda: nn.LSTM(3, 5, 3, bias=False), head=lambda: nn.Linear(5, 2, bias=False))
    made = graph(net)
    assert [layer.kind for layer in made.layers] == ["lstm", "lstm", "lstm", "dense"]
    expected = net(torch.from_numpy(SAMPLE)[:, None])[:, 0].detach().numpy()
    np.testing.assert_allclose(step_by_step(made), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_elman_network_between_linear_and_relu_layers(nonlinearity):
    def forward(net, x):
        out, _ = net.rnn(torch.relu(net.inlet(x)))
        return net.head(out)

    made = graph(
        Net(
            forward,
            inlet=lambda: nn.Linear(3, 4),
            rnn=lambda: nn.RNN(4, 5, nonlinearity=nonlinearity, batch_first=True),
            head=lambda: nn.Sequential(nn.Linear(5, 6), nn.ReLU(inplace=True), nn.Dropout(0.5), nn.Linear(6, 2)),
        )
    )
    assert [(layer.kind, layer.activation) for layer in made.layers] == [
        ("dense", "relu"),
        ("rnn", nonlinearity),
        ("dense", "relu"),
        ("dense", "none"),
    ]


LAST_STEPS = {
    "slice": lambda net, x: net.head(net.rnn(x)[0][:, -1]),
    "slice and squeeze": lambda net, x: net.head(net.rnn(x)[0][:, -1:, :].squeeze(1)),
    "final state": lambda net, x: net.head(net.rnn(x)[1][-1]),
    "zero state made from the batch": lambda net, x: net.head(net.rnn(x, torch.zeros(2, x.size(0), 5))[0][:, -1, :]),
    "with the state beside it": lambda net, x: (net.head((out := net.rnn(x))[0][:, -1]), out[1]),
    "transposed": lambda net, x: net.head(net.rnn(x)[0].transpose(0, 1)[-1]),
    "head first": lambda net, x: net.head(net.rnn(x)[0])[:, -1],
}


@pytest.mark.parametrize("forward", LAST_STEPS.values(), ids=LAST_STEPS)
def test_a_classifier_of_the_last_step_gives_its_logits_at_every_step(forward):
    net = Net(forward, rnn=gru(num_layers=2, batch_first=True), head=lambda: nn.Linear(5, 2))
    y = step_by_step(graph(net))
    for length in (1, 2, 40, 300):
        came = net(torch.from_numpy(SAMPLE[:length])[None])
        came = (came[0] if isinstance(came, tuple) else came).detach().numpy().reshape(-1)
        np.testing.assert_allclose(y[length - 1], came, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("options", [{}, {"bias": False}])
def test_layer_norm_of_the_units_is_a_layer(options):
    def forward(net, x):
        return net.head(net.norm(net.rnn(x)[0]))

    norm = lambda: nn.LayerNorm(5, **options)  # noqa: E731
    net = Net(forward, rnn=gru(batch_first=True), norm=norm, head=lambda: nn.Linear(5, 2))
    nn.init.normal_(net.norm.weight)
    made = graph(net)
    assert [layer.kind for layer in made.layers] == ["gru", "norm", "dense"]
    expected = net(torch.from_numpy(SAMPLE)[None])[0].detach().numpy()
    np.testing.assert_allclose(step_by_step(made), expected, rtol=1e-4, atol=1e-4)


def test_relu_after_a_recurrent_layer_becomes_a_layer_of_its_own():
    net = Net(
        lambda net, x: net.head(nn.functional.relu(net.rnn(x)[0])),
        rnn=gru(batch_first=True),
        head=lambda: nn.Linear(5, 2),
    )
    assert [layer.kind for layer in graph(net).layers] == ["gru", "dense", "dense"]


NORMALISATIONS = {
    "minus and divided": lambda net, x: (x - net.mean) / net.std,
    "multiplied and plus": lambda net, x: net.std.reciprocal() * x + -net.mean / net.std,
    "in place": lambda net, x: x.clone().sub_(net.mean).div_(net.std),
    "by a number": lambda net, x: (x - 1.5) / 4.0,
}


@pytest.mark.parametrize("normalise", NORMALISATIONS.values(), ids=NORMALISATIONS)
def test_normalisation_in_the_forward_goes_into_the_graph(normalise):
    net = Net(
        lambda net, x: net.head(net.rnn(normalise(net, x))[0]),
        rnn=gru(batch_first=True),
        head=lambda: nn.Linear(5, 2),
    )
    made = graph(net)
    assert [layer.kind for layer in made.layers] == ["gru", "dense"]
    assert not np.array_equal(made.arrays["std"], np.ones(3))


def test_mean_and_std_beside_the_module_are_its_normalisation():
    net = Net(every_step, rnn=gru(batch_first=True), head=lambda: nn.Linear(5, 2))
    made = graph(net, MEAN, STD)
    np.testing.assert_allclose(made.arrays["mean"], MEAN, rtol=1e-6)
    expected = net(torch.tensor((SAMPLE - MEAN) / STD, dtype=torch.float32)[None])[0].detach().numpy()
    np.testing.assert_allclose(step_by_step(made), expected, rtol=1e-4, atol=1e-4)


def test_one_linear_layer_is_a_network():
    assert [layer.kind for layer in graph_of(nn.Linear(3, 2), SAMPLE, np.zeros(3), np.ones(3)).layers] == ["dense"]


def with_head(forward, rnn=None, **layers):
    return Net(forward, rnn=rnn or gru(batch_first=True), head=lambda: nn.Linear(5, 2), **layers)


def attention(net, x):
    out = net.rnn(x)[0]
    return net.head((torch.softmax(net.score(out), dim=1) * out).sum(1))


REFUSED = {
    "bidirectional": (
        lambda: Net(every_step, rnn=gru(bidirectional=True, batch_first=True), head=lambda: nn.Linear(10, 2)),
        r"rnn \(GRU\).*bidirectional.*future",
    ),
    "projection": (
        lambda: Net(every_step, rnn=lambda: nn.LSTM(3, 5, proj_size=2), head=lambda: nn.Linear(2, 2)),
        r"rnn \(LSTM\).*proj_size",
    ),
    "layer norm of another form": (
        lambda: with_head(lambda net, x: net.head(net.norm(net.rnn(x)[0])), norm=lambda: nn.LayerNorm(5, 1e-6)),
        r"norm \(LayerNorm\).*eps 1e-05",
    ),
    "batch norm": (
        lambda: Net(
            lambda net, x: net.head(net.norm(x[0])), norm=lambda: nn.BatchNorm1d(3), head=lambda: nn.Linear(3, 2)
        ),
        r"norm \(BatchNorm1d\).*fold",
    ),
    "softmax layer": (
        lambda: with_head(lambda net, x: net.soft(every_step(net, x)), soft=lambda: nn.Softmax(dim=-1)),
        r"soft \(Softmax\).*logits",
    ),
    "softmax function": (
        lambda: with_head(lambda net, x: torch.softmax(every_step(net, x), -1)),
        r"function softmax.*logits",
    ),
    "tanh function": (lambda: with_head(lambda net, x: net.head(torch.tanh(net.rnn(x)[0]))), "function tanh"),
    "mean over time": (lambda: with_head(lambda net, x: net.head(net.rnn(x)[0].mean(1))), "function mean"),
    "max over time": (lambda: with_head(lambda net, x: net.head(net.rnn(x)[0].max(1).values)), "function max"),
    "first step": (lambda: with_head(lambda net, x: net.head(net.rnn(x)[0][:, 0])), r"head \(Linear\).*chain"),
    "reversed in time": (lambda: with_head(lambda net, x: net.head(net.rnn(x.flip(1))[0])), "function flip"),
    "residual": (
        lambda: with_head(lambda net, x: net.head(net.rnn(x)[0] + net.side(x)), side=lambda: nn.Linear(3, 5)),
        r"(side \(Linear\)|function add).*chain",
    ),
    "attention": (lambda: with_head(attention, score=lambda: nn.Linear(5, 1)), "cannot be exported"),
    "state that is not zero": (
        lambda: with_head(lambda net, x: net.head(net.rnn(x, torch.ones(1, len(x), 5))[0])),
        "initial state is not zero",
    ),
    "convolution": (
        lambda: with_head(lambda net, x: every_step(net, net.conv(x.mT).mT), conv=lambda: nn.Conv1d(3, 3, 1)),
        "cannot be exported",
    ),
    "cell": (
        lambda: Net(
            lambda net, x: net.head(net.cell(x[0])), cell=lambda: nn.GRUCell(3, 5), head=lambda: nn.Linear(5, 2)
        ),
        r"cell \(GRUCell\).*use nn.GRU",
    ),
    "no head": (
        lambda: Net(lambda net, x: net.rnn(x)[0], rnn=gru(batch_first=True)),
        "last layer must be an nn.Linear",
    ),
    "relu at the end": (lambda: with_head(lambda net, x: torch.relu(every_step(net, x))), "last layer must be"),
    "numbers behind torch's back": (
        lambda: with_head(lambda net, x: torch.from_numpy(every_step(net, x).numpy() * 2)),
        "not the end of its layers",
    ),
    "weights changed by the forward": (
        lambda: with_head(lambda net, x: every_step(net, x) if net.head.bias.data.add_(0.01) is not None else x),
        "other logits than its layers",
    ),
    "a forward that raises": (lambda: with_head(lambda net, x: 1 / 0), "ZeroDivisionError"),
    "division by a negative number": (lambda: with_head(lambda net, x: every_step(net, x / -2.0)), "positive std"),
}


@pytest.mark.filterwarnings("ignore:LSTM with projections")
@pytest.mark.parametrize(("make", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_chain_of_known_layers_is_refused_by_name(make, reason):
    with pytest.raises(UsageError, match=reason):
        graph(make())


def test_dropout_that_is_on_is_refused():
    net = with_head(every_step, rnn=gru(batch_first=True, num_layers=2, dropout=0.3))
    with pytest.raises(UsageError, match=r"rnn drops values at random.*eval"):
        graph_of(net.train(), SAMPLE, np.zeros(3), np.ones(3))


def test_the_users_module_is_left_as_it_was():
    net = with_head(every_step).double().train()
    graph_of(net, SAMPLE, np.zeros(3), np.ones(3))
    assert net.training
    assert next(net.parameters()).dtype is torch.float64
    assert not net.rnn._forward_hooks
    assert not net.rnn._forward_pre_hooks


def test_export_bundle_writes_a_module_that_runs(tmp_path):
    net = with_head(every_step).eval()
    done = export_bundle(
        net,
        tmp_path / "mine.ernn",
        channels=["ax", {"name": "ay", "unit": "m/s2"}, "az"],
        labels=["rest", "wave"],
        rate_hz=50,
        sample=SAMPLE,
        background="rest",
        steps=400,
    )
    assert done.report.ok
    model = edge_rnn.load(tmp_path / "mine.ernn", "numpy")
    expected = net(torch.from_numpy(SAMPLE)[None])[0].detach().numpy()
    np.testing.assert_allclose(model.run(SAMPLE), expected, rtol=1e-4, atol=1e-4)
    assert model.manifest.channels[1].unit == "m/s2"
    assert model.manifest.channels[1].mean == pytest.approx(MEAN[1])
    assert model.manifest.warmup_samples == 128
    assert set(model.manifest.detector) == {"wave"}


def test_a_module_without_its_facts_is_refused_by_their_names(tmp_path):
    with pytest.raises(UsageError, match="needs labels, rate_hz"):
        export_bundle(with_head(every_step), tmp_path / "m.ernn", channels=["a"], sample=SAMPLE)


def test_labels_that_do_not_fit_the_logits_are_refused(tmp_path):
    with pytest.raises(UsageError, match="2 logits, 3 labels"):
        export_bundle(
            with_head(every_step).eval(), tmp_path / "m.ernn", channels="xyz", labels="abc", rate_hz=50, sample=SAMPLE
        )
