"""The step thread's way of reading: sockets apart and together, whatever the cut; what is odd stays with its socket."""

import errno
import itertools
import socket
import threading
import time

import numpy as np
import pytest
from edge_rnn.firmware_bridge.oneway import SESSION_BITS, Sender
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_rnn.daemon.forms import FRAMES
from edge_rnn.daemon.hub import Hub
from edge_rnn.daemon.ring import Ring
from edge_rnn.endpoints.sockets import SocketSource
from edge_rnn.errors import SourceError

SCALE = 2.0**-10
names = itertools.count()


class Line:
    """A sender, its socket, and what of its samples came at the other end, by whichever way."""

    def __init__(self, folder, hub, session, channels=2):
        ear = socket.socket(socket.AF_UNIX)
        path = folder / f"s{next(names)}"
        ear.bind(str(path))
        ear.listen(1)
        self.sender = Sender(channels, SCALE, 1000.0, session)
        self.hub, self.ring, self.sheaves = hub, Ring(1 << 20, live=True), 0
        self.seat = hub.seat(SocketSource(f"unix://{path}", ("a", "b")[:channels]), self.ring.put, self.ring)
        self.peer = ear.accept()[0]
        ear.close()
        self.seqs, self.samples = [], []

    def take(self, sheaves):
        for sheaf in sheaves:
            for m, ring in enumerate(sheaf.rings):
                if ring is self.ring:
                    self.sheaves += 1
                    sheaf.put_back(m)
        for chunk in self.ring.take()[0]:
            self.seqs += chunk.seq.tolist()
            self.samples.append(chunk.samples)


def rounds(hub, lines, count=2):
    for _ in range(count):
        hub.wait(0.0)
        sheaves = hub.read()
        for line in lines:
            line.take(sheaves)


@pytest.fixture
def hub():
    made = Hub(0.0)
    yield made
    made.close()


def codes(rng, rows, channels):
    return rng.integers(-32768, 32768, (rows, channels)).astype(np.int16)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1 << 30), st.integers(1, 5))
def test_every_sample_comes_once_and_in_order_whatever_the_cut(tmp_path_factory, seed, count):
    rng, hub = np.random.default_rng(seed), Hub(0.0)
    folder = tmp_path_factory.mktemp("hub")
    lines = [Line(folder, hub, n + 1, channels=1 + n % 2) for n in range(count)]
    sent = [[] for _ in lines]
    for line in lines:
        line.peer.sendall(line.sender.opening)
    for _ in range(12):
        for line, all_codes in zip(lines, sent, strict=True):
            rows = int(rng.integers(0, 60))
            piece = codes(rng, rows, len(line.seat.source.channels))
            all_codes.append(piece)
            data = line.sender.frames(piece) + (b"\0" if rng.random() < 0.1 else b"")
            cut = int(rng.integers(0, len(data) + 1)) if rng.random() < 0.3 else len(data)
            line.peer.sendall(data[:cut])
            if cut < len(data):
                rounds(hub, lines, 1)
                line.peer.sendall(data[cut:])
        rounds(hub, lines, int(rng.integers(0, 3)))
    for _ in range(3):  # whole frames and a round for each: now all are read together
        for line, all_codes in zip(lines, sent, strict=True):
            all_codes.append(codes(rng, 3, len(line.seat.source.channels)))
            line.peer.sendall(line.sender.frames(all_codes[-1]))
        rounds(hub, lines)
    for n, (line, all_codes) in enumerate(zip(lines, sent, strict=True), 1):
        wanted = np.concatenate(all_codes)
        assert line.seqs == [(n << SESSION_BITS) + i for i in range(len(wanted))]
        np.testing.assert_array_equal(np.concatenate(line.samples), wanted * np.float32(SCALE))
        assert line.seat.source.malformed == 0
        assert line.sheaves > 0
        line.peer.close()
    hub.close()


def test_a_damaged_frame_costs_itself_alone(tmp_path, hub):
    rng = np.random.default_rng(0)
    lines = [Line(tmp_path, hub, n + 1) for n in range(2)]
    for line in lines:
        line.peer.sendall(line.sender.opening + line.sender.frames(codes(rng, 5, 2)))
    rounds(hub, lines)
    for turn in range(4):
        for line in lines:
            data = bytearray(line.sender.frames(codes(rng, 5, 2)))
            if turn == 1 and line is lines[0]:
                data[9] ^= 0x55 if data[9] ^ 0x55 else 0x56
            line.peer.sendall(data)
        rounds(hub, lines)
    assert [line.seat.source.malformed for line in lines] == [1, 0]
    assert [len(line.seqs) for line in lines] == [20, 25]
    assert np.diff(lines[0].seqs).max() == 6


