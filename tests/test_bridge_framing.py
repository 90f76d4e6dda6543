"""Framing against an independent codec, in any cut of the input, and under noise."""

from __future__ import annotations

import random
import zlib

import pytest
from cobs import cobs
from edge_rnn.firmware_bridge.framing import Decoder, Frame, cobs_decode, cobs_encode, encode
from edge_rnn.firmware_bridge.messages import FROM_BOARD, Data, Hello, Info, Result
from hypothesis import given
from hypothesis import strategies as st

from edge_rnn.errors import LinkError

frames = st.builds(Frame, st.integers(0, 255), st.integers(0, 255), st.integers(0, 65535), st.binary(max_size=240))


@given(st.binary(min_size=1, max_size=253))
def test_stuffing_agrees_with_another_codec(raw):
    assert cobs_encode(raw) == cobs.encode(raw)
    assert cobs_decode(cobs.encode(raw)) == raw


@given(st.binary(max_size=260).filter(lambda b: 0 not in b))
def test_unstuffing_agrees_with_another_codec_on_any_bytes(code):
    try:
        theirs = cobs.decode(code)
    except cobs.DecodeError:
        theirs = None
    if len(code) <= 249:  # beyond, a block of 254 is possible, which our frames cannot hold
        assert cobs_decode(code) == theirs


@given(frames)
def test_a_frame_is_what_the_page_says(frame):
    wire = encode(frame)
    assert wire.count(0) == 1
    assert wire[-1] == 0
    raw = cobs.decode(wire[:-1])
    assert raw[:4] == bytes([frame.type, frame.seq]) + frame.session.to_bytes(2, "little")
    assert raw[4:-4] == frame.payload
    assert raw[-4:] == zlib.crc32(raw[:-4]).to_bytes(4, "little")
    assert Decoder().feed(b"\0" + wire) == [frame]


def test_a_payload_that_is_too_long_is_the_callers_error():
    with pytest.raises(ValueError, match="241 bytes was given, expected at most 240"):
        encode(Frame(1, 0, 0, bytes(241)))


@given(st.lists(frames, max_size=8), st.binary(max_size=30), st.randoms())
def test_any_cut_gives_the_same_frames(sent, noise, rng):
    stream = noise + b"\0" + b"".join(encode(frame) for frame in sent)
    whole = Decoder()
    expected = whole.feed(stream)
    assert expected[len(expected) - len(sent) :] == sent
    single, cut = Decoder(), Decoder()
    got = [frame for byte in stream for frame in single.feed(bytes([byte]))]
    assert got == expected
    pieces, at = [], 0
    while at < len(stream):
        step = rng.randrange(1, 20)
        pieces += cut.feed(stream[at : at + step])
        at += step
    assert pieces == expected
    for other in (single, cut):
        assert (other.crc_errors, other.framing_errors) == (whole.crc_errors, whole.framing_errors)


@given(st.binary(max_size=3000))
def test_garbage_is_never_held_beyond_one_frame(garbage):
    decoder = Decoder()
    for at in range(0, len(garbage), 7):
        decoder.feed(garbage[at : at + 7])
        assert decoder.held <= 250
    decoder = Decoder()
    decoder.feed(b"\1" * 100_000)
    assert decoder.held <= 250
    good = Frame(1, 2, 3, b"x")
    assert decoder.feed(b"\0" + encode(good)) == [good]
    assert decoder.framing_errors == 1


def test_half_a_frame_does_not_survive_silence():
    frame = Frame(1, 2, 3, b"payload")
    wire = encode(frame)
    decoder = Decoder()
    decoder.feed(wire[:5], 0)
    assert decoder.feed(wire, 100_000_001) == [frame]
    assert decoder.framing_errors == 1
    assert decoder.feed(wire[:5], 200_000_000) == []
    assert decoder.feed(wire[5:], 300_000_000) == [frame]


def test_a_frame_longer_than_this_decoder_takes_is_dropped_up_to_the_next_zero():
    decoder = Decoder(max_payload=16)
    good = Frame(5, 6, 7, bytes(16))
    assert decoder.feed(encode(Frame(1, 2, 3, bytes(17))) + encode(good)) == [good]
    assert decoder.framing_errors == 1


@given(st.sampled_from(sorted(FROM_BOARD)), st.binary(max_size=250))
def test_any_payload_is_a_message_or_a_link_error(kind, payload):
    try:
        message = FROM_BOARD[kind].unpack(payload)
    except LinkError:
        return
    again = FROM_BOARD[kind].unpack(message.pack())
    assert again == message or "nan" in repr(message)


def test_messages_have_the_widths_of_the_page():
    assert len(Hello(1).pack()) == 6
    assert Hello.unpack(Hello(7, 64).pack()) == Hello(7, 64)
    assert len(Info().pack()) == 48
    assert Info.unpack(Info().pack() + b"of a later minor version") == Info()
    assert Data(1, 2, 3, bytes(12)).pack().hex() == "01000000" + "02000000" + "0300" + "00" * 12
    assert Result(1, 2, (-1, 5), None, 4).pack().hex() == "01000000" + "02000000" + "ffffffff" + "05000000" + "04"
    assert Result.unpack(Result(1, 2, None, 7, 4).pack()).label == 7
    assert Result.unpack(Result(1, 2, (-1, 5), None, 4).pack()).logits == (-1, 5)


def test_noise_of_flips_cuts_inserts_and_bursts_never_makes_a_frame_that_was_not_sent():
    """The small form; tests/c runs the same noise through both decoders by the hundred million."""
    rng = random.Random(1)
    decoder, wrong, right = Decoder(), 0, 0
    for number in range(20_000):
        frame = Frame(rng.randrange(256), number & 255, number >> 8, random.Random(number).randbytes(number % 60))
        wire = bytearray(encode(frame))
        for _ in range(rng.randrange(3)):
            at = rng.randrange(len(wire))
            wire[at : at + rng.randrange(3)] = rng.randbytes(rng.randrange(3))
            if not wire:
                break
        for got in decoder.feed(bytes(wire)):
            sent = random.Random(got.session << 8 | got.seq).randbytes((got.session << 8 | got.seq) % 60)
            wrong += got.payload != sent
            right += got.payload == sent
    assert wrong == 0
    assert right > 5000
