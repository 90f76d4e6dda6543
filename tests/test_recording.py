"""The .ernrec form: round trips, cuts, bad bytes; the recorder and the flight recorder."""

import contextlib
import json
import os
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_rnn.endpoints.sources import open_source
from edge_rnn.errors import DataError, SourceError, UsageError
from edge_rnn.events import Ended, Started
from edge_rnn.flight import FlightRecorder
from edge_rnn.recorder import BLOCK_SAMPLES, Recorder
from edge_rnn.recording import (
    Chunk,
    Damage,
    Header,
    decode,
    encode_chunk,
    encode_event,
    encode_header,
)

HEADER = Header(("a", "b"), ("g", "g"), 50.0, "test")


def chunk(first, rows, restart=False, name="", keys=True):
    x = np.arange(first, first + 2 * rows, dtype=np.float32).reshape(rows, 2)
    n = np.arange(first, first + rows, dtype=np.int64)
    return Chunk(x, n * 20_000_000 if keys else None, n if keys else None, restart, name)


def same(one, two):
    def plain(c):
        keys = [None if k is None else k.tolist() for k in (c.t_ns, c.seq)]
        return c.samples.tobytes(), c.samples.shape, keys, c.restart, c.name

    return plain(one) == plain(two)


def chunks_of(blob, damage=None):
    return [block for block in decode(blob, damage) if isinstance(block, Chunk)]


def test_what_was_written_is_read_to_the_bit():
    odd = Chunk(np.array([[np.nan, np.inf], [-0.0, 1e-45]], np.float32), restart=True, name="müde")
    written = [chunk(0, 3), odd, chunk(9, 1, keys=False), chunk(0, 0)]
    blob = encode_header(HEADER) + b"".join(map(encode_chunk, written)) + encode_event({"type": "event"})
    header, *read, event = decode(blob)
    assert (header, event) == (HEADER, {"type": "event"})
    assert all(same(a, b) for a, b in zip(written, read, strict=True))


def test_a_stranger_can_read_it_by_the_page():
    """A second reader, written from docs/ernrec.md alone."""
    blob = encode_header(HEADER) + encode_chunk(chunk(5, 3, restart=True, name="x"))
    at, found = 0, []
    while at < len(blob):
        assert blob[at : at + 4] == b"ERNB"
        kind, flags, zero, length = struct.unpack_from("<BBHI", blob, at + 4)
        payload = blob[at + 12 : at + 12 + length]
        assert zero == 0
        assert struct.unpack_from("<I", blob, at + 12 + length)[0] == zlib.crc32(blob[at + 4 : at + 12 + length])
        found.append((kind, flags, payload))
        at += 16 + length
    assert json.loads(found[0][2])["channels"] == ["a", "b"]
    kind, flags, payload = found[1]
    assert (kind, flags) == (2, 7)
    assert payload[:9] == struct.pack("<IHH", 3, 2, 1) + b"x"
    assert struct.unpack("<3q3q6f", payload[9:]) == (
        100_000_000, 120_000_000, 140_000_000, 5, 6, 7, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0,
    )  # fmt: skip


@given(st.integers(0, 2000))
@settings(max_examples=200)
def test_a_cut_anywhere_leaves_all_but_the_block_it_hits(cut):
    blocks = [encode_header(HEADER), *(encode_chunk(chunk(i, 5)) for i in range(8))]
    blob = b"".join(blocks)
    cut = min(cut, len(blob))
    whole = sum(len(b"".join(blocks[: i + 1])) <= cut for i in range(len(blocks)))
    if whole == 0:
        with pytest.raises(DataError):
            chunks_of(blob[:cut])
    else:
        assert len(chunks_of(blob[:cut])) == whole - 1


@given(st.data())
@settings(max_examples=200)
def test_a_changed_byte_costs_its_block_alone(data):
    blocks = [encode_header(HEADER), *(encode_chunk(chunk(i, 5)) for i in range(6))]
    blob = bytearray(b"".join(blocks))
    at = data.draw(st.integers(len(blocks[0]), len(blob) - 1))
    blob[at] ^= data.draw(st.integers(1, 255))
    damage = Damage()
    read = chunks_of(bytes(blob), damage)
    assert (len(read), damage.places) == (5, 1)
    assert damage.bytes == len(blocks[1])


@given(st.binary(max_size=300), st.integers(0, 40))
def test_any_bytes_give_samples_or_our_error(blob, cut):
    for hostile in (blob, encode_header(HEADER)[:cut] + blob, encode_header(HEADER) + blob):
        with contextlib.suppress(DataError):
            chunks_of(hostile)


def test_a_block_that_contradicts_itself_is_left_out():
    payload = struct.pack("<IHH", 4_000_000_000, 2, 0)
    body = struct.pack("<BBHI", 2, 0, 0, len(payload)) + payload
    lying = b"ERNB" + body + zlib.crc32(body).to_bytes(4, "little")
    damage = Damage()
    assert len(chunks_of(encode_header(HEADER) + lying + encode_chunk(chunk(0, 2)), damage)) == 1
    assert damage.places == 1


