"""Whole sequences against torch's own modules, built here another way than the layers are."""

import numpy as np
import pytest
import torch
from edge_rnn.export.torch_engine import TorchEngine, module_of
from edge_rnn.export.torch_layers import arrays_of, run
from float_models import RIVALS, STACKS, float_graph
from torch import nn

from edge_rnn.engine import State
from edge_rnn.layer import STATISTICS, Layer


def layer_and_arrays(stack, index):
    graph = float_graph(stack)
    return graph.layers[index], graph.layer_arrays(index)


def over(layer, arrays, x):
    """The layer over x (B, T, I) from zero states."""
    states = [torch.zeros(len(x), spec.width) for spec in layer.states(0, "float32")]
    with torch.no_grad():
        return run(layer, module_of(layer, arrays), x, states)[0]


@pytest.mark.parametrize("stack", [*STACKS, *RIVALS])
def test_weights_go_into_a_module_and_come_back(stack):
    graph = float_graph(stack)
    for index, layer in enumerate(graph.layers):
        arrays = graph.layer_arrays(index)
        back = arrays_of(layer, module_of(layer, arrays))
        assert list(back) == list(arrays)
        for name in arrays:
            np.testing.assert_allclose(back[name], arrays[name], rtol=1e-6)


def test_attention_and_feedforward_are_torchs_own_encoder_layer():
    """nn.TransformerEncoderLayer, pre-norm, with a band of the bias as its mask."""
    (attention, a), (feedforward, f) = layer_and_arrays("transformer", 1), layer_and_arrays("transformer", 2)
    window, heads, steps = attention.window, attention.heads, 40
    theirs = nn.TransformerEncoderLayer(8, heads, 12, 0.0, batch_first=True, norm_first=True)
    pairs = {
        "self_attn.in_proj_weight": a["w_qkv"],
        "self_attn.in_proj_bias": a["b_qkv"],
        "self_attn.out_proj.weight": a["w_out"],
        "self_attn.out_proj.bias": a["b_out"],
        "norm1.weight": a["norm_w"],
        "norm1.bias": a["norm_b"],
        "linear1.weight": f["w_up"],
        "linear1.bias": f["b_up"],
        "linear2.weight": f["w_down"],
        "linear2.bias": f["b_down"],
        "norm2.weight": f["norm_w"],
        "norm2.bias": f["norm_b"],
    }
    theirs.load_state_dict({name: torch.from_numpy(array) for name, array in pairs.items()})
    mask = torch.full((heads, steps, steps), -torch.inf)
    for head in range(heads):
        for t in range(steps):
            for age in range(min(window, t + 1)):
                mask[head, t, t - age] = float(a["bias"][head, window - 1 - age])
    x = torch.randn(3, steps, 8)
    theirs.train()  # without dropout the same numbers; in eval mode its fast path takes no mask of floats
    with torch.no_grad():
        wanted = theirs(x, src_mask=mask.repeat(3, 1, 1))
    torch.testing.assert_close(over(feedforward, f, over(attention, a, x)), wanted, atol=1e-5, rtol=1e-5)


def test_a_long_sequence_through_attention_goes_in_blocks_with_the_same_result():
    attention, arrays = layer_and_arrays("transformer", 3)
    x = torch.randn(1, 700, 8)
    whole = over(attention, arrays, x)
    late = over(attention, arrays, x[:, 500 - attention.past :])[:, attention.past :]
    torch.testing.assert_close(whole[:, 500:], late, atol=1e-6, rtol=1e-5)


def test_a_convolution_is_torchs_conv1d_with_zeros_before_the_first_sample():
    layer, arrays = layer_and_arrays("cnn", 1)
    theirs = nn.Conv1d(layer.inputs, layer.units, layer.kernel, dilation=layer.dilation)
    taps = arrays["w"].reshape(layer.units, layer.kernel, layer.inputs).transpose(0, 2, 1)
    theirs.load_state_dict({"weight": torch.from_numpy(taps.copy()), "bias": torch.from_numpy(arrays["b"])})
    x = torch.randn(2, 30, layer.inputs)
    with torch.no_grad():
        wanted = torch.relu(theirs(nn.functional.pad(x.transpose(1, 2), (layer.past, 0)))).transpose(1, 2)
    torch.testing.assert_close(over(layer, arrays, x), wanted)


def test_statistics_are_numpys_over_each_window():
    window = Layer("window", 3, 21, "none", window=7)
    layer = Layer("statistics", 21, 15, "none", window=7)
    x = np.random.default_rng(0).normal(3, 5, (1, 40, 3)).astype(np.float32)
    got = over(layer, {}, over(window, {}, torch.from_numpy(x)))[0].numpy().reshape(40, len(STATISTICS), 3)
    padded = np.concatenate([np.zeros((6, 3)), x[0]])
    for t in range(40):
        rows = padded[t : t + 7]
        change = np.abs(np.diff(rows, axis=0)).mean(0)
        wanted = [rows.mean(0), rows.std(0), rows.min(0), rows.max(0), change]
        np.testing.assert_allclose(got[t], wanted, rtol=1e-5, atol=1e-4)


def test_fastgrnn_is_the_papers_equations():
    layer, w = layer_and_arrays("fastgrnn", 0)
    x = np.random.default_rng(1).normal(0, 1, (1, 25, 3)).astype(np.float32)
    got = over(layer, w, torch.from_numpy(x))[0].numpy()
    h = np.zeros(layer.units)
    for t in range(25):
        pre = w["w_ih"].astype(float) @ x[0, t] + w["w_hh"].astype(float) @ h
        z = 1 / (1 + np.exp(-(pre + w["b_z"])))
        h = (w["zeta"] * (1 - z) + w["nu"]) * np.tanh(pre + w["b_h"]) + z * h
        np.testing.assert_allclose(got[t], h, atol=1e-6)


@pytest.mark.parametrize("stack", RIVALS)
def test_any_cut_of_a_sequence_gives_the_same(stack):
    graph = float_graph(stack)
    engine, rng = TorchEngine(graph), np.random.default_rng(5)
    x = rng.normal(0, 3, (4, 120, graph.inputs)).astype(np.float32)
    whole, cut = State(graph.states, 4), State(graph.states, 4)
    wanted, parts, at = engine.sequences(x, whole), [], 0
    while at < x.shape[1]:
        length = int(rng.integers(1, 30))
        parts.append(engine.sequences(x[:, at : at + length], cut))
        at += length
    np.testing.assert_allclose(np.concatenate(parts, 1), wanted, rtol=1e-4, atol=1e-5)
    for one, other in zip(cut.arrays, whole.arrays, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_streams_that_began_at_different_times_go_on_together():
    """Each stream's attention knows how much of its own past is real."""
    graph = float_graph("transformer")
    engine, x = TorchEngine(graph), np.random.default_rng(6).normal(0, 3, (2, 50, 3)).astype(np.float32)
    late = State(graph.states)
    engine.sequences(x[:1, :3], late)
    both = State(graph.states, 2)
    for mine, theirs in zip(both.arrays, late.arrays, strict=True):
        mine[0] = theirs[0]
    together = engine.sequences(np.stack([x[0, 3:40], x[1, :37]]), both)
    alone = engine.sequences(x[:1, 3:40], late)
    np.testing.assert_allclose(together[:1], alone, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(together[1:], engine.sequences(x[1:, :37], State(graph.states)), rtol=1e-4, atol=1e-5)
