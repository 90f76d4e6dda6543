"""The zip of bundles, read and written: `zipfile` and `numpy.savez` are the oracles."""

import io
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_rnn.errors import BundleError
from edge_rnn.stored_zip import pack_zip, unpack_zip

MEMBERS = st.dictionaries(st.text("abc.é", min_size=1, max_size=6), st.binary(max_size=40), max_size=4)


def made(*names, compress=zipfile.ZIP_STORED, comment=b"", streamed=False):
    class NoSeek(io.BytesIO):
        def seekable(self):
            return False

    stream = NoSeek() if streamed else io.BytesIO()
    with zipfile.ZipFile(stream, "w", compress) as archive:
        archive.comment = comment
        for name in names:
            archive.writestr(name, b"x" * 100)
    return stream.getvalue()


def as_zipfile_reads(blob):
    with zipfile.ZipFile(io.BytesIO(blob)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@given(MEMBERS)
def test_what_was_packed_comes_back_here_and_in_zipfile(members):
    blob = pack_zip(members)
    assert unpack_zip(blob, "test") == as_zipfile_reads(blob) == members
    assert list(unpack_zip(blob, "test")) == list(members)


def test_stored_zips_of_other_writers_are_read():
    stream = io.BytesIO()
    np.savez(stream, a=np.arange(3), b=np.ones(2))  # zip64 in front of each member, as it may be large
    for blob in (stream.getvalue(), made("a", "b", comment=b"hello"), made("a", "b", streamed=True)):
        assert unpack_zip(blob, "test") == as_zipfile_reads(blob) != {}


def test_compressed_doubled_and_path_like_members_are_refused():
    for blob in (made("a", compress=zipfile.ZIP_DEFLATED), made("../a"), made("/etc/a"), made("a\\b")):
        with pytest.raises(BundleError):
            unpack_zip(blob, "test")
    with pytest.warns(UserWarning, match="Duplicate"):
        doubled = made("a", "a")
    with pytest.raises(BundleError, match="doubled"):
        unpack_zip(doubled, "test")


def test_encrypted_and_overlapping_members_and_too_many_of_them_are_refused():
    blob = bytearray(made("a", "b"))
    entry = blob.rfind(b"PK\1\2")
    blob[entry + 8] |= 1
    with pytest.raises(BundleError, match="encrypted"):
        unpack_zip(bytes(blob), "test")
    blob = bytearray(made("a", "b"))
    blob[blob.rfind(b"PK\1\2") + 42 : blob.rfind(b"PK\1\2") + 46] = bytes(4)  # b lies where a does
    with pytest.raises(BundleError):
        unpack_zip(bytes(blob), "test")
    with pytest.raises(BundleError, match="at most"):
        unpack_zip(pack_zip({str(n): b"" for n in range(1025)}), "test")


def test_a_cut_zip_is_told_from_a_file_of_another_kind():
    with pytest.raises(BundleError, match="cut off or damaged"):
        unpack_zip(made("a")[:-1], "test")
    with pytest.raises(BundleError, match="empty, expected a zip"):
        unpack_zip(b"", "test")


@settings(max_examples=500)
@given(st.data())
def test_damaged_bytes_are_refused_or_read_as_zipfile_reads_them(data):
    blob = bytearray(pack_zip({"a": b"first", "b": b"second", "manifest.json": b"{}"}))
    for _ in range(data.draw(st.integers(1, 3))):
        blob[data.draw(st.integers(0, len(blob) - 1))] = data.draw(st.integers(0, 255))
    cut, more = data.draw(st.integers(0, len(blob))), data.draw(st.binary(max_size=30))
    for damaged in (bytes(blob), bytes(blob[:cut]), bytes(blob) + more):
        try:
            came = unpack_zip(damaged, "test")
        except BundleError:
            continue
        assert came == as_zipfile_reads(damaged)
