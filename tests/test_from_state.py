"""Import of a state dict by a spec: each parameter has its place, and nothing is run from the file."""

from functools import partial

import numpy as np
import pytest
import torch
from edge_rnn.export.from_state import import_bundle
from torch import nn

import edge_rnn
from edge_rnn.errors import DataError, UsageError

X = np.random.default_rng(0).normal(0, 2, (200, 3)).astype(np.float32)
SPEC = """
rate_hz = 50
channels = ["ax", "ay", "az"]
units = ["g", "g", "g"]
labels = ["rest", "wave"]
background = "rest"
sample = "sample.npy"
mean = [0.1, 0.2, 0.3]
std = [1.0, 2.0, 3.0]
window = 100
[[layer]]
kind = "linear"
key = "inlet"
[[layer]]
kind = "relu"
[[layer]]
kind = "{kind}"
key = "body.rnn"
[[layer]]
kind = "linear"
key = "head.0"
"""
KINDS = {"gru": nn.GRU, "lstm": nn.LSTM, "rnn": nn.RNN, "rnn-relu": partial(nn.RNN, nonlinearity="relu")}


class Net(nn.Module):
    def __init__(self, kind, **options):
        super().__init__()
        torch.manual_seed(0)
        self.inlet = nn.Linear(3, 4)
        self.body = nn.ModuleDict({"rnn": KINDS[kind](4, 5, 2, batch_first=True, **options)})
        self.head = nn.Sequential(nn.Linear(10 if options.get("bidirectional") else options.get("proj_size", 5), 2))

    def forward(self, x):
        x = (x - torch.tensor([0.1, 0.2, 0.3])) / torch.tensor([1.0, 2.0, 3.0])
        return self.head(self.body["rnn"](torch.relu(self.inlet(x)))[0])


@pytest.fixture
def files(tmp_path):
    def make(kind="gru", state=None, spec=SPEC, **options):
        net = Net(kind, **options)
        torch.save(net.state_dict() if state is None else state(net), tmp_path / "state.pt")
        (tmp_path / "spec.toml").write_text(spec.replace("{kind}", kind))
        np.save(tmp_path / "sample.npy", X)
        with torch.no_grad():
            np.save(tmp_path / "logits.npy", net(torch.from_numpy(X)[None])[0].numpy())
        return tmp_path / "state.pt", tmp_path / "spec.toml", tmp_path / "m.ernn"

    return make


OTHER_SPEC = """
rate_hz = 50
channels = ["ax", "ay", "az"]
labels = ["rest", "wave"]
sample = "sample.npy"
expected = "logits.npy"
[[layer]]
kind = "conv"
key = "conv"
dilation = 2
[[layer]]
kind = "relu"
[[layer]]
kind = "norm"
key = "norm"
[[layer]]
kind = "fastgrnn"
key = "cell"
[[layer]]
kind = "window"
window = 6
[[layer]]
kind = "linear"
key = "head"
"""


