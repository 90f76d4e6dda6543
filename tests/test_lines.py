"""Lines to samples: formats, malformed lines, cuts and hostile bytes."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_rnn.endpoints.lines import KEPT_REPORTS, MAX_LINE_BYTES, LineDecoder
from edge_rnn.errors import SourceError

ABC = ("a", "b", "c")


def decode(data, cuts=(), channels=ABC, strict=False):
    """Rows, times, sequence numbers of all chunks, and the decoder."""
    decoder = LineDecoder(channels, strict)
    pieces = [data[i:j] for i, j in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    chunks = [c for c in [*map(decoder.feed, pieces), decoder.close()] if c is not None]
    rows = [row for chunk in chunks for row in chunk.samples.tolist()]
    times = [t for chunk in chunks for t in ([] if chunk.t_ns is None else chunk.t_ns.tolist())]
    seq = [s for chunk in chunks for s in ([] if chunk.seq is None else chunk.seq.tolist())]
    return rows, times, seq, decoder


def test_csv_without_a_header():
    assert decode(b"1,2,3\n4,5.5,-6e1\n")[0] == [[1, 2, 3], [4, 5.5, -60]]


def test_csv_with_a_header_is_mapped_by_name():
    rows, times, seq, _ = decode(b"t_us,seq,c,x,a,b\n20000,7,3,99,1,2\n40000,8,6,99,4,5\n")
    assert rows == [[1, 2, 3], [4, 5, 6]]
    assert times == [20_000_000, 40_000_000]
    assert seq == [7, 8]


def test_json_lines_with_and_without_time_and_sequence():
    rows, times, seq, _ = decode(b'{"t":12.34,"seq":617,"v":[0.1,9.7,null]}\n')
    assert np.isnan(rows[0][2])
    assert (times, seq) == ([12_340_000_000], [617])
    assert decode(b'{"v":[1,2,3],"other":"x"}\n')[:3] == ([[1, 2, 3]], [], [])


@pytest.mark.parametrize(
    "data", [b"\xef\xbb\xbfa,b,c\r\n1,2,3\r\n", b"\n \na , b , c\n1 , 2 , 3", b'"a","b","c"\n1,2,3\n']
)
def test_windows_files_blank_lines_spaces_and_quoted_names_are_read(data):
    rows, _, _, decoder = decode(data)
    assert rows == [[1, 2, 3]]
    assert decoder.malformed == 0


def test_an_empty_cell_and_nan_are_missing_values():
    rows, _, _, decoder = decode(b"1,,3\nnan,2,inf\n")
    assert np.isnan(rows[0][1])
    assert np.isnan(rows[1][0])
    assert rows[1][2] == np.inf
    assert decoder.malformed == 0


def test_a_value_beyond_float32_is_infinite():
    assert decode(b"1e300,2,3\n")[0] == [[np.inf, 2, 3]]


def test_malformed_lines_are_skipped_counted_and_told_with_their_number():
    lines = [b"a,b,c", b"1,2,3", b"1,2", b"", b"1,x,3", b"4,5,6", b"1,2,3,4"]
    rows, _, _, decoder = decode(b"\n".join(lines))
    assert rows == [[1, 2, 3], [4, 5, 6]]
    assert decoder.malformed == 3
    assert [report.split()[1] for report in decoder.reports] == ["3", "5", "7"]


def test_only_the_first_malformed_lines_are_kept():
    decoder = decode(b"1,2,3\n" + b"x\n" * 1000)[3]
    assert (decoder.malformed, len(decoder.reports)) == (1000, KEPT_REPORTS)


def test_strict_makes_a_malformed_line_an_error():
    with pytest.raises(SourceError, match="line 2"):
        decode(b"1,2,3\n1,2\n", strict=True)


def test_a_header_that_lacks_a_channel_is_an_error_that_names_it():
    with pytest.raises(SourceError, match=r"lacks b, c, it has a, x, y"):
        decode(b"a,x,y\n1,2,3\n")


def test_the_banner_of_a_board_is_no_header():
    rows, _, _, decoder = decode(b"sensor v1.2 ready\n.2,3\n1,2,3\n")
    assert rows == [[1, 2, 3]]
    assert decoder.malformed == 2


@pytest.mark.parametrize(
    "line",
    [
        b'{"v":"123"}', b'{"v":[1,2]}', b'{"v":[1,2,"3"]}', b'{"v":[1,2,true]}', b'{"v":{"a":1}}', b"[1,2,3]", b"{",
        b'{"v":[1,2,[3]]}', b"\xff\xfe", b"[" * 10_000, b'{"v":[1,2,3]' + b" " * 70_000 + b"}",
    ],
)  # fmt: skip
def test_a_malformed_json_line_is_skipped(line):
    rows, _, _, decoder = decode(b'{"v":[1,2,3]}\n' + line + b'\n{"v":[4,5,6]}\n')
    assert rows == [[1, 2, 3], [4, 5, 6]]
    assert decoder.malformed == 1


def test_a_line_without_the_time_the_first_one_had_is_malformed():
    lines = b'{"t":1,"seq":1,"v":[1,2,3]}\n{"seq":2,"v":[1,2,3]}\n{"t":3,"seq":null,"v":[1,2,3]}\n'
    rows, times, seq, decoder = decode(lines)
    assert (len(rows), times, seq, decoder.malformed) == (1, [10**9], [1], 2)
    assert decode(b"seq,a,b,c\n1,1,2,3\n,4,5,6\n1e99,4,5,6\n")[3].malformed == 2


@pytest.mark.parametrize("size", [MAX_LINE_BYTES - 10, MAX_LINE_BYTES + 1, 3 * MAX_LINE_BYTES])
@pytest.mark.parametrize("step", [1 << 20, 5000])
def test_an_overlong_line_never_becomes_a_sample(size, step):
    data = b"1,2,3\n" + b"9" * size + b",5,6\n7,8,9\n" + b"," * size
    rows, _, _, decoder = decode(data, range(step, len(data), step))
    assert [row for row in rows if np.isfinite(row).all()] == [[1, 2, 3], [7, 8, 9]]
    assert decoder.malformed + sum(not np.isfinite(row).all() for row in rows) == 2
    assert len(decoder._tail) <= MAX_LINE_BYTES


CELLS = st.one_of(
    st.floats(width=32).map(repr),
    st.sampled_from(
        ["", " 1 ", "+2", "-.5", "1e5", "1e", "0x10", "1_0", "nan", "inf", "nan(1)", "1 2", "١", "x", "\r", "\t3"]
    ),
)
ROWS = st.one_of(st.lists(CELLS, min_size=3, max_size=3), st.lists(CELLS, max_size=4)).map(",".join)
JSON_ROWS = st.builds(
    lambda v, keys: json.dumps({"v": v, **keys}),
    st.lists(st.one_of(st.floats(width=32), st.none(), st.integers(), st.text(max_size=2)), min_size=2, max_size=4),
    st.dictionaries(st.sampled_from(["t", "seq", "z"]), st.one_of(st.floats(), st.integers(0, 10**9)), max_size=2),
)
TEXT = st.one_of(
    st.builds(lambda head, rows, end: (head + end.join(rows)).encode(), st.sampled_from(["", "a,b,c\n", "seq,c,b,a\n"]),
              st.lists(ROWS, max_size=12), st.sampled_from(["\n", "\r\n"])),
    st.lists(JSON_ROWS, max_size=8).map(lambda rows: "\n".join(rows).encode()),
    st.binary(max_size=200),
)  # fmt: skip


@settings(max_examples=250)
@given(TEXT, st.data())
def test_any_bytes_in_any_cut_give_the_same_rows_or_our_error(data, draw):
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(data)), max_size=5)))

    def outcome(cuts):
        try:
            rows, times, seq, decoder = decode(data, cuts)
        except SourceError as error:
            return str(error)
        return repr((rows, times, seq, decoder.malformed, decoder.reports))

    whole = outcome([])
    assert outcome(cuts) == whole
    assert outcome(range(1, len(data))) == whole


def test_a_blank_cell_is_missing_and_never_minus_one():
    for cell in (b" ", b"\t", b"\r", b""):
        assert np.isnan(decode(b"1,2,3\n1," + cell + b",3\n")[0][1][1])
