"""A stream: any cut of the input gives the same; state, snapshot and what feeds it."""

import dataclasses
import os
from itertools import product

import numpy as np
import pytest
from conftest import QUICK, model_of, random_float_graph
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from int8_models import random_graph, random_layers

from edge_rnn.detect import Detector, softmax
from edge_rnn.errors import SnapshotError, UsageError
from edge_rnn.events import Ended, Fault, Gap, Started
from edge_rnn.stream import QUALITIES

RELAXED = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@pytest.fixture(scope="module")
def int8_model():
    rng = np.random.default_rng(3)
    graph = random_graph(rng, random_layers(rng, ["gru"], 3, [6], 3), (18, 20))
    graph.arrays["sx"][:] = 2.0**-12
    return model_of(graph, input={"sx": graph.arrays["sx"].tolist()})


def collect(stream, x, cuts=(), **keys):
    """Push x in pieces: events, logits, indexes, qualities and the state at the end."""
    events, scores, index, quality = [], [], [], []
    for a, b in zip([0, *cuts], [*cuts, len(x)], strict=True):
        events += stream.push(x[a:b], **{name: key[a:b] for name, key in keys.items()})
        scores.append(stream.last_scores.copy())
        index.append(stream.last_index)
        quality.append(stream.last_quality)
    parts = (np.concatenate(part) for part in (scores, index, quality))
    return [*events, *stream.finish()], *(p.tolist() for p in parts), stream.state.to_bytes()


def test_the_fixture_says_something(model, noise):
    """The tests below would pass on a silent model."""
    events = model.stream().push(noise)
    assert len([e for e in events if isinstance(e, Started)]) > 5
    assert len([e for e in events if isinstance(e, Ended)]) > 5


@RELAXED
@given(st.lists(st.integers(0, 400), max_size=8), st.booleans())
def test_any_cut_gives_the_same_events_scores_and_state(model, int8_model, noise, cuts, integer):
    chosen = int8_model if integer else model
    x = noise.copy()
    x[50:53, 1] = np.nan
    x[100:140, 2] = np.inf
    seq = np.arange(400) + 20 * (np.arange(400) > 200) + 2 * (np.arange(400) > 300)
    assert collect(chosen.stream(), x, sorted(cuts), seq=seq) == collect(chosen.stream(), x, seq=seq)


def test_sample_by_sample_gives_the_same(model, noise):
    assert collect(model.stream(), noise, range(1, 400)) == collect(model.stream(), noise)


def test_push_makes_the_steps_of_the_bare_model(model, noise):
    stream, bare = model.stream(), model.stream()
    stream.push(noise)
    np.testing.assert_array_equal(stream.last_scores, [bare.step(sample).copy() for sample in noise])
    np.testing.assert_array_equal(stream.last_scores, model.run(noise))


@RELAXED
@given(st.integers(0, 400), st.booleans())
def test_a_snapshot_goes_on_as_if_nothing_had_happened(model, int8_model, noise, cut, integer):
    chosen = int8_model if integer else model
    x = noise.copy()
    x[150:170, 0] = np.nan
    seq = np.arange(400) + 3 * (np.arange(400) > 200)
    seq[250:260] = seq[250:260][::-1]
    one, two = chosen.stream(), chosen.stream()
    whole = collect(chosen.stream(), x, [cut], seq=seq)
    first = one.push(x[:cut], seq=seq[:cut]) if cut else []
    two.restore(one.snapshot())
    rest = [*two.push(x[cut:], seq=seq[cut:]), *two.finish()]
    assert [*first, *rest] == whole[0]
    assert two.state.to_bytes() == whole[-1]
    sums = chosen.stream()
    sums.push(x, seq=seq)
    assert two.counters == sums.counters


def test_a_fault_told_before_a_snapshot_is_not_told_again(model):
    stream, other = model.stream(), model.stream()
    bad = np.full((2, 3), np.nan, np.float32)
    assert len([e for e in stream.push(bad) if isinstance(e, Fault)]) == 3
    other.restore(stream.snapshot())
    assert other.push(bad) == []


