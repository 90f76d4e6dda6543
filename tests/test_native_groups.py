"""Groups in float32: streams share each weight, in sums of their own where additions are cheap; float64 judges."""

from __future__ import annotations

import numpy as np
import pytest

from edge_rnn.engine import State
from edge_rnn.engines import native
from edge_rnn.engines.numpy import NumpyEngine, reference_state
from edge_rnn.errors import UsageError
from edge_rnn.graph import Graph

from .int8_models import float_graph

try:
    VARIANTS = native.variants()
except UsageError:
    VARIANTS = []

pytestmark = pytest.mark.skipif(not VARIANTS, reason="the native engine was not built (no compiler)")

STREAMS = 13
"""Two tiles of the widest variant and one stream more."""


def changed(graph: Graph, change) -> Graph:
    arrays = {name: array.copy() for name, array in graph.arrays.items()}
    change(arrays)
    return Graph("float32", graph.layers, arrays)


def grouped(graph: Graph, isa: str, x: np.ndarray) -> tuple[np.ndarray, State]:
    """Logits of every step and stream, and the last states."""
    engine, state = native.NativeEngine(graph, isa), State(graph.states, x.shape[1])
    y = np.empty((*x.shape[:2], graph.outputs), np.float32)
    for batch, logits in zip(x, y, strict=True):
        engine.step(batch, state, logits)
    return y, state


def truth(graph: Graph, x: np.ndarray) -> tuple[np.ndarray, State]:
    """The same of one stream, x (T, inputs), in float64."""
    state, y = reference_state(graph), np.empty((len(x), graph.outputs))
    NumpyEngine(graph, np.float64).run(x, state, y)  # type: ignore[arg-type]
    return y, state


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize(
    ("kinds", "units"),
    [(["gru", "gru"], 64), (["lstm"], 100), (["gru"], 23), (["rnn", "lstm", "gru"], 35), (["lstm"], 3)],
)
def test_every_stream_of_a_group_stays_within_5e_5_of_float64_over_1000_steps(kinds, units, large):
    """A unit with large weights makes its layer take the plain sums, not the pairs."""

    def grow(arrays):
        for layer in range(len(kinds) if large else 0):
            arrays[f"l{layer}.w_hh"][1] = np.where(np.arange(units) % 3, 2.5, -2.5)

    rng = np.random.default_rng(units)
    graph = changed(float_graph(rng, kinds, 5, 4, units=units), grow)
    x = rng.standard_normal((1000, STREAMS, 5)).astype(np.float32)
    exact = {s: truth(graph, np.ascontiguousarray(x[:, s])) for s in (0, 7, 12)}
    for isa in VARIANTS:
        y, state = grouped(graph, isa, x)
        for s, (theirs, last) in exact.items():
            assert np.abs(y[:, s] - theirs).max() < 5e-5, (isa, s)
            for mine, other in zip(state.arrays, last.arrays, strict=True):
                np.testing.assert_allclose(mine[s], other[0], rtol=5e-5, atol=5e-5)


@pytest.mark.parametrize("silent", [True, False])
def test_a_slow_unit_of_a_group_adds_up_no_rounding(silent):
    """z = 1 - 3e-7: what a step loses keeps its digits, though a bias of 15 leaves a sum few, whatever is in a pair."""

    def hold(arrays):
        arrays["l0.b_ih"][48:96], arrays["l0.b_hh"][48:96] = 15, 0
        for name in ("l0.w_ih", "l0.w_hh"):
            arrays[name][48:96] *= np.float32(0.0 if silent else 0.2)

    rng = np.random.default_rng(3)
    graph = changed(float_graph(rng, ["gru"], 6, 2, units=48), hold)
    x = rng.standard_normal((1000, STREAMS, 6)).astype(np.float32)
    _, exact = truth(graph, np.ascontiguousarray(x[:, 4]))
    farthest = np.abs(exact.arrays[0]).max()
    assert 1e-5 < farthest < 1e-3
    for isa in [name for name in VARIANTS if name != "portable"]:
        _, state = grouped(graph, isa, x)
        assert np.abs(state.arrays[0][4] - exact.arrays[0][0]).max() < 3e-6 * farthest, isa


@pytest.mark.parametrize("kind", ["gru", "lstm"])
def test_gates_open_and_shut_to_the_last_digit_in_a_group(kind):
    """Sums of 1e2 to 1e6: states stay what the formula says, and finite."""
    rng = np.random.default_rng(4)
    graph = float_graph(rng, [kind], 3, 2, units=32)
    x = (rng.standard_normal((200, STREAMS, 3)) * 10 ** rng.uniform(2, 6, (200, STREAMS, 1))).astype(np.float32)
    exact = {s: truth(graph, np.ascontiguousarray(x[:, s]))[1] for s in (5, 12)}
    for isa in VARIANTS:
        y, state = grouped(graph, isa, x)
        assert np.isfinite(y).all()
        for s, last in exact.items():
            for mine, theirs in zip(state.arrays, last.arrays, strict=True):
                np.testing.assert_allclose(mine[s], theirs[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kinds", [["gru"], ["lstm"], ["gru", "gru"]])
def test_a_state_from_elsewhere_may_be_larger_than_any_step_leaves_it(kinds):
    rng = np.random.default_rng(5)
    graph = float_graph(rng, kinds, 4, 3, units=32)
    x = rng.standard_normal((STREAMS, 4)).astype(np.float32)
    before = [rng.uniform(-30, 30, (STREAMS, spec.width)).astype(np.float32) for spec in graph.states]
    for isa in VARIANTS:
        state, y = State(graph.states, STREAMS), np.empty((STREAMS, 3), np.float32)
        for array, start in zip(state.arrays, before, strict=True):
            array[:] = start
        native.NativeEngine(graph, isa).step(x, state, y)
        for s in range(STREAMS):
            exact, logits = reference_state(graph), np.empty((1, 3))
            for array, start in zip(exact.arrays, before, strict=True):
                array[0] = start[s]
            NumpyEngine(graph, np.float64).step(x[s : s + 1], exact, logits)
            for mine, theirs in zip(state.arrays, exact.arrays, strict=True):
                np.testing.assert_allclose(mine[s], theirs[0], rtol=0, atol=5e-5, err_msg=isa)
