"""Sources by URL."""

import io
import os
import threading

import numpy as np
import pytest

from edge_rnn.endpoints.sources import LineSource, open_source
from edge_rnn.errors import SourceError, UsageError

ABC = ("a", "b", "c")


def rows(url, channels=ABC, **options):
    return [row for chunk in open_source(str(url), channels, **options) for row in chunk.samples.tolist()]


def recordings(path, **changes):
    arrays = {
        "x": np.arange(12, dtype=np.int16).reshape(4, 3), "rec_start": np.array([0, 1, 4]),
        "channels": np.array(["c", "a", "b"]), "scale": np.array([1.0, 0.5, 2.0]),
    }  # fmt: skip
    np.savez(path, **{k: v for k, v in {**arrays, **changes}.items() if v is not None})
    return path


def test_a_file_by_path_and_by_url(tmp_path):
    path = tmp_path / "a b.csv"
    path.write_text("1,2,3\n4,5,6")
    assert rows(path) == rows(path.as_uri()) == [[1, 2, 3], [4, 5, 6]]


def test_recordings_are_scaled_mapped_by_name_and_begin_anew(tmp_path):
    chunks = list(open_source(str(recordings(tmp_path / "r.npz")), ABC))
    assert chunks[0].samples.tolist() == [[0.5, 4.0, 0.0]]
    assert [(len(c.samples), c.restart, c.name) for c in chunks] == [(1, True, "r/0"), (3, True, "r/1")]


@pytest.mark.parametrize(
    "changes",
    [
        {"x": None}, {"channels": np.array(["a", "b", "z"])}, {"x": np.zeros(5)}, {"rec_start": np.array([0, 9])},
        {"rec_start": np.array([0, 3, 1, 4])}, {"rec_start": np.array([0.0, 4.0])}, {"scale": np.ones(2)},
        {"x": np.array([["a", "b", "c"]])}, {"rec_start": np.array([-2, 4])},
    ],
)  # fmt: skip
def test_recordings_of_another_form_are_refused(tmp_path, changes):
    with pytest.raises(SourceError):
        rows(recordings(tmp_path / "r.npz", **changes))


@pytest.mark.parametrize("cut", [0, 1, 10, 200, -30, -1])
def test_a_cut_recording_is_refused(tmp_path, cut):
    path = recordings(tmp_path / "r.npz")
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(SourceError):
        rows(path)


def test_a_pickle_is_never_opened(tmp_path):
    path = tmp_path / "r.npz"
    np.savez(path, x=np.array([[object()] * 3], dtype=object), channels=np.array(ABC))
    with pytest.raises(SourceError):
        rows(path)


def test_a_file_that_is_not_there_is_lost_and_an_unknown_kind_is_usage(tmp_path):
    with pytest.raises(SourceError, match="nothing"):
        rows(tmp_path / "nothing.csv")
    with pytest.raises(SourceError):
        rows(tmp_path)
    with pytest.raises(UsageError, match="gopher"):
        rows("gopher://host")


def test_what_has_come_is_given_before_the_pipe_closes():
    read, write = os.pipe()
    source = iter(LineSource(io.FileIO(read), ABC, strict=False))
    os.write(write, b"1,2,3\n4,5")
    assert next(source).samples.tolist() == [[1, 2, 3]]
    os.write(write, b",6\n")
    assert next(source).samples.tolist() == [[4, 5, 6]]
    threading.Timer(0.05, os.close, [write]).start()
    assert next(source, None) is None


def test_strict_reaches_the_lines(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("1,2,3\nx\n")
    with pytest.raises(SourceError, match="line 2"):
        rows(path, strict=True)
    source = open_source(str(path), ABC)
    list(source)
    assert (source.malformed, len(source.reports)) == (1, 1)