def test_a_snapshot_of_another_model_is_refused_and_changes_nothing(model, noise):
    stream = model.stream()
    stream.push(noise[:50])
    before = stream.snapshot()
    other = model_of(random_float_graph(seed=1)).stream()
    with pytest.raises(SnapshotError, match="is of model"):
        stream.restore(other.snapshot())
    assert stream.snapshot() == before


@given(st.data())
@RELAXED
def test_a_damaged_snapshot_is_refused_and_changes_nothing(model, noise, data):
    stream = model.stream()
    stream.push(noise[:30])
    blob = bytearray(stream.snapshot())
    kind = data.draw(st.sampled_from(["flip", "cut", "grow"]))
    if kind == "flip":
        at = data.draw(st.integers(0, len(blob) - 1))
        blob[at] ^= 1 << data.draw(st.integers(0, 7))
    elif kind == "cut":
        del blob[data.draw(st.integers(0, len(blob) - 1)) :]
    else:
        blob += b"x"
    before = stream.snapshot()
    with pytest.raises(SnapshotError):
        stream.restore(bytes(blob))
    assert stream.snapshot() == before


def test_a_snapshot_of_other_watched_classes_is_refused_and_changes_nothing(model, noise):
    one, two = model.stream(detector={"k0": QUICK}), model.stream(detector={"k1": QUICK})
    one.push(noise[:50])
    before = two.snapshot()
    with pytest.raises(SnapshotError, match="other classes"):
        two.restore(one.snapshot())
    assert two.snapshot() == before


def test_a_stream_is_fed_by_step_or_by_push(model, noise):
    stream = model.stream()
    stream.push(noise[:2])
    with pytest.raises(UsageError, match="reset"):
        stream.step(noise[0])
    stream.reset()
    stream.step(noise[0])
    with pytest.raises(UsageError, match="reset"):
        stream.push(noise[:2])
    stream.reset()
    stream.push(noise[:2])


def test_a_snapshot_remembers_what_fed_the_stream(model, noise):
    stepped, pushed, twin = model.stream(), model.stream(), model.stream()
    stepped.step(noise[0])
    pushed.push(noise[:1])
    twin.restore(stepped.snapshot())
    with pytest.raises(UsageError):
        twin.push(noise)
    np.testing.assert_array_equal(twin.step(noise[1]), stepped.step(noise[1]))
    twin.restore(pushed.snapshot())
    with pytest.raises(UsageError):
        twin.step(noise[0])


def test_a_push_that_is_refused_leaves_the_stream_as_it_was(model, noise):
    stream = model.stream()
    before = stream.snapshot()
    for wrong in (noise[:, :2], noise[0], [["a", "b", "c"]], noise.astype(complex), [[1.0, 2.0], [3.0]]):
        with pytest.raises(UsageError):
            stream.push(wrong)
    with pytest.raises(UsageError):
        stream.push(noise, seq=[0.5] * 400)
    assert stream.snapshot() == before
    stream.step(noise[0])


@pytest.mark.parametrize("wrong", [[np.nan, 0, 0], [0, np.inf, 0], [0, 0], [[0, 0, 0]], ["a", "b", "c"], [1j, 0, 0]])
def test_a_step_that_is_refused_leaves_the_state_as_it_was(model, noise, wrong):
    stream = model.stream()
    stream.step(noise[0])
    before = stream.state.to_bytes()
    with pytest.raises(UsageError):
        stream.step(wrong)
    assert stream.state.to_bytes() == before


