"""Weights of a row rounded together: still on the grid, closer on samples that move together, unchanged if they fit."""

import numpy as np
import pytest
from edge_rnn.export.agreement import integer_logits
from edge_rnn.export.calibration import Calibration, trace
from edge_rnn.export.quantize import quantize, quantize_matrix
from edge_rnn.export.rounding import input_moments, round_together
from hypothesis import given, settings
from hypothesis import strategies as st
from int8_models import KINDS, float_graph

from edge_rnn.graph import Layer


def moving_together(rng, graph, steps: int = 600) -> np.ndarray:
    """Channels that are mixtures of two sources, with a large mean as gravity gives."""
    t = np.arange(steps)[:, None]
    sources = np.sin(t / rng.uniform(3, 30, 2) + rng.uniform(0, 6, 2)) + rng.normal(0, 0.1, (steps, 2))
    x = sources @ rng.normal(0, 1, (2, graph.inputs)) + 2
    return (x * graph.arrays["std"] + graph.arrays["mean"]).astype(np.float32)


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("kind", ["gru", "lstm", "rnn"])
def test_errors_that_cancel_bring_the_logits_closer_on_fresh_samples(kind, bits):
    rng = np.random.default_rng(3)
    graph = float_graph(rng, [kind], 6, 4, units=24)
    x = moving_together(rng, graph, 1200)
    error = {}
    for rounding in ("nearest", "together"):
        made = quantize(graph, Calibration(x[:800]), bits=bits, input_scale="range", rounding=rounding).graph
        logits = integer_logits(made, x[800:, None])[:, 0] / 65536
        error[rounding] = np.sqrt(np.mean((logits - trace(graph, x[800:, None]).logits[:, 0]) ** 2))
    assert error["together"] < 0.8 * error["nearest"], error


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["gru", "lstm", "rnn", "dense"]), st.sampled_from([127, 7]))
def test_rounded_rows_are_on_the_grid_that_the_formula_finds(seed, kind, largest):
    rng = np.random.default_rng(seed)
    layer = Layer(kind, 5, 4, "relu" if kind == "dense" else "tanh")
    w = {name.removeprefix("l0."): rng.normal(0, 1, shape) for name, (_, shape) in layer.arrays(0, "float32").items()}
    columns = 5 + (0 if kind == "dense" else 4)
    a = np.concatenate([rng.normal(1, 1, (50, 2)) @ rng.normal(0, 1, (2, columns)), np.ones((50, 1))], axis=1)
    made = round_together(layer, w, a.T @ a / 50, largest)
    for name, before in w.items():
        if before.ndim == 2:
            scale = np.abs(before).max(axis=1, keepdims=True) / largest
            np.testing.assert_allclose(made[name] / scale, np.rint(made[name] / scale), atol=1e-6)
            wq = quantize_matrix(made[name], 2.0**-15, {127: 8, 7: 4}[largest])["w"]
            np.testing.assert_array_equal(wq, np.rint(made[name] / scale))
            again = round_together(layer, made, a.T @ a / 50, largest)
            np.testing.assert_allclose(again[name], made[name], atol=1e-9)


@pytest.mark.parametrize("kinds", [["window", "dense"], ["conv", "conv_linear"]])
def test_errors_cancel_over_several_samples_too(kinds):
    rng = np.random.default_rng(4)
    graph = float_graph(rng, kinds, 6, 4, units=24)
    x = moving_together(rng, graph, 1200)
    error = {}
    for rounding in ("nearest", "together"):
        made = quantize(graph, Calibration(x[:800]), input_scale="range", rounding=rounding).graph
        logits = integer_logits(made, x[800:, None])[:, 0] / 65536
        error[rounding] = np.sqrt(np.mean((logits - trace(graph, x[800:, None]).logits[:, 0]) ** 2))
    assert error["together"] < 0.8 * error["nearest"], error


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**32 - 1), st.lists(st.sampled_from(KINDS), max_size=3))
def test_moments_are_of_what_each_matrix_meets(seed, kinds):
    rng = np.random.default_rng(seed)
    graph = float_graph(rng, kinds, 4, 3)
    x = moving_together(rng, graph, 60)
    for layer, m in zip(graph.layers, input_moments(graph, Calibration(x, (0, 20))), strict=True):
        if not layer.exact_matrices:
            continue
        columns = sum(layer.exact_matrices.values())
        assert m.shape == (columns + 1, columns + 1)
        assert m[-1, -1] == pytest.approx(1)
        np.testing.assert_allclose(m, m.T)
    first = input_moments(graph, Calibration(x, (0, 20)))[0]
    if graph.layers[0].kind in ("window", "conv"):
        return
    np.testing.assert_allclose(first[:4, -1], x.mean(axis=0), rtol=1e-5, atol=1e-5)