def test_numbers_that_wrap_go_on_in_both_ways_of_reading(tmp_path, hub):
    line = Line(tmp_path, hub, 1)
    line.sender.count = (1 << 32) - 12
    line.peer.sendall(line.sender.opening)
    for cut in (None, None, 7, None, 3, None):
        data = line.sender.frames(np.zeros((5, 2), np.int16))
        line.peer.sendall(data[:cut])
        rounds(hub, [line], 1)
        if cut:
            line.peer.sendall(data[cut:])
        rounds(hub, [line], 1)
    assert len(line.seqs) == 30
    assert np.diff(line.seqs).tolist() == [1] * 29


def test_an_end_and_a_break_of_one_are_told_to_who_opened_it(tmp_path, hub):
    rng = np.random.default_rng(0)
    lines = [Line(tmp_path, hub, n + 1) for n in range(3)]
    for line in lines:
        line.peer.sendall(line.sender.opening + line.sender.frames(codes(rng, 5, 2)))
    rounds(hub, lines)
    lines[0].peer.sendall(lines[0].sender.frames(codes(rng, 5, 2)))
    lines[0].peer.close()
    lines[1].peer.sendall(Sender(2, 1.0, 1.0, 9).frames(codes(rng, 1, 2)))  # DATA of a session that was not opened
    lines[2].peer.sendall(lines[2].sender.frames(codes(rng, 5, 2)))
    rounds(hub, lines, 3)
    assert [len(line.seqs) for line in lines] == [10, 5, 10]
    lines[0].seat.wait()
    with pytest.raises(SourceError, match="session"):
        lines[1].seat.wait()
    lines[2].seat.leave()
    rounds(hub, lines, 2)
    lines[2].seat.wait()
    again = Line(tmp_path, hub, 7)  # in a place of one that left
    again.peer.sendall(again.sender.opening + again.sender.frames(codes(rng, 5, 2)))
    rounds(hub, [again])
    again.peer.sendall(again.sender.frames(codes(rng, 5, 2)))
    rounds(hub, [again])
    assert (len(again.seqs), again.sheaves) == (10, 1)


def test_more_than_there_is_room_for_in_a_round_comes_all_the_same(tmp_path, hub):
    line = Line(tmp_path, hub, 1, channels=1)
    rng = np.random.default_rng(0)
    line.peer.sendall(line.sender.opening + line.sender.frames(codes(rng, 10, 1)))
    rounds(hub, [line])
    line.peer.settimeout(60)
    sending = threading.Thread(target=lambda: line.peer.sendall(line.sender.frames(codes(rng, 60_000, 1))))
    sending.start()
    while sending.is_alive():
        rounds(hub, [line], 1)
    sending.join()
    rounds(hub, [line], 5)
    assert np.diff(line.seqs).tolist() == [1] * 60_009


def test_the_extension_refuses_desks_that_do_not_fit():
    x, seq, rows = np.empty((8, 2), np.float32), np.empty(8, np.int64), np.zeros(1, np.int64)
    desk = np.array([(-1, 0, 0, 1.0, 0)], FRAMES.desk)
    receive = FRAMES.receive
    assert receive(desk, x, seq, rows) == [(0, errno.EBADF)]
    for bad in ((desk[:0], x, seq, rows), (desk, x[:7], seq, rows), (desk, x, seq[:0], rows), (desk, x, seq, rows[:0])):
        with pytest.raises(ValueError, match="expected"):
            receive(*bad)


def test_waiting_ends_with_a_call_from_another_thread_and_rounds_are_a_tick_apart(tmp_path):
    hub = Hub(0.05)
    began = time.monotonic()
    threading.Timer(0.02, hub.wake).start()
    hub.wait(5.0)
    assert time.monotonic() - began < 2.0
    for _ in range(3):
        hub.wake()
        hub.wait(5.0)
    assert time.monotonic() - began > 0.15
    hub.close()
    hub.wake()
