"""Samples one way: INFO, then DATA, over a socket that loses nothing."""

import contextlib
import importlib
import socket
import threading
from itertools import pairwise

import numpy as np
import pytest
from edge_rnn.firmware_bridge.framing import Frame, encode
from edge_rnn.firmware_bridge.messages import Data, Info
from edge_rnn.firmware_bridge.oneway import SESSION_BITS, Receiver, Sender
from hypothesis import given
from hypothesis import strategies as st

from edge_rnn.endpoints.sources import open_source
from edge_rnn.errors import LinkError, SourceError

SCALE = 2.0**-10
WAYS = [None, importlib.import_module("edge_rnn._native").frames]
both_ways = pytest.mark.parametrize("fast", WAYS, ids=["python", "c"])


def codes(rows, channels=3, seed=0):
    return np.random.default_rng(seed).integers(-32768, 32768, (rows, channels)).astype(np.int16)


@both_ways
@given(st.lists(st.integers(1, 90), max_size=6), st.lists(st.integers(0, 600), max_size=8))
def test_samples_and_numbers_come_through_whatever_the_cut(fast, pieces, cuts):
    sender, receiver = Sender(3, SCALE, 1000.0, session=7), Receiver(fast)
    sent = [codes(rows, seed=rows) for rows in pieces]
    data = sender.opening + b"".join(map(sender.frames, sent))
    ends = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    came = [receiver.feed(data[a:b]) for a, b in pairwise(ends)]
    x = [one[0] for one in came if one is not None]
    seq = [number for one in came if one is not None for number in one[1].tolist()]
    assert seq == [(7 << SESSION_BITS) + n for n in range(sum(pieces))]
    if pieces:
        np.testing.assert_array_equal(np.concatenate(x), np.concatenate(sent) * np.float32(SCALE))


@both_ways
def test_what_the_sender_lost_is_a_hole_in_the_numbers(fast):
    sender, receiver = Sender(1, 1.0, 10.0, session=1), Receiver(fast)
    first = receiver.feed(sender.opening + sender.frames(codes(2, 1)))
    sender.skip(5)
    then = receiver.feed(sender.frames(codes(1, 1)))
    assert then[1][0] - first[1][-1] == 6


@both_ways
def test_numbers_go_on_after_two_to_the_32(fast):
    sender, receiver = Sender(1, 1.0, 10.0, session=1), Receiver(fast)
    sender.count = (1 << 32) - 2
    _, seq = receiver.feed(sender.opening + sender.frames(codes(2, 1)) + sender.frames(codes(2, 1)))
    assert np.diff(seq).tolist() == [1, 1, 1]


def test_another_session_lies_further_away_than_any_gap():
    numbers = [Receiver().feed((s := Sender(1, 1.0, 10.0)).opening + s.frames(codes(1, 1)))[1][0] for _ in range(2)]
    assert numbers[0] >> SESSION_BITS != 0
    assert abs(int(numbers[1]) - int(numbers[0])) >= 1 << SESSION_BITS


@both_ways
def test_a_damaged_frame_is_dropped_and_counted(fast):
    sender, receiver = Sender(3, SCALE, 1000.0), Receiver(fast)
    receiver.feed(sender.opening)
    frame = bytearray(sender.frames(codes(4)))
    frame[9] ^= 0x55
    assert receiver.feed(bytes(frame)) is None
    assert receiver.damaged == 1


@pytest.mark.parametrize(
    "wrong",
    [
        encode(Frame(Data.TYPE, 0, 5, Data.FORM.pack(0, 0, 1) + b"\1\0\1\0\1\0")),  # before any INFO
        Sender(3, 1.0, 1.0, 4).opening + encode(Frame(Data.TYPE, 0, 5, Data.FORM.pack(0, 0, 1) + b"\1\0\1\0\1\0")),
        Sender(3, 1.0, 1.0, 5).opening + encode(Frame(Data.TYPE, 0, 5, Data.FORM.pack(0, 0, 2) + b"\1\0\1\0\1\0")),
        Sender(3, 1.0, 1.0, 5).opening + encode(Frame(Data.TYPE, 0, 5, b"\1")),
        Sender(3, 1.0, 1.0, 5).opening + Sender(2, 1.0, 1.0, 5).opening,
        encode(Frame(Info.TYPE, 0, 5, b"short")),
        encode(Frame(Info.TYPE, 0, 5, Info(channels=0, scale=1.0).pack())),
    ],
)
def test_a_sender_that_nobody_can_understand_is_an_error(wrong):
    with pytest.raises(LinkError):
        Receiver().feed(wrong)


@both_ways
@given(st.binary(max_size=400))
def test_noise_is_our_error_or_nothing(fast, noise):
    receiver = Receiver(fast)
    receiver.feed(Sender(3, SCALE, 1.0).opening)
    try:
        receiver.feed(b"\0" + noise)
    except LinkError:
        return


@given(st.data())
def test_c_and_python_take_the_same_of_a_line_that_lies(data):
    sender = Sender(2, SCALE, 10.0, session=3)
    line = bytearray(sender.opening)
    for rows in data.draw(st.lists(st.integers(1, 70), max_size=6)):
        if data.draw(st.booleans()):
            sender.skip(data.draw(st.sampled_from([1, 500, (1 << 32) - 100])))
        line += sender.frames(codes(rows, 2, rows)) + data.draw(st.sampled_from([b"", b"\0", b"\0\0", b"\1\2\0"]))
    for at in data.draw(st.lists(st.integers(60, max(len(line), 61)), max_size=3)):
        line[at : at + 1] = data.draw(st.binary(max_size=3))
    cuts = sorted({0, len(line), *data.draw(st.lists(st.integers(0, len(line)), max_size=5))})
    told = []
    for receiver in map(Receiver, WAYS):
        came = []
        try:
            for a, b in pairwise(cuts):
                came.append(receiver.feed(bytes(line[a:b])))
        except LinkError:
            came.append("refused")
        told.append([one if isinstance(one, str) else one and tuple(part.tolist() for part in one) for one in came])
        told[-1].append(receiver.damaged)
    assert told[0] == told[1]


def test_frames_on_a_unix_socket_are_a_source_of_numbered_samples(tmp_path):
    ear = socket.socket(socket.AF_UNIX)
    ear.bind(str(tmp_path / "s"))
    ear.listen()
    sender, x = Sender(3, SCALE, 250.0), codes(50)

    def serve():
        peer, _ = ear.accept()
        with peer, contextlib.suppress(BrokenPipeError):
            for piece in (sender.opening[:1], sender.opening[1:] + sender.frames(x[:20]), sender.frames(x[20:])):
                peer.sendall(piece)

    threading.Thread(target=serve, daemon=True).start()
    source = open_source(f"unix://{tmp_path}/s", ("a", "b", "c"))
    chunks = list(source)
    np.testing.assert_array_equal(np.concatenate([c.samples for c in chunks]), x * np.float32(SCALE))
    assert np.diff(np.concatenate([c.seq for c in chunks])).tolist() == [1] * 49
    assert (source.rate_hz, source.channels, source.malformed) == (250.0, ("a", "b", "c"), 0)
    threading.Thread(target=serve, daemon=True).start()
    with pytest.raises(SourceError, match=r"sends 3 channels, expected 2 \(a, b\)"):
        list(open_source(f"unix://{tmp_path}/s", ("a", "b")))
    ear.close()
