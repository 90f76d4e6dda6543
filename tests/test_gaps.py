"""The timeline: what becomes of samples that are lost, doubled, late or bad."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_rnn.errors import SnapshotError, UsageError
from edge_rnn.events import Fault, Gap
from edge_rnn.gaps import DEGRADED, IMPUTED, OK, Restart, Segment, Timeline
from edge_rnn.manifest import Channel, GapPolicy

CHANNELS = (Channel("a", "g", 0, 1, -4, 4), Channel("b", "g", 0, 1, -4, 4))
PERIOD = 20_000_000


def timeline(short=3, long=8, **policy) -> Timeline:
    return Timeline(CHANNELS, 50.0, GapPolicy(short, long, **policy))


def samples(*values) -> np.ndarray:
    """One row a value: (value, value + 0.5)."""
    return np.array([(v, v + 0.5) for v in values], np.float32)


def stepped(plan):
    """(slot, first channel's value, quality) of every step."""
    return [
        (item.first + i, float(item.x[i, 0]), int(item.quality[i]))
        for item in plan
        if isinstance(item, Segment)
        for i in range(len(item.x))
    ]


def of(plan, kind):
    return [item for item in plan if isinstance(item, kind)]


def test_consecutive_samples_take_consecutive_slots():
    clock = timeline()
    assert stepped(clock.plan(samples(1, 2))) == [(0, 1, OK), (1, 2, OK)]
    assert stepped(clock.plan(samples(3))) == [(2, 3, OK)]


def test_a_short_hole_holds_the_last_value():
    plan = timeline().plan(samples(1, 2), seq=np.array([10, 13]))
    assert stepped(plan) == [(0, 1, OK), (1, 1, IMPUTED), (2, 1, IMPUTED), (3, 2, OK)]
    assert of(plan, Gap) == [Gap(PERIOD, 3 * PERIOD, 2, "hold")]


def test_a_longer_hole_is_held_but_degraded():
    plan = timeline().plan(samples(1, 2), seq=np.array([10, 15]))
    assert [quality for _, _, quality in stepped(plan)] == [OK, *[DEGRADED] * 4, OK]


def test_a_long_hole_restarts():
    plan = timeline().plan(samples(1, 2), seq=np.array([10, 20]))
    assert stepped(plan) == [(0, 1, OK), (10, 2, OK)]
    assert of(plan, Gap) == [Gap(PERIOD, 10 * PERIOD, 9, "reset")]
    assert of(plan, Restart) == [Restart(1)]


def test_a_long_hole_is_kept_where_the_policy_says_so():
    plan = timeline(on_long="keep").plan(samples(1, 2), seq=np.array([10, 20]))
    assert of(plan, Gap) == [Gap(PERIOD, 10 * PERIOD, 9, "keep")]
    assert not of(plan, Restart)


def test_any_hole_restarts_where_the_policy_does_not_hold():
    plan = timeline(on_short="reset").plan(samples(1, 2), seq=np.array([10, 12]))
    assert of(plan, Gap) == [Gap(PERIOD, 2 * PERIOD, 1, "reset")]
    assert len(of(plan, Restart)) == 1


@pytest.mark.parametrize(("dt", "missing"), [(1.0, 0), (0.6, 0), (1.5, 0), (1.51, 1), (2.4, 1), (2.6, 2)])
def test_a_hole_in_time_is_more_than_one_and_a_half_periods(dt, missing):
    plan = timeline().plan(samples(1, 2), t_ns=np.array([0, round(dt * PERIOD)]))
    assert len(stepped(plan)) == 2 + missing


def test_a_time_of_the_first_sample_stands_for_the_chunk():
    clock = timeline()
    clock.plan(samples(1, 2), t_ns=5 * PERIOD)
    assert clock.plan(samples(3, 4), t_ns=7 * PERIOD)[0].first == 2
    assert clock.plan(samples(5), t_ns=10 * PERIOD)[-1].first == 5


def test_sequence_numbers_count_more_than_times():
    plan = timeline().plan(samples(1, 2), t_ns=np.array([0, 99 * PERIOD]), seq=np.array([1, 2]))
    assert stepped(plan) == [(0, 1, OK), (1, 2, OK)]


def test_a_duplicate_is_counted_and_dropped():
    clock = timeline()
    plan = clock.plan(samples(1, 2, 2, 3), seq=np.array([1, 2, 2, 3]))
    assert [v for _, v, _ in stepped(plan)] == [1, 2, 3]
    assert clock.counters.duplicate == 1


def test_a_late_sample_is_late_once_and_then_a_duplicate():
    clock = timeline()
    clock.plan(samples(1, 3, 2, 2), seq=np.array([1, 3, 2, 2]))
    assert (clock.counters.late, clock.counters.duplicate, clock.counters.imputed) == (1, 1, 1)


def test_a_source_that_begins_anew_restarts():
    clock = timeline()
    plan = clock.plan(samples(1, 2, 3), seq=np.array([5000, 0, 1]))
    assert of(plan, Gap) == [Gap(PERIOD, PERIOD, 0, "reset")]
    assert [slot for slot, _, _ in stepped(plan)] == [0, 1, 2]
    assert (clock.counters.used, clock.counters.lost) == (3, 0)


def test_a_clock_set_by_years_is_another_clock_and_not_lost_samples():
    clock = timeline()
    plan = clock.plan(samples(1, 2), t_ns=np.array([0, 1_700_000_000 * 10**9]))
    assert of(plan, Gap) == [Gap(PERIOD, PERIOD, 0, "reset")]
    assert clock.counters.lost == 0


def test_nothing_of_before_a_restart_is_held_after_it():
    plan = timeline().plan(samples(1, np.nan, 2), seq=np.array([5000, 0, 1]))
    assert [v for _, v, _ in stepped(plan)] == [1, 2]


def test_bad_samples_are_held_then_lost_and_told_once():
    clock = timeline()
    plan = clock.plan(samples(1, *[np.nan] * 12, 2))
    held = [IMPUTED] * 3 + [DEGRADED] * 5
    assert [quality for _, _, quality in stepped(plan)] == [OK, *held, OK]
    assert of(plan, Fault) == [Fault(PERIOD, "a", "NaN"), Fault(PERIOD, "b", "NaN")]
    assert of(plan, Gap) == [Gap(9 * PERIOD, 13 * PERIOD, 4, "reset")]
    assert of(plan, Restart) == [Restart(9)]
    assert clock.counters.bad == 12


def test_a_restart_comes_as_soon_as_bad_samples_are_too_many():
    clock = timeline()
    clock.plan(samples(1))
    assert not of(clock.plan(samples(*[np.inf] * 8)), Restart)
    assert len(of(clock.plan(samples(*[np.inf] * 5)), Restart)) == 1


def test_bad_samples_before_the_first_good_one_are_lost():
    clock = timeline()
    plan = clock.plan(samples(np.nan, np.nan, 1))
    assert stepped(plan) == [(2, 1, OK)]
    assert clock.counters.lost == 2


def test_flushing_tells_of_an_open_gap():
    clock = timeline()
    clock.plan(samples(1, *[np.nan] * 10))
    assert clock.flush() == [Gap(9 * PERIOD, 11 * PERIOD, 2, "reset")]
    assert clock.flush() == []


def test_a_channel_that_recovers_and_fails_again_is_told_twice():
    x = np.array([[1, 1], [1, np.inf], [1, np.inf], [2, 2], [1, np.inf]], np.float32)
    faults = of(timeline().plan(x), Fault)
    assert [(f.t_ns // PERIOD, f.channel, f.reason) for f in faults] == [(1, "b", "Inf"), (4, "b", "Inf")]


def test_an_absurd_value_is_a_fault():
    plan = timeline().plan(samples(1, 3e38, 2))
    assert [f.reason for f in of(plan, Fault)] == ["range", "range"]
    assert [quality for _, _, quality in stepped(plan)] == [OK, IMPUTED, OK]


def test_a_key_of_another_form_is_refused_and_nothing_is_counted():
    clock = timeline()
    for keys in (np.array([1.0, 2.0]), np.array([1]), "12", np.array([0, 1 << 62])):
        with pytest.raises(UsageError):
            clock.plan(samples(1, 2), seq=keys)
    assert clock.counters.received == 0


def test_keys_of_another_kind_are_not_compared():
    clock = timeline()
    clock.plan(samples(1), seq=7)
    plan = clock.plan(samples(2), t_ns=10**12)
    assert stepped(plan) == [(1, 2, OK)]


ROWS = st.lists(
    st.tuples(
        st.one_of(st.integers(0, 60), st.integers(1000, 3000), st.integers(-(2**61), 2**61)),
        st.sampled_from([0.5, 1.0, -2.0, np.nan, np.inf, 3e38]),
    ),
    max_size=60,
)
POLICIES = st.sampled_from([{}, {"on_short": "reset"}, {"on_long": "keep"}, {"on_short": "reset", "on_long": "keep"}])


def _check_sums(clock, rows):
    c = clock.counters
    assert c.received == rows == c.used + c.duplicate + c.bad + c.late
    assert c.expected == c.used + c.imputed + c.lost == clock.next_index


def _normal(plan):
    """A plan without the way it was cut into segments."""
    rest = [item for item in plan if not isinstance(item, Segment)]
    return stepped(plan), rest


@settings(max_examples=300)
@given(ROWS, POLICIES, st.sampled_from(["seq", "t_ns", None]), st.data())
def test_both_sums_hold_on_any_schedule_and_any_cut_gives_the_same_plan(rows, policy, kind, data):
    x = np.array([(v, 0.25) for _, v in rows], np.float32).reshape(-1, 2)
    unit = PERIOD // 3 if kind == "t_ns" else 1
    keys = np.array([max(-(2**61), min(2**61, k * unit)) for k, _ in rows], np.int64)
    whole, parts = timeline(**policy), timeline(**policy)

    def push(clock, rows):
        return clock.plan(x[rows], **({} if kind is None else {kind: keys[rows]}))

    expected = push(whole, slice(None))
    _check_sums(whole, len(rows))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=4)))
    got = []
    for a, b in zip([0, *cuts], [*cuts, len(rows)], strict=True):
        got += push(parts, slice(a, b))
        again = timeline(**policy)
        again.restore(parts.snapshot())
        parts = again
        _check_sums(parts, b)
    assert _normal(got) == _normal(expected)
    assert parts.counters == whole.counters
    assert all(np.isfinite(item.x).all() for item in expected if isinstance(item, Segment))
    slots = [slot for slot, _, _ in stepped(expected)]
    assert slots == sorted(set(slots))


