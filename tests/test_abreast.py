"""Streams pushed side by side give what each gives alone: events, snapshots and scores, whatever comes in between."""

import numpy as np
import pytest
from daemon_rig import noise, write_model
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_rnn.abreast import Abreast
from edge_rnn.errors import UsageError
from edge_rnn.events import Started
from edge_rnn.manifest import DetectorParams
from edge_rnn.model import load

STREAMS = 5


@pytest.fixture(scope="module", params=["native", "numpy"])
def model(request, tmp_path_factory):
    return load(write_model(tmp_path_factory.mktemp("model") / "rig.ernn"), request.param)


def scores(stream):
    return stream.last_scores.tobytes(), stream.last_index.tolist(), stream.last_quality.tolist()


def push(together, members, samples, seqs=None):
    """The events of each, None for those that are left: they are settled."""
    rows, numbers = np.array([len(one) for one in samples]), None if seqs is None else np.concatenate(seqs)
    told, left = together.push(np.array(members), np.concatenate(samples), rows, numbers)
    assert all(told.values())
    assert not told.keys() & set(left)
    for m in left:
        together.settle(members[m])
    return [None if m in left else told.get(m, []) for m in range(len(members))]


# what befalls a stream in a turn: nothing, a sample that is none, a hole in the numbers that is held (degraded), one
# that is too long, a value that stays, a reset
TURN = st.lists(
    st.sampled_from(["plain"] * 6 + ["nan", "held", "hole", "stuck", "reset"]), min_size=STREAMS, max_size=STREAMS
)


@settings(max_examples=30, deadline=None)
@given(
    turns=st.lists(TURN, min_size=1, max_size=8),
    rows=st.lists(st.integers(1, 40), min_size=STREAMS, max_size=STREAMS),
    numbered=st.booleans(),
    looks=st.sets(st.integers(0, 13)),
)
def test_side_by_side_is_the_same_as_alone(model, turns, rows, numbered, looks):
    """`rows` samples of each stream a turn; what is in the streams is looked at after some of the turns."""
    alone, abreast = ([model.stream(f"s{i}") for i in range(STREAMS)] for _ in range(2))
    together = Abreast(abreast)
    x = [noise(4000, i) for i in range(STREAMS)]
    at, count, done = [0] * STREAMS, [0] * STREAMS, 0
    for number, turn in enumerate([["plain"] * STREAMS] * 6 + turns):
        samples, seqs = [], []
        for i, what in enumerate(turn):
            piece = x[i][at[i] : at[i] + rows[i]].copy()
            at[i] += rows[i]
            if what == "nan":
                piece[rows[i] // 2, 1] = np.nan
            elif what == "stuck":
                piece[:, 2] = 0.25
            elif what in ("held", "hole"):
                count[i] += 4 if what == "held" else 7
            elif what == "reset":
                together.settle(i)
                assert alone[i].reset() == abreast[i].reset()
            samples.append(piece)
            seqs.append(np.arange(count[i], count[i] + rows[i]))
            count[i] += rows[i]
        keys = seqs if numbered else [None] * STREAMS
        told = push(together, range(STREAMS), samples, seqs if numbered else None)
        done += sum(events is not None for events in told)
        for i, events in enumerate(told):
            if events is None:
                events = abreast[i].push(samples[i], None, keys[i])
            assert events == alone[i].push(samples[i], None, keys[i])
            assert all(event.quality != "degraded" for event in events if isinstance(event, Started))
            if number in looks or number == 5 + len(turns):
                together.settle(i)
                assert abreast[i].snapshot() == alone[i].snapshot()
                assert scores(abreast[i]) == scores(alone[i])
    assert done > 0


def test_some_of_the_streams_may_be_pushed(model):
    alone, abreast = ([model.stream(f"s{i}") for i in range(3)] for _ in range(2))
    together, x = Abreast(abreast), [noise(100, i) for i in range(3)]
    for stream, mine in zip([*alone, *abreast], [*x, *x], strict=True):
        stream.push(mine[:50])
    assert None not in push(together, [2, 0], [x[2][50:], x[0][50:]])
    for i in range(3):
        together.settle(i)
    for i in (0, 2):
        alone[i].push(x[i][50:])
    assert [one.snapshot() for one in abreast] == [one.snapshot() for one in alone]


def test_a_stream_that_is_cold_or_was_stepped_is_left_to_itself(model):
    streams = [model.stream(), model.stream()]
    assert push(Abreast(streams), [0, 1], [noise(4), noise(4)]) == [None, None]
    streams[0].step(noise(1)[0])
    assert push(Abreast(streams), [0], [noise(4)]) == [None]


def test_streams_that_decide_otherwise_are_refused(model):
    other = model.stream(detector={"k1": DetectorParams(40.0, 0.9, 0.3, 20.0, 60.0)})
    with pytest.raises(UsageError, match="push them alone"):
        Abreast([model.stream(), other])