def test_an_event_has_the_quality_of_the_sample_on_which_it_was_decided(model, noise):
    broken = noise.copy()
    broken[::3] = np.nan
    for x in (noise, broken):
        for size in (1, 7, 400):
            stream, told, quality = model.stream(), [], {}
            for at in range(0, 400, size):
                told += stream.push(x[at : at + size])
                quality.update(zip(stream.last_index.tolist(), stream.last_quality.tolist(), strict=True))
            told = [event for event in told if isinstance(event, Started | Ended)]
            assert len(told) > 10
            for event in told:
                at = round((event.t_ns if isinstance(event, Started) else event.t1_ns) / 20e6)
                assert event.quality == event.to_json()["quality"] == QUALITIES[quality[at]]
            assert {event.quality for event in told} == ({"ok"} if x is noise else {"ok", "imputed"})
    stream.push(noise)
    assert all(event.quality == "degraded" for event in stream.reset())


@pytest.mark.parametrize("missing", ["bad", "hole"])
def test_nothing_is_decided_on_values_that_were_held_for_long(model, noise, missing):
    """What was active stays active, what was about to start begins its minimum again, and the scores say degraded."""
    x, seq = noise.copy(), np.arange(400)
    gone = np.zeros(400, bool)
    for at in range(20, 400, 14):
        gone[at : at + 8] = True
    x[gone] = np.nan
    keys = {"seq": seq}
    if missing == "hole":
        x, keys = noise[~gone], {"seq": seq[~gone]}
    told, logits, index, quality, _ = collect(model.stream(), x, range(1, len(x)), **keys)
    assert (told, index) == collect(model.stream(), x, **keys)[::2][:2]
    degraded = {i for i, mark in zip(index, quality, strict=True) if QUALITIES[mark] == "degraded"}
    begun = {round(event.t_ns / 20e6) for event in told if isinstance(event, Started)}
    ended = {round(event.t1_ns / 20e6) for event in told if isinstance(event, Ended) and event.reason == "exit"}
    assert len(begun) > 3
    assert len(ended) > 3
    assert not (begun | ended) & degraded

    # the negative control: a detector that is asked about every step does decide there
    asked = Detector(dict.fromkeys(range(3), QUICK), 50.0)
    p = softmax(np.array(logits, np.float32)[4:])
    assert {decision.at for decision in asked.push(p, index[4])} & degraded


