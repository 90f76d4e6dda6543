"""Recordings with holes: what training reads is what a stream on a device computes on."""

import numpy as np
import pytest
from edge_rnn.export.datasets import UNKNOWN, longest_constant
from edge_rnn.export.mending import mend, recordings_of
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_rnn.errors import DataError
from edge_rnn.gaps import Restart, Segment, Timeline
from edge_rnn.manifest import Channel, GapPolicy

POLICIES = st.sampled_from([GapPolicy(0, 0), GapPolicy(1, 3), GapPolicy(3, 8), GapPolicy(2, 4, "reset", "keep")])


@settings(max_examples=200)
@given(POLICIES, st.lists(st.sampled_from([0, 1, 1, 1, 2, 3, 6, 20, -2]), min_size=1, max_size=60), st.data())
def test_rows_are_those_a_streams_timeline_steps_over(policy, steps, data):
    """The timeline on the samples themselves; in mend() it only sees the numbers of the rows."""
    seq = np.cumsum(steps)
    x = np.arange(len(seq))[:, None] + np.array([[0.5, 100.25]])
    x[data.draw(st.lists(st.integers(0, len(x) - 1), max_size=6)), 1] = np.nan
    label = data.draw(st.lists(st.sampled_from([0, 1, UNKNOWN]), min_size=len(x), max_size=len(x)))
    timeline = Timeline([Channel(name, "", 0, 1, 0, 0) for name in "ab"], 50.0, policy)
    pieces, held = [[]], 0
    for item in timeline.plan(x.astype(np.float32), None, seq):
        if isinstance(item, Restart):
            pieces.append([])
        elif isinstance(item, Segment):
            pieces[-1] += item.x.tolist()
            held += int(np.sum(item.quality > 0))
    least = max(policy.long, 1) if len(pieces) > 1 else 1
    kept = [piece for piece in pieces if len(piece) >= least]
    try:
        mended = mend(x, np.array(label), 50.0, seq=seq, policy=policy)
    except DataError:
        assert not kept
        return
    assert [x[rows].tolist() for rows in mended.rows] == kept
    assert mended.counters == timeline.counters
    for rows, is_held, labels in zip(mended.rows, mended.held, mended.labels, strict=True):
        good = ~is_held
        assert labels[good].tolist() == np.array(label)[rows[good]].tolist()
        assert set(labels[is_held].tolist()) <= {UNKNOWN, *label}


def test_a_held_sample_has_a_label_only_where_both_sides_agree_and_the_gap_is_short():
    x = np.arange(20.0)[:, None]
    x[[2, 3, 9, 13, 14, 15, 16]] = np.nan
    label = np.repeat([1, 0], [9, 11])
    found = mend(x, label, 50.0, policy=GapPolicy(3, 8)).labels[0]
    assert found.tolist() == [1] * 9 + [UNKNOWN] + [0] * 3 + [UNKNOWN] * 4 + [0] * 3


def test_held_samples_make_no_channel_look_stuck():
    x = np.random.default_rng(0).normal(size=(60, 1))
    x[20:30] = np.nan
    fields = {
        "scale": np.ones(1), "label": np.zeros(60, np.int64), "rec_start": np.array([0, 60]), "rec_subject": None,
        "rec_id": ("one",), "rate_hz": 50.0, "channels": ("a",), "units": ("",), "classes": ("calm",),
    }  # fmt: skip
    with pytest.warns(UserWarning, match="10 held"):
        data = recordings_of("here", [(None, None)], x=x, **fields)
    assert data.held.sum() == 10
    assert longest_constant(data) == [1]
    assert data.select([0]).held.sum() == 10


def test_a_piece_shorter_than_a_window_is_passed_over_where_a_hole_left_it():
    seq = np.array([*range(40), *range(1000, 1400)])
    x, label = np.random.default_rng(0).normal(size=(440, 1)), np.zeros(440, np.int64)
    fields = {
        "scale": np.ones(1), "label": label, "rec_start": np.array([0, 440]), "rec_subject": None,
        "rec_id": ("one",), "rate_hz": 10.0, "channels": ("a",), "units": ("",), "classes": ("calm",),
    }  # fmt: skip
    with pytest.warns(UserWarning, match="2 pieces"):
        data = recordings_of("here", [(None, seq)], x=x, **fields)
    assert np.diff(data.rec_start).tolist() == [40, 400]
    assert data.windows(100, 100)[0].tolist() == [40, 140, 240, 340]


def test_a_recording_with_long_pauses_is_of_its_rate():
    """Ten seconds in fifty without samples: by its times alone it seemed to run at 40 Hz, and was refused."""
    count = 8000
    t_ns = np.arange(count) * 20_000_000 + np.arange(count) // 2000 * 10_000_000_000
    x = np.arange(count, dtype=np.float64)[:, None] % 7
    mended = mend(x, np.zeros(count, np.int64), 50.0, t_ns=t_ns)
    assert [len(rows) for rows in mended.rows] == [2000] * 4
    with pytest.raises(DataError, match="40 samples a second, 50 were said"):
        mend(x, np.zeros(count, np.int64), 50.0, t_ns=t_ns // 4 * 5)