@settings(max_examples=100)
@given(st.integers(1, 200), st.floats(0, 0.4), st.floats(0, 0.2), st.integers(0, 5), st.integers(0, 2**32))
def test_a_lossy_doubling_reordering_wire_keeps_the_sums(count, loss, double, shift, seed):
    rng = np.random.default_rng(seed)
    sent = np.arange(count)
    kept = sent[rng.random(count) >= loss]
    wire = np.concatenate([kept, kept[rng.random(len(kept)) < double]])
    wire = wire[np.argsort(wire + rng.uniform(0, shift + 1e-9, len(wire)), kind="stable")]
    clock = timeline(short=3, long=2000)
    plan = clock.plan(samples(*(wire % 4)), seq=wire)
    _check_sums(clock, len(wire))
    c = clock.counters
    if len(wire):
        assert c.expected == wire.max() - wire[0] + 1
        late_or_used = c.used + c.late
        assert late_or_used == len(np.unique(wire[wire >= wire[0]]))
        assert [slot for slot, _, _ in stepped(plan)] == list(range(c.expected))


def test_a_wrong_sum_would_be_noticed():
    """The negative control: one duplicate forgotten breaks the check above."""
    clock = timeline()
    clock.plan(samples(1, 1), seq=np.array([1, 1]))
    clock.counters.duplicate -= 1
    with pytest.raises(AssertionError):
        _check_sums(clock, 2)


def test_a_snapshot_of_other_channels_or_a_cut_one_is_refused():
    clock = timeline()
    clock.plan(samples(1, 2, np.nan), seq=np.array([1, 4, 5]))
    blob = clock.snapshot()
    for damaged in (blob[:-1], blob[: len(blob) // 2], b"", blob + b"x"):
        with pytest.raises(SnapshotError):
            timeline().restore(damaged)
    with pytest.raises(SnapshotError, match="3 channels"):
        Timeline((*CHANNELS, dataclasses.replace(CHANNELS[0], name="c")), 50.0, GapPolicy(3, 8)).restore(blob)
