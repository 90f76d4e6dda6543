"""Real public data: the watch file in the seglearn wheel, the official HAPT download, and the hapt split on disk."""

import os
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
from edge_rnn.export import adapters
from edge_rnn.export.datasets import UNKNOWN
from edge_rnn.export.recipes import open_dataset

from edge_rnn.errors import DataError, MissingExtra, UsageError

DATA = Path(os.environ.get("EDGE_RNN_DATA", Path(__file__).parents[2] / "shared" / "data"))
hapt_here = pytest.mark.skipif(not (DATA / "hapt").is_dir(), reason=f"the hapt recordings are not at {DATA}/hapt")


@pytest.fixture
def real_data(monkeypatch):
    monkeypatch.setenv("EDGE_RNN_DATA", str(DATA))


def test_watch_recordings_are_ten_people_seven_exercises():
    data = adapters.read_watch()
    assert len(data) == 140
    assert data.subjects == tuple(str(s) for s in range(1, 11))
    assert data.classes == ("PEN", "ABD", "FEL", "IR", "ER", "TRAP", "ROW")
    assert len(data.x) / data.rate_hz / 3600 == pytest.approx(1.36, abs=0.005)
    assert "seglearn" not in sys.modules


@pytest.mark.skipif(not (DATA / "watch_spar").is_dir(), reason=f"no second copy of the watch data at {DATA}/watch_spar")
def test_watch_recordings_agree_with_an_independent_copy():
    other = np.load(DATA / "watch_spar" / "test.npz")
    dataset = open_dataset("watch")
    assert dataset.test is not None
    assert dataset.test.subjects == ("3", "6", "9")
    assert [int(s) for s in dataset.test.rec_subject] == other["rec_subject"].tolist()
    np.testing.assert_array_equal(dataset.test.rec_start, other["rec_start"])
    np.testing.assert_array_equal(dataset.test.label[dataset.test.rec_start[:-1]], other["rec_label"])
    np.testing.assert_allclose(dataset.test.values(), other["x"] * other["scale"], atol=5e-4)


def test_a_changed_watch_file_is_not_unpickled(tmp_path, monkeypatch):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    (tmp_path / "seglearn" / "data").mkdir(parents=True)
    (tmp_path / "seglearn" / "__init__.py").write_text("raise RuntimeError('imported')")
    (tmp_path / "seglearn" / "data" / "watch_dataset.npy").write_bytes(pickle.dumps(Bomb()))
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(DataError, match="SHA-256"):
        adapters.read_watch()
    assert not (tmp_path / "ran").exists()


def test_without_the_wheel_the_pip_line_is_told(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"pip install 'edge-rnn\[train\]'"):
        adapters.read_watch()


@hapt_here
def test_hapt_windows_are_those_of_the_protocol(real_data):
    dataset = open_dataset("hapt")
    assert dataset.test is not None
    assert dataset.validation.subjects == ("5", "11", "16", "22", "28")
    assert dataset.test.subjects == ("2", "9", "13", "20")
    windows = [len(part.windows(128, 64)[0]) for part in (dataset.train, dataset.validation, dataset.test)]
    assert sum(windows[:2]) == 7415
    assert windows[2] == 1290


@hapt_here
def test_a_path_to_the_hapt_folder_is_the_same_data_set(real_data):
    assert open_dataset(DATA / "hapt").recipe == open_dataset("hapt").recipe


def test_hapt_absent_says_where_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGE_RNN_DATA", str(tmp_path))
    with pytest.raises(DataError, match=r"10\.24432/C54G7M"):
        open_dataset("hapt")


@pytest.fixture
def download(tmp_path):
    raw = tmp_path / "download" / "RawData"
    raw.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for experiment, user in ((1, 1), (2, 1), (3, 2)):
        for sensor in ("acc", "gyro"):
            np.savetxt(raw / f"{sensor}_exp{experiment:02}_user{user:02}.txt", rng.normal(size=(20, 3)))
    (raw / "labels.txt").write_text("1 1 5 1 4\n1 1 7 6 20\n2 1 4 3 3\n3 2 12 20 20\n")
    return raw


def test_official_hapt_download_has_one_based_inclusive_labels(download):
    data = adapters.read_hapt_download(download.parent)
    assert data.rec_subject == ("1", "1", "2")
    assert data.label[:20].tolist() == [4] * 4 + [UNKNOWN] + [6] * 15
    assert data.label[20:40].tolist() == [UNKNOWN] * 2 + [3] + [UNKNOWN] * 17
    assert data.label[59] == 11
    np.testing.assert_allclose(data.values(2)[:, 3:], np.loadtxt(download / "gyro_exp03_user02.txt"), rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("labels.txt", "1 1 13 1 4\n", "activity 13"),
        ("labels.txt", "1 1 2 1 21\n", r"1\.\.21"),
        ("labels.txt", "1 1 2 1\n", "4 columns, expected 5"),
        ("gyro_exp01_user01.txt", "1 2 3\n", "20 samples, its gyroscope file 1"),
        ("gyro_exp01_user01.txt", "1 2 3\n4 5\n", "cannot be read"),
        ("acc_exp01_userXX.txt", "1 2 3\n", "not of the form"),
    ],
)
def test_a_damaged_download_is_told(download, name, text, words):
    (download / name).write_text(text)
    with pytest.raises(DataError, match=words):
        adapters.read_hapt_download(download)


def test_a_name_that_is_neither_data_set_nor_path_is_told():
    with pytest.raises(UsageError, match="hapt, watch"):
        open_dataset("hatp")


@pytest.mark.parametrize(
    ("setting", "words"),
    [({"epoch": "3"}, "did you mean 'epochs'"), ({"epochs": "three"}, "epochs is 'three'"), ({"gains": "ax"}, "gains")],
)
def test_a_setting_that_does_not_fit_is_told(setting, words):
    with pytest.raises(UsageError, match=words):
        open_dataset("watch", setting)


def test_settings_are_read_by_the_type_of_the_default():
    recipe = open_dataset(
        "watch", {"validation": "1, 2", "gains": "wx:3,wy:2.5", "learning_rate": "1e-3", "class_weights": "true"}
    ).recipe
    assert recipe.validation == ("1", "2")
    assert recipe.gains == {"wx": 3.0, "wy": 2.5}
    assert recipe.learning_rate == 1e-3
    assert recipe.class_weights is True
