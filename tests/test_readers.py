"""The two forms of recordings on disk, and files that are damaged, ragged or hostile."""

import json

import numpy as np
import pytest
from edge_rnn.export.datasets import UNKNOWN
from edge_rnn.export.readers import read_recordings

from edge_rnn.errors import DataError
from edge_rnn.manifest import GapPolicy


def arrays():
    return {
        "x": np.arange(24, dtype=np.int16).reshape(12, 2),
        "scale": np.array([0.5, 2.0]),
        "label": np.array([0, 1, 1, 2, 2, 2, 0, 0, 1, 1, 1, 2], dtype=np.uint8),
        "rec_start": np.array([0, 6, 12]),
        "rec_subject": np.array([3, 11], dtype=np.int16),
        "fs": np.float32(50),
        "channels": np.array(["ax", "ay"]),
        "classes": np.array(["UNLABELLED", "walk", "rest"]),
    }


@pytest.fixture
def npz(tmp_path):
    def write(**changes):
        made = {**arrays(), **changes}
        path = tmp_path / "data.npz"
        np.savez(path, **{name: value for name, value in made.items() if value is not None})
        return path

    return write


def test_npz_gives_recordings_and_its_unlabelled_class_is_unknown(npz):
    data = read_recordings(npz(some_more=np.zeros(3)))
    assert data.classes == ("walk", "rest")
    assert data.label.tolist() == [UNKNOWN, 0, 0, 1, 1, 1, UNKNOWN, UNKNOWN, 0, 0, 0, 1]
    assert data.rec_subject == ("3", "11")
    assert data.rec_id == ("0", "1")
    assert data.units == ("", "")
    np.testing.assert_allclose(data.values(0)[2], [2.0, 10.0])


def test_ignored_class_ids_are_unknown(npz):
    classes = np.array(["walk", "noise", "rest"])
    data = read_recordings(npz(classes=classes, ignore=np.array([1])))
    assert data.classes == ("walk", "rest")
    assert data.label[:6].tolist() == [0, UNKNOWN, UNKNOWN, 1, 1, 1]


def test_a_label_a_recording_covers_all_its_samples(npz):
    data = read_recordings(npz(label=None, rec_label=np.array([2, 1])))
    assert data.label.tolist() == [1] * 6 + [0] * 6


def test_subjects_may_be_names_or_absent_and_scale_is_one_by_default(npz):
    assert read_recordings(npz(rec_subject=np.array(["ann", "bo"]))).subjects == ("ann", "bo")
    data = read_recordings(npz(rec_subject=None, scale=None))
    assert data.rec_subject is None
    assert data.scale.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"fs": None}, "lacks fs"),
        ({"label": None}, "either label"),
        ({"rec_label": np.array([1, 2])}, "either label"),
        ({"label": np.full(12, 3)}, r"labels \[3\], which name none of its 3 classes"),
        ({"label": np.zeros(12)}, "row of integers"),
        ({"label": np.zeros(11, int)}, "label has 11 entries, expected 12"),
        ({"label": None, "rec_label": np.array([1])}, "rec_label has 1 entries"),
        ({"x": np.zeros(24)}, r"\(samples, channels\)"),
        ({"x": np.float64([[0, np.inf]] * 12)}, "inf at sample 0, channel 'ay'"),
        ({"scale": np.ones(4)}, "expected one number or 2"),
        ({"channels": np.array([1.5, 2.5])}, "row of names"),
        ({"ignore": np.array([9])}, "ignore is"),
        ({"fs": np.array([50.0, 60.0])}, "one number"),
        ({"rec_start": np.array([0, 6, 13])}, "rise from 0 to 12"),
    ],
)
def test_an_npz_that_does_not_fit_is_told(npz, changes, words):
    with pytest.raises(DataError, match=words):
        read_recordings(npz(**changes))


