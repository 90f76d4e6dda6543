"""How large a sample a float32 network can take: refused by every engine, a fault for a stream, never a NaN state."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from conftest import model_of, random_float_graph
from int8_models import float_graph

from edge_rnn.engine import State, available_engines
from edge_rnn.engines.native import NativeEngine, variants
from edge_rnn.engines.numpy import NumpyEngine
from edge_rnn.errors import UsageError
from edge_rnn.events import Fault
from edge_rnn.graph import Graph
from edge_rnn.model import Model
from edge_rnn.reach import LARGEST, reach

built = pytest.mark.skipif(available_engines()["native"] is not None, reason="the native engine was not built")


def corners(graph, size):
    signs = product((1, -1), repeat=graph.inputs)
    return [np.array([size if s > 0 else -size for s in row], np.float32) for row in signs]


@pytest.mark.parametrize("kinds", [["gru"], ["lstm"], ["rnn"], ["dense", "relu", "gru"], ["relu", "dense"]])
@pytest.mark.parametrize("scale", [1.0, 1e-12, 1e12])
def test_no_corner_of_what_is_taken_makes_a_state_or_a_logit_infinite(kinds, scale):
    graph = float_graph(np.random.default_rng(2), kinds, 4, 3)
    arrays = {**graph.arrays, "std": (graph.arrays["std"] * scale).astype(np.float32)}
    graph = Graph("float32", graph.layers, arrays)
    engines = [NumpyEngine(graph), *(NativeEngine(graph, isa) for isa in variants_here())]
    most = reach(graph)
    assert most > 1e20
    for engine, x in product(engines, corners(graph, most)):
        state, y = State(graph.states), np.empty((3, graph.outputs), np.float32)
        engine.run(np.tile(x, (3, 1)), state, y)
        assert np.isfinite(y).all()
        assert all(np.isfinite(a).all() for a in state.arrays)


def variants_here():
    return variants() if available_engines()["native"] is None else []


def test_what_is_far_beyond_does_turn_a_state_nan():
    """The negative control: the engine itself, unguarded."""
    graph = random_float_graph()
    found = []
    with np.errstate(all="ignore"):
        for x in corners(graph, 3e38):
            state = State(graph.states)
            NumpyEngine(graph).step(x[None], state, np.empty((1, graph.outputs), np.float32))
            found.append(all(np.isfinite(a).all() for a in state.arrays))
    assert not all(found)


@built
@pytest.mark.parametrize("isa", [*variants_here(), "numpy"])
def test_step_refuses_what_is_beyond_and_the_state_stays(isa):
    graph = random_float_graph()
    engine = NumpyEngine(graph) if isa == "numpy" else NativeEngine(graph, isa)
    state, most = State(graph.states), reach(graph)
    step = engine.bind(state)
    step(np.full(3, most, np.float32))
    before = state.to_bytes()
    for bad in (np.nextafter(np.float32(most), np.float32(np.inf)), 3e38, -3e38):
        for place in range(3):
            x = np.zeros(3, np.float32)
            x[place] = bad
            with pytest.raises(UsageError, match="overflow"):
                step(x)
    assert state.to_bytes() == before


def test_a_stream_calls_it_a_fault_even_without_a_training_range():
    graph = random_float_graph()
    quiet = model_of(graph)
    channels = tuple(replace(c, min=0.0, max=0.0) for c in quiet.manifest.channels)
    model = Model(replace(quiet.manifest, channels=channels), quiet.engine)
    model.reach = reach(graph)
    stream = model.stream()
    faults = [e for e in stream.push([[0, 0, 0.1], [1e38, 0, 0], [0.1, 0, 0]]) if isinstance(e, Fault)]
    assert [fault.reason for fault in faults] == ["range"]
    assert np.isfinite(stream.state.arrays[0]).all()


def test_run_and_groups_refuse_it():
    graph = random_float_graph()
    model = model_of(graph)
    model.reach = reach(graph)
    for call in (model.run, model.group(1).step):
        with pytest.raises(UsageError, match=r"(more than|numbers within) \d"):
            call(np.full((1, 3), 3e38, np.float32))


def test_an_int8_model_takes_every_finite_sample():
    from int8_models import GOLDEN_NAMES, golden_graph, read_golden

    for name in GOLDEN_NAMES:
        assert reach(golden_graph(read_golden(name))) == LARGEST
