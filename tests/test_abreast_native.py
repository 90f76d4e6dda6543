"""What the extension does for streams side by side is what NumPy does, to the bit; and it refuses what cannot be."""

import importlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from int8_models import random_graph

from edge_rnn.abreast import COUNTS, DUE, plain_in_numpy
from edge_rnn.detect import (
    AVERAGE,
    CEILING,
    FIELDS,
    FLOOR,
    PEAK,
    SILENT,
    averages_in_numpy,
    below_largest_in_numpy,
    shares_in_numpy,
)
from edge_rnn.engine import State
from edge_rnn.engines.native import NativeEngine
from edge_rnn.engines.steps import runs_by_run
from edge_rnn.faults import Watch
from edge_rnn.graph import Layer
from edge_rnn.manifest import Channel

native = importlib.import_module("edge_rnn._native")
CHANNELS = (Channel("a", "g", 0.0, 1.0, -1.0, 1.0, 2), Channel("b", "g", 0.0, 1.0, -1.0, 1.0))
STREAMS = 5


def chosen(rng):
    """Which of the streams take how many samples."""
    where = rng.permutation(STREAMS)[: rng.integers(1, STREAMS + 1)]
    return where, rng.integers(1, 40, len(where))


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 1 << 30), st.booleans(), st.sampled_from([0.0, 0.02, 0.5]))
def test_c_and_numpy_find_the_same_streams_plain(seed, numbered, odd):
    rng = np.random.default_rng(seed)
    watch, (where, rows) = Watch(CHANNELS, 5000.0), chosen(rng)
    total = int(rows.sum())
    x = rng.choice([0.0, 0.5, 1.0, 2.0, -3.0], (total, 2)).astype(np.float32) + rng.normal(0, 1e-3, (total, 2)) * (
        rng.random() < 0.7
    )
    x[rng.random(x.shape) < odd / 20] = rng.choice([np.nan, np.inf, 1e9, -1e9])
    x[: total // 2, rng.integers(2)] = 2.0 if rng.random() < odd else x[: total // 2, 0]
    x = x.astype(np.float32)
    counts = rng.integers(0, 1000, (len(COUNTS), STREAMS))
    counts[DUE] = rng.integers(-1, 3, STREAMS) * 100
    seq = np.concatenate([np.arange(n) + max(counts[DUE, at], 0) for at, n in zip(where, rows, strict=True)])
    if rng.random() < odd:
        seq[rng.integers(total)] += 1
    inside = rng.random(STREAMS) < 0.9
    last, run = np.ones((STREAMS, 2), np.float32) / 2, rng.integers(0, 30, (STREAMS, 2))
    ways = []
    for plain, told in ((native.plain, watch.limits), (plain_in_numpy, watch)):
        mine, same, moved, well = last.copy(), run.copy(), counts.copy(), np.empty(len(where), np.bool_)
        upto = np.full(len(where), -1)
        found = plain(x, rows, where, inside, seq if numbered else None, moved, told, mine, same, upto, well)
        ways.append((found, well.tolist(), mine.tobytes(), same.tolist(), moved.tolist(), upto.tolist()))
    assert ways[0] == ways[1]
    assert found == well.sum()


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 1 << 30), st.integers(1, 3))
def test_c_and_numpy_average_alike(seed, classes):
    rng = np.random.default_rng(seed)
    where, rows = chosen(rng)
    labels, alpha = rng.permutation(4)[:classes], rng.choice([1.0, 0.3, 1e-3], classes)
    memory = rng.random((FIELDS, STREAMS, classes))
    memory[AVERAGE][rng.random((STREAMS, classes)) < 0.3] = np.nan
    memory[FLOOR] = rng.choice([-np.inf, 0.2, np.inf], (STREAMS, classes))
    memory[CEILING] = rng.choice([0.8, np.inf], (STREAMS, classes))
    memory[SILENT] = rng.choice([-np.inf, 100.0], (STREAMS, classes))
    p, upto = rng.random((int(rows.sum()), 4)), rng.integers(90, 110, len(where))
    ways = []
    for average in (native.averages, averages_in_numpy):
        mine, out, quiet = memory.copy(), np.empty((len(p), classes)), np.empty((len(where), classes), np.bool_)
        average(p, labels, alpha, mine, rows, where, upto, out, quiet)
        ways.append((out.tobytes(), quiet.tolist(), mine.tobytes()))
    assert ways[0] == ways[1]
    assert not np.array_equal(memory[AVERAGE], mine[AVERAGE])
    assert PEAK == 1


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 1 << 30), st.integers(0, 70), st.integers(1, 9), st.sampled_from([0.0, 0.05]))
def test_c_and_numpy_make_the_same_shares(seed, rows, classes, odd):
    """To the bit, but for which of the numbers that are none it is."""
    rng = np.random.default_rng(seed)
    logits = (rng.normal(0, 10, (rows, classes)) * rng.choice([1.0, 1e30])).astype(np.float32).astype(np.float64)
    logits[rng.random(logits.shape) < odd] = rng.choice([np.nan, np.inf, -np.inf])
    ways = []
    with np.errstate(invalid="ignore"):
        for below_largest, shares in ((native.below_largest, native.shares), (below_largest_in_numpy, shares_in_numpy)):
            e = logits.copy()
            below_largest(e)
            lower = e.copy()
            shares(np.exp(e, out=e))
            ways.append([np.where(np.isnan(a), 0.5, a).tobytes() + np.isnan(a).tobytes() for a in (lower, e)])
    assert ways[0] == ways[1]