def test_pickled_objects_are_never_loaded(npz, tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    path = npz(rec_id=np.array([Bomb(), Bomb()], dtype=object))
    with pytest.raises(DataError, match="pickled objects"):
        read_recordings(path)
    assert not (tmp_path / "ran").exists()


def test_a_file_cut_anywhere_is_a_data_error(npz):
    path = npz()
    blob = path.read_bytes()
    for length in range(0, len(blob), 97):
        path.write_bytes(blob[:length])
        with pytest.raises(DataError):
            read_recordings(path)


def test_a_bare_array_and_a_missing_file_are_told(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros(3))
    with pytest.raises(DataError, match="one bare array"):
        read_recordings(tmp_path / "x.npy")
    with pytest.raises(DataError, match="not there"):
        read_recordings(tmp_path / "y.npz")


LABELS = "recording,start,stop,label,subject\nwalk1,0,3,walk,ann\nwalk1,4,6,rest,ann\nwalk2,1,5,rest,bo\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "walk1.csv").write_text("t_us,seq,ax,ay\n" + "".join(f"{t * 20000},{t},{t},{-t}\n" for t in range(6)))
    (tmp_path / "walk2.csv").write_text("ax,ay\n" + "".join(f"{t},{t / 2}\n" for t in range(5)))
    (tmp_path / "labels.csv").write_text(LABELS)
    (tmp_path / "meta.json").write_text(json.dumps({"fs": 50, "units": ["g", "g"], "scale": [0.5, 1.0]}))
    return tmp_path


def test_folder_gives_recordings_and_uncovered_samples_are_unknown(folder):
    data = read_recordings(folder)
    assert data.channels == ("ax", "ay")
    assert data.classes == ("rest", "walk")
    assert data.rec_id == ("walk1", "walk2")
    assert data.rec_subject == ("ann", "bo")
    assert data.label.tolist() == [1, 1, 1, UNKNOWN, 0, 0, UNKNOWN, 0, 0, 0, 0]
    np.testing.assert_allclose(data.values(0)[4], [2.0, -4.0])


def test_classes_in_meta_give_the_order(folder):
    (folder / "meta.json").write_text(json.dumps({"fs": 50, "classes": ["walk", "UNLABELLED", "rest"]}))
    assert read_recordings(folder).classes == ("walk", "rest")


def test_holes_and_missing_values_are_held_as_on_a_device_and_told(folder):
    (folder / "walk1.csv").write_text("seq,ax,ay\n" + "".join(f"{t * 2},{t},{t}\n" for t in range(6)))
    (folder / "walk2.csv").write_text("ax,ay\n1,2\n3,\nnan,5\n4,6\n5,7\n")
    with pytest.warns(UserWarning, match="held") as told:
        data = read_recordings(folder)
    said = [str(one.message) for one in told]
    assert "'walk1': samples missing: 5 held" in said[0]
    assert "'walk2': samples missing: 2 held, 2 of them bad" in said[1]
    assert data.values(0)[:, 1].tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5]
    assert data.values(1)[:, 1].tolist() == [2, 2, 2, 6, 7]
    assert data.held.sum() == 7
    walk = data.classes.index("walk")
    assert data.label[:6].tolist() == [walk] * 5 + [UNKNOWN]  # between a label and none nobody knows


def test_an_npz_with_sequence_numbers_is_cut_at_a_long_hole(npz):
    """Six samples each: the hole of 500 after the third makes the pieces too short to warm up in, or two pieces."""
    seq = np.array([0, 1, 2, 503, 504, 505, *range(6)])
    policy = GapPolicy(1, 3)
    with pytest.warns(UserWarning, match="cut into 2 pieces"):
        data = read_recordings(npz(seq=seq), policy)
    assert data.rec_id == ("0", "0+1", "1")
    assert np.diff(data.rec_start).tolist() == [3, 3, 6]
    with pytest.raises(DataError, match="no stretch"):
        read_recordings(npz(seq=seq), GapPolicy(1, 4))
    with pytest.raises(DataError, match="seq has 3 entries"):
        read_recordings(npz(seq=np.arange(3)))


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("walk2.csv", "ax,ay\n1,2\n3\n", "line 3 has 1 fields, its header 2"),
        ("walk2.csv", "ax,ay\n1,2\n3,x\n", "line 3.*expected numbers"),
        ("walk2.csv", "ax,ay\n" + "1,nan\n" * 5, "nan at sample 0, channel 'ay'"),
        ("walk2.csv", "ax,ay,seq\n" + "1,2,\n" * 5, "no seq that can be used at sample 0"),
        ("walk1.csv", "t_us,ax,ay\n" + "".join(f"{t * 9000},1,2\n" for t in range(30)), "111.1 samples a second"),
        ("walk2.csv", "ax,ay\n", "no samples"),
        ("walk2.csv", "", "header"),
        ("walk2.csv", "ax,az\n" + "1,2\n" * 5, "the recordings before it"),
        ("labels.csv", LABELS + "walk3,0,1,walk,bo\n", r"\['walk3'\] that have no file"),
        ("labels.csv", LABELS + "walk2,4,6,walk,bo\n", "which has 5 samples"),
        ("labels.csv", LABELS + "walk2,4,5,walk,bo\n", "twice"),
        ("labels.csv", LABELS + "walk2,0,1,walk,cy\n", r"subjects \['bo', 'cy'\]"),
        ("labels.csv", LABELS + "walk2,zero,1,walk,bo\n", "whole numbers"),
        ("labels.csv", LABELS.replace("bo", ""), "1 of 2 recordings"),
        ("labels.csv", "recording,start\n", "lacks label, stop"),
        ("labels.csv", LABELS.replace("subject", "person"), "no column subject but person"),
        ("meta.json", "{}", "lacks fs"),
        ("meta.json", "{", "cannot be read"),
        ("meta.json", '{"fs": 50, "classes": ["walk"]}', "unknown label 'rest'"),
        ("meta.json", '{"fs": 50, "scale": [1, 2, 3]}', "scale"),
        ("meta.json", '{"fs": "fast"}', "fs"),
    ],
)
def test_a_folder_that_does_not_fit_is_told(folder, name, text, words):
    (folder / name).write_text(text)
    with pytest.raises(DataError, match=words):
        read_recordings(folder)


def test_a_folder_without_labels_or_recordings_is_told(folder):
    (folder / "labels.csv").unlink()
    with pytest.raises(DataError, match=r"labels\.csv cannot be read"):
        read_recordings(folder)
    for path in folder.glob("walk*.csv"):
        path.unlink()
    with pytest.raises(DataError, match="no recordings"):
        read_recordings(folder)
