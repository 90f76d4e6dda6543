"""Recordings: what may be trained on, and the sentence each bad input gets."""

import numpy as np
import pytest
from edge_rnn.export.datasets import (
    UNKNOWN,
    Recordings,
    check_disjoint,
    check_trainable,
    choose_validation,
    split_by_subject,
    statistics,
)

from edge_rnn.errors import DataError


def recordings(**changes):
    """Three recordings of 10, 8 and 6 samples by people 2, 10 and 2; classes a, b; some samples unknown."""
    rng = np.random.default_rng(0)
    label = np.array([0] * 5 + [1] * 5 + [1] * 8 + [UNKNOWN] * 2 + [0] * 4)
    fields = {
        "x": rng.integers(-100, 100, (24, 2)).astype(np.int16),
        "scale": np.array([0.5, 2.0]),
        "label": label,
        "rec_start": np.array([0, 10, 18, 24]),
        "rec_subject": ("2", "10", "2"),
        "rec_id": ("r0", "r1", "r2"),
        "rate_hz": 50.0,
        "channels": ("ax", "ay"),
        "units": ("g", "g"),
        "classes": ("a", "b"),
    }
    return Recordings(**{**fields, **changes})


def test_values_are_codes_times_scale():
    data = recordings()
    np.testing.assert_allclose(data.values(1), data.x[10:18] * np.array([0.5, 2.0]))
    assert data.values().dtype == np.float32
    assert data.subjects == ("2", "10")


def test_segments_end_at_recordings_and_at_label_changes_and_leave_unknown_out():
    assert recordings().segments().tolist() == [[0, 5, 0], [5, 10, 1], [10, 18, 1], [20, 24, 0]]


def test_windows_lie_inside_one_segment():
    starts, labels = recordings().windows(4, 2)
    assert starts.tolist() == [0, 5, 10, 12, 14, 20]
    assert labels.tolist() == [0, 1, 1, 1, 1, 0]


def test_a_recording_shorter_than_a_window_is_named():
    with pytest.raises(DataError, match=r"'r2' has 6 samples, a window is 7"):
        recordings().windows(7, 1)


def test_segments_all_shorter_than_a_window_are_told():
    with pytest.raises(DataError, match="no labelled segment"):
        recordings(label=np.tile([0, 1], 12)).windows(4, 1)


def test_split_by_subject_keeps_each_persons_recordings_together():
    rest, held = split_by_subject(recordings(), ["2"])
    assert rest.rec_id == ("r1",)
    assert held.rec_id == ("r0", "r2")
    np.testing.assert_array_equal(held.x[10:], recordings().x[18:])
    np.testing.assert_array_equal(held.rec_start, [0, 10, 16])
    check_disjoint(rest, held, "validation")


@pytest.mark.parametrize(("people", "words"), [(["7"], "not in the data"), (["2", "10"], "both sides"), ([], "both")])
def test_a_split_that_cannot_be_is_told(people, words):
    with pytest.raises(DataError, match=words):
        split_by_subject(recordings(), people)


def test_a_subject_in_both_splits_is_refused():
    data = recordings()
    with pytest.raises(DataError, match=r"subjects \['2'\] are in training and in test"):
        check_disjoint(data, data.select([0]), "test")


@pytest.mark.parametrize("change", [{"channels": ("ax", "az")}, {"rate_hz": 25.0}, {"classes": ("b", "a")}])
def test_splits_of_different_sensors_are_refused(change):
    rest, held = split_by_subject(recordings(), ["2"])
    values = {name: getattr(held, name) for name in recordings().__dataclass_fields__}
    with pytest.raises(DataError, match=next(iter(change))):
        check_disjoint(rest, Recordings(**{**values, **change}), "test")


def test_without_subjects_a_split_is_by_recording_with_a_warning():
    data = recordings(rec_subject=None)
    with pytest.warns(UserWarning, match="by recording"):
        chosen = choose_validation(data)
    rest, held = split_by_subject(data, chosen)
    assert len(rest) == 2
    assert len(held) == 1


def test_a_fifth_of_the_people_validates_and_always_the_same():
    many = recordings(
        x=np.arange(40.0).reshape(20, 2),
        label=np.arange(20) % 2,
        rec_start=np.arange(0, 22, 2),
        rec_subject=tuple(str(s) for s in range(10)),
        rec_id=tuple("abcdefghij"),
    )
    assert choose_validation(many) == choose_validation(many) == ("3", "6")


