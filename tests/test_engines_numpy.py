"""The NumPy engine's float layers, step by step, against torch over whole sequences several windows long."""

import numpy as np
import pytest
from edge_rnn.export.torch_engine import TorchEngine
from float_models import RIVALS, STACKS, float_graph

from edge_rnn.engine import State
from edge_rnn.engines.numpy import NumpyEngine, reference_state
from edge_rnn.layer import Layer

STEPS = 160
ALL = [*STACKS, *RIVALS]


def noise(graph, streams, steps=STEPS, scale=3.0, seed=3):
    return np.random.default_rng(seed).normal(0, scale, (streams, steps, graph.inputs)).astype(np.float32)


def by_steps(engine, x, state):
    y = np.zeros((*x.shape[:2], engine.graph.outputs), np.float32)
    for t in range(x.shape[1]):
        engine.step(np.ascontiguousarray(x[:, t]), state, out := np.zeros((len(x), engine.graph.outputs), np.float32))
        y[:, t] = out
    return y


@pytest.mark.parametrize("stack", ALL)
def test_step_by_step_is_the_whole_sequence_in_torch_in_outputs_and_states(stack):
    graph = float_graph(stack)
    x = noise(graph, 3)
    state, whole = State(graph.states, 3), State(graph.states, 3)
    got, wanted = by_steps(NumpyEngine(graph), x, state), TorchEngine(graph).sequences(x, whole)
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=2e-5)
    for one, other in zip(state.arrays, whole.arrays, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("stack", ALL)
def test_float64_is_the_same_within_a_rounding_of_float32(stack):
    graph = float_graph(stack)
    x = noise(graph, 1)
    exact = np.zeros((STEPS, graph.outputs))
    NumpyEngine(graph, np.float64).run(x[0], reference_state(graph), exact)
    got = by_steps(NumpyEngine(graph), x, State(graph.states))[0]
    np.testing.assert_allclose(got, exact, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("stack", RIVALS)
def test_a_snapshot_goes_on_bit_exactly_wherever_it_was_taken(stack):
    graph = float_graph(stack)
    engine, x = NumpyEngine(graph), noise(graph, 1)
    state = State(graph.states)
    for t in range(STEPS):
        if t in (0, 1, 5, 12, 90):
            blob = state.to_bytes()
            resumed = State(graph.states)
            resumed.from_bytes(blob)
            before = by_steps(engine, x[:, t:], state.copy())
            assert np.array_equal(by_steps(engine, x[:, t:], resumed), before)
        by_steps(engine, x[:, t : t + 1], state)


@pytest.mark.parametrize("stack", RIVALS)
def test_the_receptive_field_is_exactly_as_long_as_the_graph_says(stack):
    """A sample that old changes the logits, an older one nothing, to the bit."""
    graph = float_graph(stack)
    engine, field = NumpyEngine(graph), graph.receptive_field
    if field is None:
        assert any(layer.kind in ("gru", "fastgrnn") for layer in graph.layers)
        return
    x = noise(graph, 1, steps=3 * field)
    last = by_steps(engine, x, State(graph.states))[0, -1]
    for age, same in ((field - 1, False), (field, True)):
        other = x.copy()
        other[0, len(other[0]) - 1 - age] += 10
        assert np.array_equal(by_steps(engine, other, State(graph.states))[0, -1], last) is same


@pytest.mark.parametrize("stack", RIVALS)
def test_a_stream_may_go_on_for_long_and_forgets_what_it_was(stack):
    """After a wild start nothing of it is left once it is out of sight: no sum drifts, no counter overflows."""
    graph = float_graph(stack)
    if graph.receptive_field is None:
        pytest.skip("a recurrent layer may remember for ever")
    engine = NumpyEngine(graph)
    calm = noise(graph, 1, steps=graph.receptive_field + 5)
    wild = noise(graph, 1, steps=2000, scale=1e4)
    state = State(graph.states)
    by_steps(engine, wild, state)
    after = by_steps(engine, calm, state)[0, -1]
    fresh = by_steps(engine, calm, State(graph.states))[0, -1]
    np.testing.assert_allclose(after, fresh, rtol=0, atol=1e-6)


def test_statistics_of_a_still_channel_far_from_zero_are_exact():
    """A sum of squares less a square of sums would give nonsense here."""
    layer = Layer("statistics", 64, 5, "none", window=64)
    from edge_rnn.engines.past import VARIANCE_FLOOR, statistics

    x = np.full((1, 64), 16777216, np.float32)
    mean, sd, low, high, change = statistics(layer, {}, x)[0]
    assert (mean, low, high, change) == (16777216, 16777216, 16777216, 0)
    assert sd == pytest.approx(VARIANCE_FLOOR**0.5)