@pytest.mark.parametrize("kind", ["gru", "lstm", "rnn"])
def test_no_bit_pattern_of_a_float_makes_the_state_nan(kind):
    """R15: 50,000 random bit patterns here, 10^6 by `pytest -m slow`, 10^7 with EDGE_RNN_R15_PATTERNS=10000000."""
    _feed_bit_patterns(kind, 50_000 // 3)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["gru", "lstm", "rnn"])
def test_no_bit_pattern_of_many_makes_the_state_nan(kind):
    _feed_bit_patterns(kind, int(os.environ.get("EDGE_RNN_R15_PATTERNS", "1000000")) // 3)


def _feed_bit_patterns(kind, rows):
    model = model_of(random_float_graph(kind=kind))
    stream = model.stream(detector={})
    rng = np.random.default_rng(11)
    while rows > 0:
        n = min(rows, 20_000)
        x = rng.integers(0, 1 << 32, (n, 3), dtype=np.uint32).view(np.float32).copy()
        x[rng.random(n) < 0.5, 1:] = 0.5
        with np.errstate(all="ignore"):
            stream.push(x)
        assert all(np.isfinite(a).all() for a in stream.state.arrays)
        rows -= n
    assert stream.counters.bad > 0
    assert stream.counters.used > 0


def test_an_unguarded_engine_does_turn_nan_on_such_patterns():
    """The negative control of the test above."""
    model = model_of(random_float_graph())
    with np.errstate(all="ignore"):
        corners = [model.run(3e38 * np.array([[a, b, c]], np.float32)) for a, b, c in product((1, -1), repeat=3)]
    assert not np.isfinite(corners).all()


def test_after_bad_samples_the_scores_recover_within_a_window(model, noise):
    broken = noise.copy()
    broken[100:130] = np.nan
    stream = model.stream()
    stream.push(broken)
    late = stream.last_index >= 200
    np.testing.assert_allclose(stream.last_scores[late], model.run(noise)[200:], atol=1e-3)


def test_scores_are_marked_warmup_and_nothing_is_detected_until_it_is_over(noise):
    model = model_of(random_float_graph(), warmup_samples=50)
    stream = model.stream()
    events = stream.push(noise)
    assert [QUALITIES[q] for q in stream.last_quality] == ["warmup"] * 50 + ["ok"] * 350
    assert min(e.t0_ns for e in events if isinstance(e, Started)) >= 50 * 20_000_000


def test_a_long_gap_ends_what_is_active_and_warms_up_again(model, noise):
    stream = model.stream()
    events = stream.push(noise[:200], seq=np.arange(200))
    active = {e.label for e in events if isinstance(e, Started)} - set()
    for event in events:
        active = active | {event.label} if isinstance(event, Started) else active - {getattr(event, "label", "")}
    after = stream.push(noise[200:204], seq=np.arange(1000, 1004))
    assert {e.label for e in after if isinstance(e, Ended) and e.reason == "gap"} == active != set()
    assert [e.action for e in after if isinstance(e, Gap)] == ["reset"]
    assert [QUALITIES[q] for q in stream.last_quality] == ["warmup"] * 4
    np.testing.assert_array_equal(stream.last_scores, model.run(noise[200:204]))


def test_bad_samples_for_ever_end_what_is_active(model, noise):
    stream = model.stream(detector={"k0": dataclasses.replace(QUICK, enter=1e-3, exit=0.0)})
    assert stream.push(noise[:20])
    ended = stream.push(np.full((50, 3), np.nan, np.float32))
    assert [e.reason for e in ended if isinstance(e, Ended)] == ["gap"]


def test_an_event_and_its_start_share_an_id_and_no_two_events_do(model, noise):
    stream = model.stream()
    events = [*stream.push(noise), *stream.reset(), *stream.push(noise), *stream.finish()]
    started = [e.id for e in events if isinstance(e, Started)]
    ended = [e.id for e in events if isinstance(e, Ended)]
    assert sorted(started) == sorted(ended)
    assert len(set(started)) == len(started)


def test_ids_depend_on_the_stream_and_not_on_the_process(model, noise):
    ids = [[e.id for e in model.stream(name).push(noise) if isinstance(e, Started)] for name in ("a", "a", "b")]
    assert ids[0] == ids[1]
    assert not set(ids[0]) & set(ids[2])


def test_reset_goes_back_to_the_zero_state_and_time_goes_on(model, noise):
    stream = model.stream()
    stream.push(noise[:100])
    first = stream.last_scores.copy()
    stream.reset()
    stream.push(noise[:100])
    np.testing.assert_array_equal(stream.last_scores, first)
    assert stream.last_index[0] == 100


def test_streams_of_one_model_do_not_touch_each_other(model, noise):
    one, two = model.stream(), model.stream()
    for a in range(0, 400, 20):
        one.push(noise[a : a + 20])
        two.push(-noise[a : a + 20])
    alone = model.stream()
    alone.push(noise)
    assert one.state.to_bytes() == alone.state.to_bytes()


def test_scores_are_probabilities_of_every_nth_sample(model, noise):
    stream = model.stream()
    stream.push(noise[:5])
    stream.push(noise[5:23])
    scores = stream.scores(every=4)
    assert [s.t_ns // 20_000_000 for s in scores] == [8, 12, 16, 20]
    assert all(sum(s.scores.values()) == pytest.approx(1) and s.quality == "ok" for s in scores)


def test_step_int_gives_the_exact_logits(int8_model, noise):
    exact, floating = int8_model.stream(), int8_model.stream()
    for sample in noise[:20]:
        y_q = exact.step_int(exact.quantize(sample))
        np.testing.assert_array_equal(floating.step(sample), (y_q / 65536).astype(np.float32))


def test_an_unknown_detector_label_is_refused(model):
    with pytest.raises(UsageError, match="nobody"):
        model.stream(detector={"nobody": QUICK})
