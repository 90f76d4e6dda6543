"""What a stream says of a board's results: the oracle is the stream that makes the same steps itself."""

from __future__ import annotations

import numpy as np
import pytest

from edge_rnn.engine import State
from edge_rnn.events import Ended, Gap, Started
from edge_rnn.manifest import GapPolicy
from edge_rnn.results import Results

from .conftest import model_of, random_float_graph

PERIOD_NS = 20_000_000


@pytest.fixture(scope="module")
def logits(model, noise):
    """What a board of this model would send for the noise."""
    y = np.empty((len(noise), model.outputs), np.float32)
    model.engine.run(noise, State(model.manifest.states), y)
    return y


def push_all(results, logits, seqs, *, steps=None, period_ns=PERIOD_NS):
    events = []
    for at, seq in enumerate(seqs):
        step = seq if steps is None else steps[at]
        events += results.push(logits[at], step, seq, round(seq * period_ns))
    return events


def test_a_boards_results_give_the_events_of_a_stream_that_makes_the_steps_itself(model, noise, logits):
    reasons = set()
    for count in (*range(60, 90), len(noise)):
        stream, results = model.stream("wrist"), Results(model.manifest, "wrist")
        want = [*stream.push(noise[:count]), *stream.finish()]
        got = [*push_all(results, logits, range(count)), *results.finish()]
        assert got == want
        reasons |= {event.reason for event in got if isinstance(event, Ended)}
    assert sum(isinstance(event, Ended) for event in got) > 5
    assert reasons == {"exit", "end"}


def test_who_joins_in_the_middle_needs_no_warm_up_and_who_joins_at_the_start_does(model, logits):
    early, late = Results(model.manifest), Results(model.manifest)
    early.push(logits[0], 0, 0, 0)
    late.push(logits[100], 100, 100, 0)
    assert (early.quality, late.quality) == ("warmup", "ok")
    push_all(early, logits[1:5], range(1, 5))
    assert early.quality == "ok"


def active(model, logits):
    """Results in which a class is active, and the number of the next one."""
    results, on = Results(model.manifest), set()
    for seq, row in enumerate(logits):
        for event in results.push(row, seq, seq, seq * PERIOD_NS):
            on.symmetric_difference_update({event.label})
        if on and seq > 50:
            return results, on, seq + 1
    raise AssertionError("nothing became active")


def test_a_short_hole_keeps_what_is_active_and_a_long_one_ends_it(model, logits):
    results, on, seq = active(model, logits)
    (gap, *rest) = results.push(logits[seq - 1], seq + 8, seq + 8, (seq + 8) * PERIOD_NS)
    assert gap == Gap(seq * PERIOD_NS, (seq + 8) * PERIOD_NS, 8, "keep")
    assert not any(isinstance(event, Ended) for event in rest)
    ended = results.push(logits[seq - 1], seq + 18, seq + 18, (seq + 18) * PERIOD_NS)
    assert {event.label for event in ended if isinstance(event, Ended)} == on
    assert {event.reason for event in ended if isinstance(event, Ended)} == {"gap"}
    (gap,) = [event for event in ended if isinstance(event, Gap)]
    assert (gap.lost, gap.action) == (9, "reset")


def test_a_class_about_to_start_begins_its_minimum_again_behind_a_hole(model):
    """A detector that needs 5 samples and finds 3 before and 3 behind the hole starts nothing."""
    rules = {"k1": model.manifest.detector["k1"]}
    rules = {"k1": type(rules["k1"])(smooth_ms=0, enter=0.9, exit=0.5, min_ms=80, refractory_ms=0)}
    sure = np.array([0, 9, 0], np.float32)
    whole, holed = Results(model.manifest, detector=rules), Results(model.manifest, detector=rules)
    assert push_all(whole, [sure] * 5, range(10, 15)) != []
    assert [type(e) for e in push_all(holed, [sure] * 6, [10, 11, 12, 14, 15, 16])] == [Gap]
    assert [type(e) for e in push_all(holed, [sure] * 2, [17, 18])] == [Started]


def test_a_board_that_began_anew_ends_what_is_active_and_warms_up_again(model, logits):
    results, on, seq = active(model, logits)
    events = results.push(logits[0], 0, seq + 2, (seq + 2) * PERIOD_NS)
    ended = [event for event in events if isinstance(event, Ended)]
    assert {event.label for event in ended} == on
    assert {(event.reason, event.quality) for event in ended} == {("reset", "degraded")}
    assert events[-1] == Gap(seq * PERIOD_NS, (seq + 2) * PERIOD_NS, 2, "reset")
    assert results.quality == "warmup"
    again = Results(model.manifest)
    first = [e.id for e in push_all(again, logits, range(len(logits))) if isinstance(e, Started)]
    later = push_all(results, logits[1:], range(seq + 3, seq + 2 + len(logits)), steps=range(1, len(logits)))
    assert not set(first) & {event.id for event in later if isinstance(event, Started)}


def test_a_counter_of_steps_that_wraps_is_no_reboot(model, logits):
    results = Results(model.manifest)
    steps = [(2**32 - 20 + n) % 2**32 for n in range(40)]
    assert not any(isinstance(e, Gap) for e in push_all(results, logits, range(100, 140), steps=steps))
    assert results.quality == "ok"


def test_times_are_the_boards_and_an_end_repeats_what_its_start_said(model, logits):
    """A clock that runs 1 % slow."""
    results, starts = Results(model.manifest), {}
    for event in push_all(results, logits, range(len(logits)), period_ns=1.01 * PERIOD_NS):
        if isinstance(event, Started):
            assert event.t_ns % round(1.01 * PERIOD_NS) == 0
            starts[event.id] = event
        else:
            assert (event.t0_ns, event.latency_ms) == (starts[event.id].t0_ns, starts[event.id].latency_ms)
            assert event.t1_ns % round(1.01 * PERIOD_NS) == 0
    assert len(starts) > 5


def test_a_policy_that_resets_on_every_hole_does():
    model = model_of(random_float_graph(), gap=GapPolicy(3, 8, "reset", "reset"))
    results = Results(model.manifest)
    sure = np.array([0, 9, 0], np.float32)
    push_all(results, [sure] * 20, range(10, 30))
    events = results.push(sure, 31, 31, 31 * PERIOD_NS)
    assert [type(event) for event in events] == [Ended, Gap]
    assert events[1].action == "reset"


def test_nothing_came_and_nothing_ends(model):
    assert Results(model.manifest).finish() == []
