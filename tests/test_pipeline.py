"""The pipeline: a source into a stream into sinks, by a clock that the test owns."""

import json

import numpy as np
import pytest

from edge_rnn.endpoints.lines import Chunk
from edge_rnn.errors import SourceError
from edge_rnn.pipeline import run


class Memory:
    """A sink that keeps its lines."""

    def __init__(self):
        self.lines = []

    def write(self, lines):
        self.lines += [json.loads(line) for line in lines]

    def close(self):
        pass


class Clock:
    """Time passes by sleeping, and by `tick_ns` at each look."""

    def __init__(self, tick_ns=0):
        self.now_ns, self.tick_ns, self.slept = 0, tick_ns, []

    def __call__(self):
        self.now_ns += self.tick_ns
        return self.now_ns

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now_ns += round(seconds * 1e9)


def play(model, chunks, **options):
    sink = Memory()
    return run(chunks, model.stream(), [sink], **options), sink.lines


def pieces(x, size):
    return [Chunk(x[i : i + size]) for i in range(0, len(x), size)]


def test_lines_do_not_depend_on_the_chunks(model, noise):
    x = noise.copy()
    x[60:90, 0] = np.nan
    whole = play(model, pieces(x, 400), scores_every=3)[1]
    for size in (1, 7, 100):
        assert play(model, pieces(x, size), scores_every=3)[1] == whole
    assert {line["type"] for line in whole} == {"start", "event", "gap", "fault", "score"}


def test_lines_are_in_order_of_time(model, noise):
    times = [line.get("t1", line.get("t")) for line in play(model, pieces(noise, 400), scores_every=1)[1]]
    assert times == sorted(times)


def test_the_report_counts_what_was_told(model, noise):
    report, lines = play(model, pieces(noise, 50), scores_every=1)
    told = [line["type"] for line in lines]
    assert report.events == {kind: told.count(kind) for kind in set(told) - {"score"}}
    assert report.samples["received"] == report.samples["used"] == 400
    assert report.latency.count == 400


def test_a_new_recording_begins_from_the_zero_state_and_ends_what_is_active(model, noise):
    chunks = [Chunk(noise[:200], restart=True), Chunk(noise[:200], restart=True)]
    lines = play(model, chunks, scores_every=1)[1]
    scores = [line["scores"] for line in lines if line["type"] == "score"]
    assert scores[:200] == scores[200:]
    assert "reset" in {line.get("reason") for line in lines}
    ids = [line["id"] for line in lines if line["type"] == "start"]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("pace", [1.0, 4.0])
def test_paced_samples_come_when_they_are_due(model, noise, pace):
    clock = Clock()
    report, _ = play(model, pieces(noise[:50], 10), pace=pace, clock_ns=clock, sleep=clock.sleep)
    assert sum(clock.slept) == pytest.approx(49 / 50 / pace)
    assert report.latency.count == 50
    assert report.samples_a_push == 1
    assert play(model, pieces(noise[:50], 10))[0].samples_a_push == 10


def test_a_late_sample_is_not_waited_for_and_the_schedule_holds(model, noise):
    clock = Clock(tick_ns=1_000_000)
    play(model, pieces(noise[:100], 100), pace=1.0, clock_ns=clock, sleep=clock.sleep)
    assert clock.now_ns == pytest.approx(99 * 20e6, abs=10e6)


def test_a_slow_clock_gives_the_same_lines_as_a_fast_one(model, noise):
    """R14: no line depends on what time it is."""
    one, two = Clock(), Clock(tick_ns=3_600 * 10**9)
    whole = play(model, pieces(noise, 20), clock_ns=one, sleep=one.sleep)[1]
    assert play(model, pieces(noise, 20), clock_ns=two, sleep=two.sleep)[1] == whole
    assert play(model, pieces(noise, 20), pace=2.0, clock_ns=one, sleep=one.sleep)[1] == whole


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), SourceError("unplugged")])
def test_a_source_that_stops_short_ends_the_run_cleanly(model, noise, stop):
    def source():
        yield Chunk(noise[:200])
        raise stop

    report, lines = play(model, source())
    assert report.samples["received"] == 200
    started = [line["id"] for line in lines if line["type"] == "start"]
    assert sorted(started) == sorted(line["id"] for line in lines if line["type"] == "event")
    assert report.interrupted == isinstance(stop, KeyboardInterrupt)
    assert report.lost is (stop if isinstance(stop, SourceError) else None)


def test_nothing_at_all_is_a_report_of_zeros(model):
    report, lines = play(model, [])
    assert lines == []
    assert report.to_json()["samples"]["expected"] == 0
