"""Sequence numbers and times: wraps, jitter, holes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_rnn.keys import ANEW, LATE, Keys

PERIOD = 20_000_000


def missing(kind, values, cuts=()):
    """The marks of keys given in pieces, through a snapshot at each cut."""
    keys, found = Keys(PERIOD), []
    values = np.asarray(values, np.int64)
    for a, b in zip([0, *cuts], [*cuts, len(values)], strict=True):
        part = keys.missing_before(kind, values[a:b])
        found += [0] * (b - a) if part is None else part.tolist()
        again = Keys(PERIOD)
        again.restore(keys.snapshot())
        keys = again
    return found


@pytest.mark.parametrize("bits", [8, 16, 32])
def test_a_counter_that_wraps_goes_on(bits):
    count = np.arange(2**bits - 12, 2**bits + 12)
    assert missing("seq", count % 2**bits) == [0] * 24


def test_a_counter_of_eight_bits_wraps_again_and_again():
    count = np.arange(2000)
    kept = np.delete(count, [255, 256, 700, 1023])
    found = missing("seq", kept % 256)
    assert sum(found) == 4
    assert min(found) >= 0


@pytest.mark.parametrize("unit", [1000, 1_000_000])
def test_a_microcontroller_clock_of_32_bits_wraps(unit):
    ticks = np.arange(50) * (PERIOD // unit) + 2**32 - 25 * (PERIOD // unit) - 7
    assert missing("t_ns", ticks % 2**32 * unit) == [0] * 50


def test_a_late_sample_across_the_wrap_is_late():
    assert missing("seq", [65533, 65535, 1, 65534, 0, 2]) == [0, 1, 1, LATE, LATE, 0]


def test_a_board_that_boots_anew_is_no_wrap():
    assert missing("seq", [40_000, 0, 1]) == [0, ANEW, 0]
    assert missing("seq", [300, 301, 2000, 3500, 0])[-1] == ANEW


@given(st.integers(0, 2**32), st.floats(0, 0.4))
def test_jitter_below_half_a_period_is_no_hole(seed, jitter):
    rng = np.random.default_rng(seed)
    times = np.sort((np.arange(500) + rng.uniform(-jitter, jitter, 500)) * PERIOD).astype(np.int64)
    times[1:] += times[1:] == times[:-1]
    found = missing("t_ns", times + 10**12)
    assert sum(m != 0 for m in found) <= (0 if jitter < 0.25 else 5)  # the first sample may set the schedule off


def test_the_old_rule_would_have_seen_holes_in_that():
    """The negative control: steps of more than 1.5 periods alone."""
    rng = np.random.default_rng(1)
    times = (np.arange(500) + rng.uniform(-0.45, 0.45, 500)) * PERIOD
    assert np.sum(np.diff(times) > 1.5 * PERIOD) > 10


@pytest.mark.parametrize("rate", [0.98, 0.999, 1.0, 1.0001, 1.02])
def test_a_clock_that_runs_fast_or_slow_has_no_holes_but_real_ones(rate):
    times = (np.arange(5000) * PERIOD * rate).astype(np.int64)
    assert missing("t_ns", times) == [0] * 5000
    assert missing("t_ns", np.delete(times, [1000, 2001, 2002]))[1000] == 1
    assert missing("t_ns", np.delete(times, [1000, 2001, 2002]))[2000] == 2


@settings(max_examples=200)
@given(st.sampled_from(["seq", "t_ns"]), st.lists(st.integers(-40, 80), max_size=60), st.integers(0, 2**33), st.data())
def test_any_cut_with_wraps_gives_the_same_marks(kind, steps, start, data):
    unit = PERIOD // 20 if kind == "t_ns" else 1
    bits = data.draw(st.sampled_from([8, 16, 32]))
    modulus = 2**bits if kind == "seq" else 2**32 * 1000
    near = data.draw(st.booleans())
    values = [(start if not near else modulus - 100 * unit) % modulus]
    for step in steps:
        values.append((values[-1] + step * unit) % modulus)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(values)), max_size=4)))
    assert missing(kind, values, cuts) == missing(kind, values)