@pytest.mark.parametrize("kinds", [["gru"], ["lstm", "rnn"], []])
def test_steps_of_many_streams_are_those_of_each(kinds):
    rng = np.random.default_rng(1)
    layers = [Layer(kind, 3 if n == 0 else 8, 8, "tanh", None, None) for n, kind in enumerate(kinds)]
    layers.append(Layer("dense", 8 if kinds else 3, 4, "none"))
    engine = NativeEngine(random_graph(rng, layers, (18, 20)))
    where, rows = np.array([3, 0, 4]), np.array([2, 1100, 7])
    x = rng.normal(0, 1, (rows.sum(), 3)).astype(np.float32)
    states, outs = (
        [State(engine.graph.states, STREAMS) for _ in range(2)],
        [np.empty((len(x), 4), np.float32) for _ in range(2)],
    )
    engine.runs(x, rows, where, states[0], outs[0])
    runs_by_run(engine, x, rows, where, states[1], outs[1])
    assert outs[0].tobytes() == outs[1].tobytes()
    assert states[0].to_bytes() == states[1].to_bytes()
    bad = [
        (x, rows, where + 2, states[0]), (x, rows, where - 1, states[0]), (x, rows + 1, where, states[0]),
        (x, np.array([0, 1102, 7]), where, states[0]), (x, rows[:2], where, states[0]), (x[1:], rows, where, states[0]),
        (x, rows.astype(np.int32), where, states[0]), (x * np.nan, rows, where, states[0]),
    ]  # fmt: skip
    for one, many, at, state in bad if kinds else bad[2:]:
        with pytest.raises((ValueError, BufferError)):
            engine.runs(np.ascontiguousarray(one), many, at, state, outs[0])


def test_what_cannot_be_is_refused():
    watch, rows, where = Watch(CHANNELS), np.array([2, 3]), np.array([0, 1])
    x, inside, counts = np.zeros((5, 2), np.float32), np.ones(2, np.bool_), np.zeros((4, 2), np.int64)
    last, run, well = np.zeros((2, 2), np.float32), np.zeros((2, 2), np.int64), np.empty(2, np.bool_)
    upto = np.zeros(2, np.int64)
    good = [x, rows, where, inside, np.arange(5), counts, watch.limits, last, run, upto, well]
    native.plain(*good)
    for at, bad in [
        (0, x[:4]), (0, x.astype(np.float64)), (1, rows + 1), (1, np.array([0, 5])), (1, rows[:1]), (2, where + 1),
        (2, where - 1), (3, inside[:1]), (4, np.arange(4)), (5, counts[:3]), (6, watch.limits[:5]),
        (7, last[:1]), (8, run.astype(np.int32)), (9, upto[:1]), (10, well[:1]), (10, None),
        (1, np.array([1 << 62, 1 << 62])),
    ]:  # fmt: skip
        with pytest.raises((ValueError, TypeError, BufferError)):
            native.plain(*good[:at], bad, *good[at + 1 :])
    for bad in (np.zeros(4), np.zeros((2, 4), np.float32), np.zeros((4, 4))[:, :2], b"12345678", None):
        for function in (native.below_largest, native.shares):
            with pytest.raises((ValueError, TypeError, BufferError)):
                function(bad)
    p, labels, alpha, memory = np.zeros((5, 4)), np.array([1]), np.ones(1), np.zeros((FIELDS, 2, 1))
    good = [p, labels, alpha, memory, rows, where, upto, np.empty((5, 1)), np.empty((2, 1), np.bool_)]
    native.averages(*good)
    for at, bad in [
        (0, p[:4]), (0, p[0]), (1, labels + 3), (1, labels - 2), (1, labels[:0]), (2, np.ones(2)), (3, memory[:4]),
        (3, memory[:, :1].copy()), (4, rows + 1), (5, where + 1), (6, upto[:1]), (7, np.empty((4, 1))),
        (8, np.empty((2, 1))),
    ]:  # fmt: skip
        with pytest.raises((ValueError, TypeError, BufferError)):
            native.averages(*good[:at], bad, *good[at + 1 :])
