"""Leaping over a block decides what going sample by sample decides, and leaves the same behind."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_rnn.tracks import Rule, Track, advance, leap

RULES = st.builds(
    lambda thresholds, hold, silence: Rule(0, 1.0, max(thresholds), min(thresholds), hold, silence),
    st.sampled_from([(0.3, 0.5), (0.4, 0.7), (0.0, 1.0), (0.49, 0.5)]),
    st.sampled_from([0, 1, 2, 7]),
    st.sampled_from([0, 1, 3, 9]),
)
VALUES = st.lists(st.sampled_from([0.0, 0.3, 0.35, 0.45, 0.5, 0.6, 0.7, 1.0, math.nan]), max_size=80)


@settings(max_examples=500)
@given(RULES, VALUES, st.lists(st.integers(0, 80), max_size=4).map(sorted))
def test_leaping_is_going_sample_by_sample(rule, values, cuts):
    slow, fast, decided, leapt = Track(), Track(), [], []
    for index, p in enumerate(values, 1000):
        advance(rule, slow, p, index, decided)
    for first, stop in zip([0, *cuts], [*cuts, len(values)], strict=True):
        block = np.array(values[first:stop], np.float64)
        leap(rule, fast, block, 1000 + min(first, len(values)), leapt)
    assert leapt == decided
    assert fast == slow
    assert (fast.phase, fast.first, fast.started, fast.ready) == (slow.phase, slow.first, slow.started, slow.ready)
    assert fast.peak == slow.peak
