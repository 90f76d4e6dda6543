"""The extension's reader of plain lines against Python's: the same floats, and the same lines left to it."""

import locale
import subprocess

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_rnn.endpoints import lines
from edge_rnn.endpoints.lines import MAX_LINE_BYTES, LineDecoder
from edge_rnn.errors import SourceError

from .kernel_files import CC, KERNEL, ROOT, SANITIZE, STRICT
from .test_lines import ABC, TEXT

native = pytest.importorskip("edge_rnn._native", reason="the extension is not built: no compiler")


def plain(text, columns, longest=MAX_LINE_BYTES, limit=-1.0, room=None):
    """Rows, and what was left."""
    out = np.empty((text.count(b"\n") if room is None else room, columns))
    at, rows = native.csv(text, 0, np.full(columns, limit), longest, out, 0)
    return out[:rows], text[at:]


NUMBERS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.floats(width=32, allow_nan=False, allow_infinity=False).map("{:.6g}".format),
    st.integers(-(10**40), 10**40).map(str),
    st.tuples(st.integers(0, 10**25), st.integers(0, 10**12), st.integers(-400, 400)).map(
        "{0[0]}.{0[1]}e{0[2]}".format
    ),
    st.sampled_from(["0", "-0", "+.5", "5.", "1e22", "1e23", "9007199254740993", "1E+2", "00012", "4.9e-324", "1e999"]),
)


@settings(max_examples=400)
@given(st.lists(NUMBERS, min_size=1, max_size=6))
def test_every_number_is_the_float_that_python_gives(cells):
    rows, left = plain(",".join(cells).encode() + b"\n", len(cells))
    assert left == b""
    assert rows[0].tobytes() == np.array([float(cell) for cell in cells]).tobytes()


def outcome(data, cut):
    decoder = LineDecoder(ABC)
    try:
        chunks = [decoder.feed(data[:cut]), decoder.feed(data[cut:]), decoder.close()]
    except SourceError as error:
        return str(error)
    rows = [(c.samples.tolist(), c.t_ns, c.seq) for c in chunks if c is not None]
    return repr((rows, decoder.malformed, decoder.reports, decoder._line))


@settings(max_examples=300)
@given(TEXT, st.integers(0, 100))
def test_with_and_without_the_extension_any_bytes_give_the_same(data, cut):
    with_it = outcome(data, cut)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "_plain_csv", lambda: None)
        assert outcome(data, cut) == with_it


@pytest.mark.parametrize("text", [b"1,2,3\r\n4,\t5 , 6\n,nan,\n", b"1e5,-2.25,0.1\n"])
def test_lines_as_devices_write_them_are_plain(text):
    """Or the throughput of a file would fall tenfold without anybody noticing."""
    assert plain(text, 3)[1] == b""


@pytest.mark.parametrize("cell", [b"x", b"inf", b"-nan", b"NaN", b"1e", b"1_0", b"0x1", b"1 2", b"+", b".", b"-.e1"])
def test_what_is_doubtful_is_left_to_python(cell):
    assert plain(b"1,2\n3," + cell + b"\n5,6\n", 2)[1].startswith(b"3,")


def test_short_long_and_unfinished_lines_are_left():
    for text in (b"1\n", b"1,2,3\n", b"\n", b"1,2", b"1," + b"0" * 50 + b"\n", b"1,2\r", b""):
        assert plain(text, 2, longest=20, room=4) == (pytest.approx(np.empty((0, 2))), text)


def test_a_value_over_its_columns_limit_is_left_and_rows_never_run_over():
    assert plain(b"1,2\n10,2\n", 2, limit=5.0)[1] == b"10,2\n"
    assert plain(b"nan,2\n", 2, limit=5.0)[1] == b"nan,2\n"
    rows, left = plain(b"1,2\n3,4\n5,6\n", 2, room=2)
    assert (rows.tolist(), left) == ([[1, 2], [3, 4]], b"5,6\n")


@pytest.mark.parametrize("bad", [(-1, 0), (99, 0), (0, 9), (0, -1)])
def test_places_outside_are_refused(bad):
    at, row = bad
    with pytest.raises(ValueError, match="places inside"):
        native.csv(b"1,2\n", at, np.full(2, -1.0), 99, np.empty((1, 2)), row)


def test_a_locale_with_a_decimal_comma_changes_nothing():
    before = locale.setlocale(locale.LC_NUMERIC)
    found = next((name for name in ("de_DE.UTF-8", "fr_FR.UTF-8", "de_DE") if _has(name)), None)
    if found is None:
        pytest.skip("no locale with a decimal comma is installed")
    try:
        assert plain(b"1.5,0.12345678901234567890123\n", 2)[0].tolist() == [[1.5, 0.12345678901234567890123]]
    finally:
        locale.setlocale(locale.LC_NUMERIC, before)


def _has(name):
    try:
        locale.setlocale(locale.LC_NUMERIC, name)
    except locale.Error:
        return False
    return True


@pytest.mark.skipif(CC is None, reason="no gcc: the reader is not fuzzed")
def test_no_bytes_make_the_reader_read_outside_its_text(tmp_path):
    """200,000 mangled texts in buffers of their own size, under ASan and UBSan; glibc's strtod is the oracle."""
    program = tmp_path / "csv"
    sources = [str(ROOT / "tests" / "c" / "csv_fuzz.c"), str(KERNEL / "csv.c")]
    subprocess.run(
        [CC, "-std=gnu11", "-O1", *STRICT, *SANITIZE, "-I", str(KERNEL), *sources, "-lm", "-o", program], check=True
    )
    done = subprocess.run([program, "200000", "1"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[0]) > 100_000, "too few numbers were read to say anything"