def test_another_format_is_refused():
    blob = encode_header(HEADER).replace(b'"format": 1', b'"format": 9')
    blob = blob[:-4] + zlib.crc32(blob[4:-4]).to_bytes(4, "little")
    with pytest.raises(DataError, match="format is 9"):
        chunks_of(blob)


def test_what_a_recorder_has_flushed_is_readable_while_it_goes_on(tmp_path):
    path = tmp_path / "x.ernrec"
    with Recorder(path, HEADER) as recorder:
        recorder.add(chunk(0, 7))
        recorder.flush()
        recorder.add(chunk(7, 5))
        assert sum(len(c.samples) for c in chunks_of(path.read_bytes())) == 7
        recorder.add(chunk(12, BLOCK_SAMPLES))
        assert sum(len(c.samples) for c in chunks_of(path.read_bytes())) == 12 + BLOCK_SAMPLES
    assert len(chunks_of(path.read_bytes())) == 2


def test_a_recorder_keeps_borders_and_never_writes_over_a_file(tmp_path):
    path = tmp_path / "x.ernrec"
    with Recorder(path, HEADER) as recorder:
        for c in (chunk(0, 2, True, "a"), chunk(2, 2, False, "a"), chunk(0, 2, True, "b"), chunk(9, 1, keys=False)):
            recorder.add(c)
    assert [(len(c.samples), c.restart, c.name) for c in chunks_of(path.read_bytes())] == [
        (4, True, "a"), (2, True, "b"), (1, False, ""),
    ]  # fmt: skip
    with pytest.raises(UsageError, match="never overwritten"):
        Recorder(path, HEADER)


def test_a_full_disk_is_an_error_of_ours():
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    recorder = Recorder.__new__(Recorder)
    recorder.path, recorder._durable = "/dev/full", False
    recorder._file = open("/dev/full", "wb", buffering=0)  # noqa: SIM115
    with pytest.raises(SourceError, match="No space"):
        recorder._write(b"x")
    recorder._file.close()


def test_a_recording_is_a_source_with_its_channels_mapped_by_name(tmp_path):
    path = tmp_path / "x.ernrec"
    with Recorder(path, HEADER) as recorder:
        recorder.add(chunk(0, 3))
    source = open_source(str(path), ("b", "a"))
    assert next(iter(source)).samples.tolist() == [[1, 0], [3, 2], [5, 4]]
    assert (source.rate_hz, open_source(str(path), ()).malformed) == (50.0, 0)
    with pytest.raises(SourceError, match="lacks z"):
        list(open_source(str(path), ("a", "z")))
    path.write_bytes(path.read_bytes()[:-1])
    source = open_source(str(path), ())
    assert list(source) == []
    assert (source.malformed, len(source.reports)) == (1, 1)


def ended(t0, t1):
    return Ended("wave", round(t0 * 1e9), round(t1 * 1e9), 0.9, 20.0, "id", "m@1")


def fly(folder, chunks, events, **options):
    """Push chunks at 50 Hz; events as {seconds: event}, told when the stream has come so far."""
    flight = FlightRecorder(folder, HEADER, **{"seconds": 2.0, "rate_hz": 50.0, **options})
    now, told = 0, dict(events)
    for c in chunks:
        now += len(c.samples) * 20_000_000
        due = [told.pop(t) for t in sorted(told) if t * 1e9 <= now]
        flight.push(c, due, now)
    flight.close()
    return [np.concatenate([c.samples for c in chunks_of(p.read_bytes())]) for p in sorted(folder.glob("*.ernrec"))]


@pytest.mark.parametrize("size", [1, 25, 3000])
def test_the_flight_recorder_keeps_the_seconds_around_an_event(tmp_path, size):
    chunks = [chunk(2 * i, size) for i in range(0, 3000, size)]
    clips = fly(tmp_path, chunks, {21.0: ended(20, 21)})
    assert len(clips) == 1
    slots = clips[0][:, 0] / 2
    assert slots[0] <= 18 * 50 <= slots[0] + 26
    assert slots[-1] - 26 <= 23 * 50 <= slots[-1] + 1
    assert np.all(np.diff(slots) == 1)


def test_the_flight_recorder_keeps_the_newest_files_and_a_bounded_ring(tmp_path):
    chunks = [chunk(2 * i, 25) for i in range(0, 5000, 25)]
    clips = fly(tmp_path, chunks, {t: ended(t - 1, t) for t in range(5, 95, 5)}, keep=3)
    assert len(clips) == 3
    assert clips[-1][-1, 0] / 2 >= 90 * 50
    flight = FlightRecorder(tmp_path, HEADER, seconds=1.0, rate_hz=50.0)
    for i in range(1000):
        flight.push(chunk(i, 25), [], (i + 1) * 500_000_000)
    assert sum(len(held.chunk.samples) for held in flight._ring) <= 150


def test_a_long_event_is_kept_from_before_its_beginning(tmp_path):
    start = Started("wave", 20_000_000_000, 20_100_000_000, "id")
    clips = fly(tmp_path, [chunk(2 * i, 5) for i in range(0, 3000, 5)], {20.1: start, 40.0: ended(20, 40)})
    assert clips[0][0, 0] / 2 <= 18 * 50
    assert len(clips[0]) >= 24 * 50