def test_one_person_cannot_be_split():
    with pytest.raises(DataError, match="one subject only"):
        choose_validation(recordings(rec_subject=("2", "2", "2")))


def test_with_classes_keeps_an_order_and_forgets_the_rest():
    data = recordings().with_classes(["b"])
    assert data.classes == ("b",)
    assert set(data.label[recordings().label == 0]) == {UNKNOWN}
    assert set(data.label[recordings().label == 1]) == {0}
    with pytest.raises(DataError, match=r"\['c'\] are not in the data"):
        recordings().with_classes(["c"])


def test_one_class_only_is_no_classifier():
    with pytest.raises(DataError, match=r"1 class \['a'\]"):
        check_trainable(recordings(label=np.zeros(24, np.int64)))


def test_a_class_that_never_occurs_is_named():
    with pytest.raises(DataError, match=r"\['c'\] never occur"):
        check_trainable(recordings(classes=("a", "b", "c")))


def test_statistics_are_of_physical_values():
    data = recordings()
    stats, x = statistics(data), data.x * data.scale
    np.testing.assert_allclose(stats["mean"], x.mean(0))
    np.testing.assert_allclose(stats["std"], x.std(0))
    np.testing.assert_allclose(stats["max_abs"], np.abs(x).max(0))


def test_a_still_channel_is_named():
    x = recordings().x.copy()
    x[:, 1] = 3
    with pytest.raises(DataError, match=r"\['ay'\] never change"):
        statistics(recordings(x=x))


def test_lsb_is_the_scale_of_codes_inside_int16_only():
    assert recordings().lsb() == [0.5, 2.0]
    assert recordings(x=recordings().x.astype(float)).lsb() == [0.5, 2.0]
    assert recordings(x=recordings().x + 0.25).lsb() is None
    assert recordings(x=recordings().x.astype(np.int32) * 1000).lsb() is None


def test_nan_is_found_by_recording_sample_and_channel():
    x = recordings().x.astype(float)
    x[12, 1] = np.nan
    with pytest.raises(DataError, match=r"'r1' has nan at sample 2, channel 'ay'"):
        recordings(x=x)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"x": np.array([[1, 2], [3]], dtype=object)}, "equally long"),
        ({"x": np.zeros(24)}, r"\(samples, channels\)"),
        ({"x": np.zeros((24, 2), complex)}, "numbers"),
        ({"scale": np.ones(3)}, "scale has 3 entries, expected 2"),
        ({"scale": np.array([1.0, 0.0])}, "positive"),
        ({"label": np.zeros(23, np.int64)}, "label has 23 entries, expected 24"),
        ({"label": np.full(24, 2)}, "label 2 is unknown"),
        ({"label": np.full(24, -2)}, "label -2 is unknown"),
        ({"rec_start": np.array([0, 10, 18, 23])}, "rise from 0 to 24"),
        ({"rec_start": np.array([0, 18, 10, 24])}, "rise from 0 to 24"),
        ({"rec_start": np.array([0, 10, 24])}, "rec_start has 3 entries, expected 4"),
        ({"rec_subject": ("2", "10")}, "rec_subject has 2"),
        ({"channels": ("ax", "ax")}, "channel names must differ"),
        ({"channels": ("ax",)}, "channels has 1"),
        ({"units": ("g",)}, "units has 1"),
        ({"classes": ("a", "a")}, "class names must differ"),
        ({"rate_hz": 0.0}, "fs is 0.0"),
        ({"rate_hz": float("nan")}, "fs is nan"),
    ],
)
def test_what_does_not_fit_together_is_told(change, words):
    with pytest.raises(DataError, match=words):
        recordings(**change)


def test_the_longest_constant_stretch_stays_inside_a_recording():
    from edge_rnn.export.datasets import longest_constant

    x = np.array([[1, 1], [1, 2], [1, 2], [1, 2], [2, 3]], np.int16)
    data = Recordings(
        x,
        np.ones(2),
        np.array([0, 1, 0, 1, 0]),
        np.array([0, 2, 5]),
        None,
        ("a", "b"),
        50.0,
        ("x", "y"),
        ("", ""),
        ("k", "l"),
    )
    assert longest_constant(data) == [2, 2]
