"""Rounds of the step thread: who has something to do is told by its ring, and nobody is forgotten."""

import time

import numpy as np
import pytest
from daemon_rig import noise, write_model

from edge_rnn.daemon.intake import Sheaf
from edge_rnn.daemon.lane import Lane
from edge_rnn.daemon.march import March
from edge_rnn.daemon.records import Place
from edge_rnn.daemon.ring import Ring
from edge_rnn.model import load
from edge_rnn.recording import Chunk


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return load(write_model(tmp_path_factory.mktemp("model") / "rig.ernn"))


def lanes_of(march, model, count, live=True):
    def lane(name):
        place, ring = Place(1, model.manifest.model_digest), Ring(10_000, live, 0, march.news)
        return Lane(name, model, place, "i", ring, time.time_ns)

    return [lane(f"p{n}") for n in range(count)]


def give(lane, rows, seed=7):
    lane.ring.put(Chunk(noise(rows, seed).astype(np.float32)))


def received(lanes):
    for lane in lanes:
        lane.settle()
    return [lane.stream.counters.received for lane in lanes]


def test_what_came_for_a_lane_that_is_left_out_is_stepped_when_it_is_not(model):
    march = March(time.perf_counter_ns)
    lanes = lanes_of(march, model, 3, live=False)
    march.step(lanes)
    for lane in lanes:
        give(lane, 50)
    march.step(lanes[:1])  # the others wait: the disk takes nothing
    march.step(lanes[:1])
    assert received(lanes) == [50, 0, 0]
    march.step(list(lanes))
    assert received(lanes) == [50, 50, 50]
    for lane in lanes[1:]:
        lane.ring.end()
    march.step(lanes[:1])
    march.step(lanes)
    assert [lane.finished for lane in lanes] == [False, True, True]


def test_a_lane_that_fails_leaves_the_others_theirs(model, monkeypatch):
    march = March(time.perf_counter_ns)
    lanes = lanes_of(march, model, 3)
    for turn in range(4):
        for lane in lanes:
            give(lane, 40, turn)
        if turn == 2:
            monkeypatch.setattr(
                lanes[1].stream.timeline, "plan", None
            )  # on its own way, as all are in their first turn
            lanes[1].reset_wanted = True
        march.step(lanes)
    assert [lane.failed is None for lane in lanes] == [True, False, True]
    assert received([lanes[0], lanes[2]]) == [160, 160]


def test_a_sheaf_that_breaks_the_rank_marks_its_lanes_and_the_next_round_goes_on(model, monkeypatch):
    march = March(time.perf_counter_ns)
    lanes = lanes_of(march, model, 3)
    for turn in range(3):
        for lane in lanes:
            give(lane, 40, turn)
        march.step(lanes)
    assert received(lanes) == [120, 120, 120]
    x, seq = noise(10, 9).astype(np.float32), np.tile(np.arange(120, 125), 2)
    sheaf = Sheaf([lanes[0].ring, lanes[1].ring], np.array([5, 5]), x, seq, time.monotonic_ns())
    with monkeypatch.context() as patch:
        patch.setattr(type(model.engine), "runs", None)
        march.step(lanes, [sheaf])
    assert [lane.failed is None for lane in lanes] == [False, False, True]
    give(lanes[2], 40)
    march.step(lanes)
    assert received(lanes[2:]) == [160]


def test_a_reset_and_a_score_are_done_without_a_sample(model):
    march = March(time.perf_counter_ns)
    lanes = lanes_of(march, model, 2)
    for lane in lanes:
        give(lane, 60)
    march.step(lanes)
    lanes[0].wants_score = lanes[1].reset_wanted = True
    for lane in lanes:
        lane.ring.tell()
    march.step(lanes)
    assert '"type":"score"' in lanes[0].score
    assert lanes[1].stream._epoch == lanes[0].stream._epoch + 1
    lanes[0].score = None
    lanes[0].ring.tell()
    march.step(lanes)
    assert lanes[0].score is None, "no sample came since the last"
    give(lanes[0], 1)
    march.step(lanes)
    assert lanes[0].score is not None
