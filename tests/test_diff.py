"""Differences between the decisions of two models."""

from edge_rnn.diff import compare
from edge_rnn.events import Ended, Started


def event(label, t0, t1):
    return Ended(label, round(t0 * 1e9), round(t1 * 1e9), 0.9, 0.0, f"{label}{t0}", "m@1")


def kinds(first, second):
    return [(c.kind, c.label, (c.first or c.second).t0_ns / 1e9) for c in compare(first, second)]


def test_the_same_decisions_are_no_change():
    events = [Started("a", 0, 1, "x"), event("a", 1, 2), event("b", 3, 4)]
    assert compare(events, list(events)) == []


def test_lost_new_and_moved_decisions_are_told_in_order_of_time():
    first = [event("a", 1, 2), event("a", 5, 6), event("b", 7, 8)]
    second = [event("b", 0, 0.5), event("a", 5.2, 6), event("b", 7, 8)]
    assert kinds(first, second) == [("new", "b", 0), ("lost", "a", 1), ("moved", "a", 5)]


def test_an_overlap_makes_two_events_one_decision_and_labels_are_apart():
    assert kinds([event("a", 1, 9)], [event("a", 8, 12)]) == [("moved", "a", 1)]
    assert kinds([event("a", 1, 2)], [event("b", 1, 2)]) == [("lost", "a", 1), ("new", "b", 1)]


def test_one_event_is_not_paired_twice():
    assert kinds([event("a", 1, 9)], [event("a", 1, 4), event("a", 5, 9)]) == [("moved", "a", 1), ("new", "a", 5)]


def test_a_change_as_json():
    assert compare([event("a", 1, 2)], [])[0].to_json() == {
        "type": "diff", "change": "lost", "label": "a", "a": {"t0": 1.0, "t1": 2.0}, "b": None,
    }  # fmt: skip
