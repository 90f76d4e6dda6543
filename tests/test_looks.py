"""A file of the wrong kind is called what it is, by whoever reads it."""

import numpy as np
import pytest
import torch
from edge_rnn.export.checkpoint import load_plain
from edge_rnn.export.readers import read_recordings
from test_bundle import FLOAT

import edge_rnn
from edge_rnn.errors import BundleError, DataError
from edge_rnn.looks import ARRAYS, BUNDLE, RECORDING, TORCH, ZIP, kind_of, looks_like
from edge_rnn.recorder import Recorder
from edge_rnn.recording import Chunk, Header

ONE = np.ones((3, 2), np.float32)


def write_recording(path):
    recorder = Recorder(path, Header(("a", "b")))
    recorder.add(Chunk(ONE))
    recorder.close()


WRITERS = {
    "empty": lambda path: path.write_bytes(b""),
    BUNDLE: lambda path: path.write_bytes(FLOAT),
    RECORDING: write_recording,
    ARRAYS: lambda path: np.savez(path.open("wb"), x=ONE),
    "one array (.npy)": lambda path: np.save(path.open("wb"), ONE),
    TORCH: lambda path: torch.save({"w": torch.zeros(2)}, path),
    "text": lambda path: path.write_text("a,b\n" + "1.5,µ\n" * 1000),
    "of an unknown kind": lambda path: path.write_bytes(bytes(range(256))),
}


@pytest.fixture(params=WRITERS)
def wrong(request, tmp_path):
    path = tmp_path / "file"
    WRITERS[request.param](path)
    return path, request.param


def test_a_file_is_known_by_its_first_bytes(wrong):
    path, kind = wrong
    assert kind_of(path) == kind


def test_text_that_is_cut_inside_a_character_is_text():
    assert {looks_like(("µ" * 40).encode()[:n]) for n in range(2, 80)} == {"text"}
    assert looks_like(b"\xff" * 10) == "of an unknown kind"
    assert looks_like(b"PK\x03\x04") == ZIP


def test_a_file_that_is_no_bundle_is_called_what_it_is(wrong):
    path, kind = wrong
    if kind == BUNDLE:
        return
    with pytest.raises(BundleError) as error:
        edge_rnn.load(path)
    assert str(error.value).startswith(f"{path} is {kind}, expected a bundle (.ernn)")
    assert (f"edge-rnn export {path}" in str(error.value)) == (kind == TORCH)


@pytest.mark.parametrize("left", [30, 200, len(FLOAT) // 2, len(FLOAT) - 1])
def test_half_a_bundle_is_a_damaged_one_and_not_another_file(left, tmp_path):
    (tmp_path / "half.ernn").write_bytes(FLOAT[:left])
    with pytest.raises(BundleError, match=r"half\.ernn .*: copy or export it again"):
        edge_rnn.load(tmp_path / "half.ernn")


def test_a_file_that_is_no_checkpoint_is_called_what_it_is(wrong):
    path, kind = wrong
    if kind == TORCH:
        return
    with pytest.raises(DataError) as error:
        load_plain(path, "checkpoint")
    assert f"not a readable checkpoint, it is {kind}" in str(error.value)


def test_a_file_that_holds_no_recordings_to_train_on_is_called_what_it_is(wrong):
    path, kind = wrong
    if kind in (ARRAYS, "one array (.npy)"):
        return
    with pytest.raises(DataError) as error:
        read_recordings(path)
    assert f"{path} is {kind}, expected an .npz, or a folder of recordings" in str(error.value)