class OtherNet(nn.Module):
    """Layers with no module of torch over sequences, by hand; the cell's parameters as EdgeML names them."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.conv, self.norm = nn.Conv1d(3, 4, 3, dilation=2), nn.LayerNorm(4)
        nn.init.normal_(self.norm.weight)
        shapes = {"W": (4, 5), "U": (5, 5), "bias_gate": (1, 5), "bias_update": (1, 5), "zeta": (1, 1), "nu": (1, 1)}
        self.cell = nn.ParameterDict({name: nn.Parameter(0.4 * torch.randn(shape)) for name, shape in shapes.items()})
        self.head = nn.Linear(30, 2)

    def forward(self, x):
        y = self.norm(torch.relu(self.conv(nn.functional.pad(x.mT, (4, 0)))).mT)
        p, h, rows = self.cell, torch.zeros(len(x), 5), [torch.zeros(len(x), 5)] * 5
        for t in range(y.shape[1]):
            both = y[:, t] @ p["W"] + h @ p["U"]
            z = torch.sigmoid(both + p["bias_gate"])
            new = torch.tanh(both + p["bias_update"])
            h = z * h + (torch.sigmoid(p["zeta"]) * (1 - z) + torch.sigmoid(p["nu"])) * new
            rows.append(h)
        return self.head(torch.stack([torch.cat(rows[t : t + 6], 1) for t in range(y.shape[1])], 1))


@pytest.fixture
def other(tmp_path):
    def make(spec=OTHER_SPEC):
        net = OtherNet()
        torch.save(net.state_dict(), tmp_path / "state.pt")
        (tmp_path / "spec.toml").write_text(spec)
        np.save(tmp_path / "sample.npy", X)
        with torch.no_grad():
            np.save(tmp_path / "logits.npy", net(torch.from_numpy(X)[None])[0].numpy())
        return tmp_path / "state.pt", tmp_path / "spec.toml", tmp_path / "m.ernn"

    return make


def test_convolutions_norms_fastgrnn_and_windows_are_imported(other):
    exported = import_bundle(*other(), steps=200)
    assert exported.report.ok
    assert [layer.kind for layer in exported.bundle.graph.layers] == ["conv", "norm", "fastgrnn", "window", "dense"]


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ("dilation = 2", "dilation = 3", "do not give the expected logits"),
        ("dilation = 2", "", "expected kind, key and dilation"),
        ("dilation = 2", 'dilation = "2"', "expected kind, key and dilation"),
        ("dilation = 2", "dilation = -2", "dilation = -2"),
        ("window = 6", "window = 7", "feeds one that expects"),
        ("window = 6", "window = 1", "window = 1"),
        ('kind = "norm"\nkey = "norm"', 'kind = "norm"\nkey = "conv"', "nothing under that key"),
        ('kind = "fastgrnn"', 'kind = "gru"', "no weight_ih_l0"),
    ],
)
def test_sizes_that_do_not_fit_are_refused_by_name(other, before, after, reason):
    with pytest.raises(UsageError, match=reason):
        import_bundle(*other(OTHER_SPEC.replace(before, after)), steps=50)


@pytest.mark.parametrize("kind", KINDS)
def test_the_bundle_gives_the_networks_own_logits(files, kind, tmp_path):
    assert import_bundle(*files(kind), steps=200).report.ok
    model = edge_rnn.load(tmp_path / "m.ernn", "numpy")
    np.testing.assert_allclose(model.run(X), np.load(tmp_path / "logits.npy"), rtol=1e-4, atol=1e-4)
    assert model.manifest.background == "rest"
    assert model.manifest.warmup_samples == 100
    assert [channel.unit for channel in model.manifest.channels] == ["g"] * 3


def test_a_state_dict_among_other_things_is_found(files):
    state = lambda net: {"epoch": 3, "model_state_dict": net.state_dict()}  # noqa: E731
    assert import_bundle(*files(state=state), steps=50).report.ok


def test_expected_logits_are_checked(files, tmp_path):
    spec = SPEC.replace('sample = "sample.npy"', 'sample = "sample.npy"\nexpected = "logits.npy"')
    assert import_bundle(*files(spec=spec), steps=50).report.ok
    wrong = np.load(tmp_path / "logits.npy")
    wrong[17] += 0.01
    np.save(tmp_path / "logits.npy", wrong)
    with pytest.raises(UsageError, match="first at row 17"):
        import_bundle(tmp_path / "state.pt", tmp_path / "spec.toml", tmp_path / "m.ernn", steps=50)


REFUSED = {
    "a bidirectional network": ({"bidirectional": True}, SPEC, "bidirectional.*future"),
    "a projection": ({"kind": "lstm", "proj_size": 2}, SPEC, "projection"),
    "a layer too few": ({}, SPEC.replace('[[layer]]\nkind = "linear"\nkey = "head.0"', ""), "also has head.0.bias"),
    "a key that is not there": ({}, SPEC.replace("head.0", "classifier"), "nothing under that key.*head.0"),
    "another kind than the shapes tell": ({}, SPEC.replace('"{kind}"', '"lstm"'), r"weight_hh_l0 is \(15, 5\)"),
    "an unknown kind": ({}, SPEC.replace('"{kind}"', '"attention"'), "kind must be one of"),
    "an unknown key": ({}, "colour = 1\n" + SPEC, "unknown.*colour"),
    "a key missing": ({}, SPEC.replace("rate_hz = 50", ""), "lacks.*rate_hz"),
    "too few labels": ({}, SPEC.replace('["rest", "wave"]', '["rest"]'), "2 logits, 1 labels"),
    "too few units": ({}, SPEC.replace('["g", "g", "g"]', '["g"]'), "1 units for 3 channels"),
    "too few means": ({}, SPEC.replace("mean = [0.1, 0.2, 0.3]", "mean = [0.1]"), "expected 3 numbers"),
    "a std of zero": ({}, SPEC.replace("std = [1.0, ", "std = [0.0, "), "positive"),
    "a rate that is text": ({}, SPEC.replace("rate_hz = 50", 'rate_hz = "50"'), "rate_hz"),
    "layers in another order": (
        {},
        SPEC.replace('"inlet"', '"x"').replace('"head.0"', '"inlet"').replace('"x"', '"head.0"'),
        "cannot be exported|feeds one that expects",
    ),
}


@pytest.mark.filterwarnings("ignore:LSTM with projections")
@pytest.mark.parametrize(("options", "spec", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_does_not_fit_is_refused_by_name(files, options, spec, reason, tmp_path):
    with pytest.raises(UsageError, match=reason):
        import_bundle(*files(spec=spec, **options), steps=50)
    assert not (tmp_path / "m.ernn").exists()


class Evil:
    def __reduce__(self):
        return (print, ("code from the file ran",))


@pytest.mark.parametrize("state", [lambda net: Evil(), lambda net: net, lambda net: [1, 2], lambda net: {"a": 1}])
def test_a_file_that_is_no_state_dict_is_refused_and_runs_nothing(files, state, capsys):
    with pytest.raises(DataError, match="state dict"):
        import_bundle(*files(state=state))
    assert "ran" not in capsys.readouterr().out


@pytest.mark.parametrize("name", ["sample.npy", "spec.toml", "state.pt"])
def test_files_that_cannot_be_read_are_data_errors(files, name, tmp_path):
    given = files()
    for damage in (lambda p: p.write_bytes(b"\xff\x00garbage"), lambda p: p.unlink()):
        damage(tmp_path / name)
        with pytest.raises(DataError):
            import_bundle(*given)


def test_a_pickled_sample_is_not_read(files, tmp_path):
    given = files()
    np.save(tmp_path / "sample.npy", np.array([Evil()], object), allow_pickle=True)
    with pytest.raises(DataError, match="cannot read"):
        import_bundle(*given)
