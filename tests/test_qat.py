"""Quantization-aware training: what it sees is what export makes, and it costs next to nothing."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from edge_rnn.export.calibration import Calibration
from edge_rnn.export.exact_statistics import range_codes
from edge_rnn.export.networks import Network
from edge_rnn.export.qat import Rounded, first_rounded
from edge_rnn.export.quantize import quantize
from edge_rnn.export.run import Run

from edge_rnn.errors import UsageError

WINDOWS = {"window mlp": 8, "stats-mlp": 8}


def network(arch: str, layers: int = 1, gain: float = 1.0) -> Network:
    torch.manual_seed(3)
    made = Network.of(arch.removeprefix("window "), 6, 4, hidden=16, layers=layers, window=WINDOWS.get(arch))
    made.std.copy_(torch.tensor([1.0, 2.0, 0.5, 1.0, 1.0, 3.0]) / torch.tensor([1, 1, 1, gain, gain, gain]))
    return made


def samples(made: Network) -> np.ndarray:
    rng = np.random.default_rng(4)
    return (rng.normal(0, 1, (512, 6)) * made.std.numpy()).astype(np.float32)


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize(
    "arch", ["perceptron", "mlp", "rnn", "rnn-relu", "gru", "lstm", "fastgrnn", "window mlp", "stats-mlp", "cnn"]
)
def test_export_finds_the_very_weights_that_training_saw(arch, bits):
    made = network(arch, gain=20.0)
    if arch == "cnn":
        made.mean.copy_(torch.tensor([0.0, 1, 2, 0, 0, -3]))
    x = samples(made)
    rounded = Rounded(made, bits, np.abs(x).max(axis=0), codes=range_codes(made.to_graph(), Calibration(x)))
    seen = rounded(torch.from_numpy(x)[None])[0].detach().numpy()[0]
    rounded.settle()
    np.testing.assert_allclose(made(torch.from_numpy(x)[None])[0].detach().numpy()[0], seen, atol=1e-5)
    report = quantize(made.to_graph(), Calibration(x), bits=bits).report
    assert report.rmse < 2e-3, "the exporter rounded other weights than training did"


@pytest.mark.parametrize("bits", [8, 4])
def test_rounded_weights_have_few_values_and_the_gradient_of_the_exact_ones(bits):
    made = network("gru")
    rounded = Rounded(made, bits, [1.0] * 6)
    x = torch.randn(3, 20, 6)
    rounded(x)[0].square().sum().backward()
    got = {name: p.grad.clone() for name, p in made.named_parameters()}
    values = {name: w.detach() for name, w in rounded.rounded().items()}
    assert max(len(row.unique()) for row in values["layers.0.weight_hh_l0"]) <= 2 ** (bits)
    assert set(values) == {"layers.0.weight_ih_l0", "layers.0.weight_hh_l0", "head.weight"}
    twin = network("gru")
    twin.load_state_dict({**made.state_dict(), **values})
    twin(x)[0].square().sum().backward()
    for name, p in twin.named_parameters():
        torch.testing.assert_close(got[name], p.grad, msg=name)


@pytest.mark.parametrize("arch", ["window mlp", "stats-mlp", "cnn"])
def test_a_row_over_many_samples_is_rounded_with_one_scale_and_passes_its_gradient(arch):
    made = network(arch, layers=2)
    x = samples(made)
    rounded = Rounded(made, 4, np.abs(x).max(axis=0), codes=range_codes(made.to_graph(), Calibration(x)))
    matrices = {name: p for name, p in made.named_parameters() if p.ndim >= 2}
    values = rounded.rounded()
    assert set(values) == set(matrices)
    for name, w in values.items():
        assert w.shape == matrices[name].shape
        of_inputs = w.detach().transpose(1, 2).flatten(1) if w.ndim == 3 else w.detach()
        columns = rounded.columns.float() if name == rounded.first else torch.ones(1)
        row = (of_inputs * columns.repeat(of_inputs.shape[1] // len(columns)))[0]
        codes = row / row.abs().max() * 7
        torch.testing.assert_close(codes, codes.round(), atol=1e-4, rtol=0)
    sum((w * n).sum() for n, w in enumerate(values.values(), 1)).backward()
    for n, p in enumerate(matrices.values(), 1):
        torch.testing.assert_close(p.grad, torch.full_like(p, n))


def test_a_row_too_long_for_the_accumulator_is_rounded_as_coarsely_as_export_does():
    torch.manual_seed(0)
    made = Network.of("mlp", 6, 4, hidden=8, window=250)
    with torch.no_grad():
        made.layers[1].weight[::2] = made.layers[1].weight[::2].sign() * 0.05  # 1,500 weights as large as the largest
    x = samples(made)
    rounded = Rounded(made, 8, np.abs(x).max(axis=0))
    rounded.settle()
    w = made.layers[1].weight.detach() * rounded.columns.float().repeat(250)
    given = Calibration(x, max_abs=np.abs(x).max(axis=0))
    found = quantize(made.to_graph(), given, input_scale="range", rounding="nearest")
    codes = found.graph.arrays["l1.w"]
    assert np.abs(codes[::2]).max() < 100, "no row had to be coarser: the test says nothing"
    scale = (w.abs().amax(dim=1) / torch.from_numpy(np.abs(codes).max(axis=1))).numpy()
    np.testing.assert_allclose(codes * scale[:, None], w.numpy(), atol=0.01 * scale.min())


def test_statistics_of_a_trained_layer_and_attention_are_refused():
    of_a_layer = [
        {"kind": "dense", "units": 4, "activation": "relu"},
        {"kind": "window", "units": 20, "activation": "none", "window": 5},
        {"kind": "statistics", "units": 20, "activation": "none", "window": 5},
    ]
    with pytest.raises(UsageError, match="statistics of the samples themselves"):
        Rounded(Network(6, of_a_layer, 3), 8, [1.0] * 6)
    with pytest.raises(UsageError, match="attention layers have no exact int8 form"):
        Rounded(Network.of("transformer", 6, 4, window=9), 8, [1.0] * 6)


def test_training_moves_the_exact_weights_under_the_rounded_ones():
    made = network("lstm")
    rounded = Rounded(made, 4, [1.0] * 6)
    before = made.layers[0].weight_hh_l0.detach().clone()
    optimizer = torch.optim.SGD(rounded.parameters(), lr=1e-4)
    rounded(torch.randn(2, 10, 6))[0].square().sum().backward()
    optimizer.step()
    moved = (made.layers[0].weight_hh_l0.detach() - before).abs()
    assert 0 < moved.max() < 0.02, "a step smaller than a rounding must not be lost"


def test_training_rounds_in_its_last_quarter_and_validation_always():
    made = network("gru")
    rounded = Rounded(made, 4, [1.0] * 6)
    x = torch.randn(2, 10, 6)
    exact = made(x)[0]
    for epoch, same in [(0, True), (7, True), (8, False), (9, False)]:
        rounded.train().begin_epoch(epoch, 10)
        assert torch.equal(rounded(x)[0], exact) == same
        assert not torch.equal(rounded.eval()(x)[0], exact)


def test_an_epoch_that_was_not_rounded_is_never_kept():
    run = Run(network("gru"), None, None, 0, {}, -1, [], first_rounded(8))
    for accuracy in [0.5, 0.9, 0.9, 0.9, 0.9, 0.9, 0.6, 0.7]:
        assert not run.exhausted(patience=2), "patience counts from the first rounded epoch"
        run.keep_best([1.0], SimpleNamespace(loss=1.0, accuracy=accuracy), 0.0)
    assert run.best_epoch == 7


@pytest.mark.parametrize(("epochs", "first"), [(1, 0), (2, 1), (4, 3), (10, 8), (30, 23)])
def test_rounding_begins_in_the_last_quarter_and_has_an_epoch_at_least(epochs, first):
    assert first_rounded(epochs) == first


def test_other_bits_are_refused():
    with pytest.raises(UsageError, match="8 or 4 bits"):
        Rounded(network("gru"), 6, [1.0] * 6)


def operations(module: torch.nn.Module, steps: int) -> int:
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as seen:
        module(torch.randn(4, steps, 6))
    return sum(event.count for event in seen.key_averages())


@pytest.mark.parametrize("arch", ["rnn", "gru", "lstm"])
def test_rounding_adds_nothing_to_a_time_step(arch):
    """So training costs nearly the same: `python -m benchmarks.qat` times it."""
    plain = network(arch)
    rounded = Rounded(plain, 8, [1.0] * 6).train()
    operations(rounded, 8)
    added = [operations(rounded, steps) - operations(plain, steps) for steps in (16, 128)]
    assert 0 < added[0] == added[1]
