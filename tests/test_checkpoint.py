"""The file between training and export: whole or refused, and opening one never runs code."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from edge_rnn.export.checkpoint import Checkpoint

from edge_rnn.errors import DataError

MODELS = sorted((Path(__file__).parent / "models").glob("*.pt"))


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_committed_models_load_and_are_whole(path):
    checkpoint = Checkpoint.load(path)
    assert path.stat().st_size < 300_000
    assert checkpoint.golden_x.shape == (256, 6)
    assert checkpoint.calibration_x.shape == (4096, 6)
    assert checkpoint.calibration_start[0] == 0
    assert sorted(checkpoint.calibration_start) == checkpoint.calibration_start
    y = checkpoint.build()(torch.from_numpy(checkpoint.golden_x)[None])[0]
    assert torch.isfinite(y).all()
    assert y.shape == (1, 256, len(checkpoint.labels))


@pytest.fixture
def checkpoint():
    return Checkpoint.load(MODELS[0])


def test_save_and_load_give_the_same(checkpoint, tmp_path):
    path = tmp_path / "deep" / "checkpoint.pt"
    checkpoint.save(path)
    again = Checkpoint.load(path)
    np.testing.assert_array_equal(again.golden_x, checkpoint.golden_x)
    for name, tensor in checkpoint.state_dict.items():
        torch.testing.assert_close(again.state_dict[name], tensor, atol=0, rtol=0)
    assert again.training == checkpoint.training
    assert [p.name for p in path.parent.iterdir()] == ["checkpoint.pt"]


def test_a_failed_save_leaves_the_old_file(checkpoint, tmp_path, monkeypatch):
    path = tmp_path / "checkpoint.pt"
    checkpoint.save(path)
    before = path.read_bytes()

    def fail(value, file):
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        checkpoint.save(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_a_file_cut_anywhere_is_told(checkpoint, tmp_path):
    path = tmp_path / "checkpoint.pt"
    checkpoint.save(path)
    blob = path.read_bytes()
    for length in range(0, len(blob), len(blob) // 23):
        path.write_bytes(blob[:length])
        with pytest.raises(DataError, match="not a readable checkpoint"):
            Checkpoint.load(path)


def test_code_in_a_pickle_is_not_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    torch.save({"format": 1, "network": Bomb()}, tmp_path / "a.pt")
    (tmp_path / "b.pt").write_bytes(pickle.dumps(Bomb()))
    for name in ("a.pt", "b.pt"):
        with pytest.raises(DataError, match="not a readable checkpoint"):
            Checkpoint.load(tmp_path / name)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": 2}, "format 2, this edge-rnn reads up to 1"),
        ({"format": None}, "no format number"),
        ({"labels": None}, "without labels"),
        ({"labels": ["a", "b"]}, "2 labels, its network disagrees"),
        ({"state_dict": {}}, "cannot be rebuilt"),
        ({"network": {"inputs": 3}}, "cannot be rebuilt"),
        ({"golden_x": 3}, "cannot be rebuilt"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_told(change, words, tmp_path):
    plain = torch.load(MODELS[0], weights_only=True)
    for key, value in change.items():
        if value is None:
            del plain[key]
        else:
            plain[key] = value
    torch.save(plain, tmp_path / "c.pt")
    with pytest.raises(DataError, match=words):
        Checkpoint.load(tmp_path / "c.pt")


def test_a_bare_state_dict_is_no_checkpoint(tmp_path):
    torch.save(Checkpoint.load(MODELS[0]).state_dict, tmp_path / "s.pt")
    with pytest.raises(DataError, match="not an edge-rnn checkpoint"):
        Checkpoint.load(tmp_path / "s.pt")
    with pytest.raises(DataError, match="not there"):
        Checkpoint.load(tmp_path / "none.pt")


def test_a_change_makes_another_checkpoint(checkpoint):
    assert replace(checkpoint, background="LAYING").background == "LAYING"
