"""The host's end against the Python board over a wire in simulated time that loses, repeats and corrupts."""

from __future__ import annotations

import hashlib
import random
import struct
import zlib

import pytest
from edge_rnn.firmware_bridge.framing import Decoder, Frame, encode
from edge_rnn.firmware_bridge.link import Link, Opened
from edge_rnn.firmware_bridge.messages import (
    Ack,
    BlobBegin,
    BlobData,
    BlobEnd,
    Data,
    GetState,
    GetStats,
    Info,
    Log,
    Nak,
    Ping,
    Reason,
    Reset,
    Result,
    Role,
    SetState,
    StateChunk,
    Stats,
)
from edge_rnn.firmware_bridge.window import Answered
from hypothesis import given, settings
from hypothesis import strategies as st
from lossy_wire import HASH, LossyWire, Mixer, inference_info, make_board, sensor_info

from edge_rnn.errors import LinkError

SECOND = 1_000_000_000


def wire(role: Role, seed: int = 0, loss: float = 0.05) -> LossyWire:
    link = Link(None if role == Role.SENSOR else HASH, random.Random(seed))
    return LossyWire(make_board(role), link, random.Random(seed + 1), loss)


def opened(w: LossyWire) -> LossyWire:
    w.board.boot()
    w.link.open(w.now_ns)
    for _ in range(100):
        if any(isinstance(e, Opened) for e in w.run(SECOND // 10)):
            return w
    raise AssertionError("the board was never heard")


def infer(w: LossyWire, xs: list[tuple[int, ...]], on_turn=None) -> list[Result]:
    """Stream samples as credits allow; give the results in order."""
    results, sent = [], 0
    for turn in range(20_000):
        if on_turn:
            on_turn(turn)
        while sent < len(xs) and w.link.room:
            w.link.request(Data(sent, sent, 1, struct.pack("<3h", *xs[sent])), w.now_ns)
            sent += 1
        results += [e.message for e in w.run(2_000_000) if isinstance(e, Answered)]
        if len(results) == len(xs):
            return results
    raise AssertionError(f"{len(results)} results of {len(xs)}")


def samples(count: int, seed: int = 0) -> list[tuple[int, ...]]:
    rng = random.Random(seed)
    return [tuple(rng.randrange(-32768, 32768) for _ in range(3)) for _ in range(count)]


def expected(xs) -> list[tuple[int, ...]]:
    mixer = Mixer()
    return [mixer.step(x) for x in xs]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), loss=st.floats(0, 0.3))
def test_every_step_is_made_once_and_in_order_whatever_the_wire_does(seed, loss):
    w = opened(wire(Role.INFERENCE, seed, loss))
    xs = samples(120, seed)
    results = infer(w, xs)
    assert [r.step for r in results] == list(range(len(xs)))
    assert [r.t for r in results] == list(range(len(xs)))
    assert [r.logits for r in results] == expected(xs)


def test_five_percent_loss_costs_resent_frames_and_nothing_else():
    w = opened(wire(Role.INFERENCE, 7))
    xs = samples(2000)
    assert [r.logits for r in infer(w, xs)] == expected(xs)
    assert w.link.counters.resent > 0
    assert w.board.stats.duplicates > 0
    assert w.board.decoder.crc_errors + w.board.decoder.framing_errors > 0


def test_a_lost_frame_without_resending_would_be_noticed():
    """Negative control: a board that does not check the sequence gives other numbers."""
    w = opened(wire(Role.INFERENCE, 3, 0.2))
    honest = w.board._request

    def careless(frame):
        w.board._expected = frame.seq
        honest(frame)

    w.board._request = careless
    xs = samples(300)
    assert [r.logits for r in infer(w, xs)] != expected(xs)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), loss=st.floats(0, 0.3))
def test_a_sensors_samples_come_once_in_order_and_what_is_missing_is_counted(seed, loss):
    w = opened(wire(Role.SENSOR, seed, loss))
    rows = samples(400, seed)
    came = {}
    order = []
    for n, row in enumerate(rows):
        w.board.push(row, n * 10_000)
        if n == 200:
            w.pull()
        if n == 260:
            w.plug()
        for e in w.run(10_000_000, 2_000_000):
            if isinstance(e, Data):
                for i, row_back in enumerate(struct.iter_unpack("<3h", e.samples)):
                    assert e.first + i not in came
                    came[e.first + i] = row_back
                    order.append(e.first + i)
    w.loss = 0
    for e in w.run(3 * SECOND, 5_000_000):
        if isinstance(e, Data):
            for i, row_back in enumerate(struct.iter_unpack("<3h", e.samples)):
                came[e.first + i] = row_back
                order.append(e.first + i)
    assert order == sorted(set(order))
    assert all(rows[n] == row for n, row in came.items())
    missing = set(range(400)) - set(came)
    assert missing, "60 samples fell into a ring of 4 frames while the cable was out"
    assert len(missing) <= w.board.stats.dropped_by_producer
    assert order[-1] == 399


def test_a_node_streams_its_results_without_loss_on_a_bad_wire():
    w = opened(wire(Role.NODE, 5, 0.1))
    xs = samples(300)
    results = []
    for n, x in enumerate(xs):
        w.board.push(x, n)
        results += [e for e in w.run(20_000_000, 2_000_000) if isinstance(e, Result)]
    results += [e for e in w.run(3 * SECOND) if isinstance(e, Result)]
    want = expected(xs)
    assert [r.step for r in results] == sorted({r.step for r in results})
    assert all(r.logits == want[r.step] for r in results)
    assert len(results) + w.board.stats.dropped_by_producer >= 300


def test_a_reboot_is_told_and_the_requests_before_it_are_void():
    w = opened(wire(Role.INFERENCE, 1, 0))
    infer(w, samples(20))
    session = w.link.session
    w.link.request(Reset(9), w.now_ns)
    w.link.take()
    w.board = make_board(Role.INFERENCE)  # without a word: only the silence tells
    events = w.run(5 * SECOND)
    (again,) = [e for e in events if isinstance(e, Opened)]
    assert again.fresh
    assert again.session != session
    assert w.link.room == 4
    assert [r.logits for r in infer(w, samples(5))] == expected(samples(5))


def test_a_pulled_cable_in_one_session_loses_nothing():
    w = opened(wire(Role.INFERENCE, 2, 0.05))

    def on_turn(turn):
        if turn % 40 == 20:
            w.pull()
        if turn % 40 == 30:
            w.plug()

    xs = samples(500)
    assert [r.logits for r in infer(w, xs, on_turn)] == expected(xs)
    assert w.link.counters.reopened == 0


def test_a_state_moves_to_another_board_and_goes_on_there():
    xs = samples(60)
    first = opened(wire(Role.INFERENCE, 1))
    begun = infer(first, xs[:30])
    state, step = get_state(first)
    second = opened(wire(Role.INFERENCE, 2))
    assert isinstance(set_state(second, state, step), Ack)
    rest = infer(second, xs[30:])
    assert [r.logits for r in begun + rest] == expected(xs)
    assert [r.step for r in begun + rest] == list(range(60))


def ask(w: LossyWire, message):
    w.link.request(message, w.now_ns)
    for _ in range(200):
        for e in w.run(50_000_000):
            if isinstance(e, Answered):
                return e.message
    raise AssertionError("no answer")


def get_state(w: LossyWire) -> tuple[bytes, int]:
    chunk = ask(w, GetState(0))
    assert isinstance(chunk, StateChunk)
    return chunk.data, chunk.step


def set_state(w: LossyWire, state: bytes, step: int, *, crc=None, model_hash=HASH):
    crc = zlib.crc32(state) if crc is None else crc
    answer = ask(w, SetState(step, 0, len(state), model_hash, crc, state[:7]))
    return answer if isinstance(answer, Nak) else ask(w, SetState(step, 7, len(state), model_hash, crc, state[7:]))


def test_a_state_that_is_half_or_damaged_is_never_stepped_on():
    w = opened(wire(Role.INFERENCE, 1, 0))
    infer(w, samples(3))
    assert set_state(w, bytes(16), 0, model_hash=1).reason == Reason.WRONG_MODEL
    assert len(get_state(w)[0]) == 16
    assert set_state(w, bytes(range(16)), 0, crc=1).reason == Reason.DAMAGED
    refused = ask(w, Data(0, 0, 1, bytes(6)))
    assert refused.reason == Reason.NO_STATE
    assert ask(w, GetState(0)).reason == Reason.NO_STATE
    assert isinstance(ask(w, Reset(1)), Ack)
    assert [r.logits for r in infer(w, samples(5))] == expected(samples(5))


def test_another_model_is_refused_by_name():
    w = wire(Role.INFERENCE, 1, 0)
    w.link = Link(0xDEAD, random.Random(0))
    w.link.open(0)
    with pytest.raises(LinkError, match=r"runs model 1234abcd, expected 0000dead"):
        w.run(SECOND)


def test_another_major_version_is_refused():
    w = wire(Role.INFERENCE, 1, 0)
    w.board.info = inference_info(major=2)
    w.link.open(0)
    with pytest.raises(LinkError, match="version 2"):
        w.run(SECOND)


def test_an_unknown_type_gets_an_answer():
    w = opened(wire(Role.INFERENCE, 1, 0))
    w.board.out.clear()
    for kind in (0x3F, 0x7F):
        w.board.feed(encode(Frame(kind, w.board._expected, w.board.session, b"")), 0)
    w.run(SECOND // 10)
    assert w.board._expected == 1  # the sequenced one took its number
    assert isinstance(ask_raw(w, 0x3E), Nak)


def ask_raw(w, kind):
    w.board.out.clear()
    w.board.feed(encode(Frame(kind, 5, w.board.session, b"")), 0)
    (frame,) = Decoder().feed(bytes(w.board.out))
    w.board.out.clear()
    return Nak.unpack(frame.payload)


class Store:
    def __init__(self):
        self.data = bytearray()
        self.applied = None

    def begin(self, size):
        return size <= 1000

    def write(self, offset, data):
        self.data = self.data if offset else bytearray()
        assert offset == len(self.data)
        self.data += data

    def apply(self, size):
        self.applied = bytes(self.data[:size])
        return True


def test_a_model_pushed_in_chunks_is_applied_when_whole_and_true_and_not_before():
    w = opened(wire(Role.INFERENCE, 11))
    w.board.store = Store()
    blob = random.Random(0).randbytes(700)
    digest = hashlib.sha256(blob).digest()
    assert ask(w, BlobBegin(2000, digest)).reason == Reason.REFUSED
    assert ask(w, BlobBegin(len(blob), digest)).value == 0
    for at in range(0, 400, 40):
        assert ask(w, BlobData(at, blob[at : at + 40])).value == at + 40
    w.pull()
    w.plug()
    w.run(SECOND)
    assert ask(w, BlobBegin(len(blob), digest)).value == 400  # resumed
    assert w.board.store.applied is None
    for at in range(400, 700, 50):
        ask(w, BlobData(at, blob[at : at + 50]))
    assert ask(w, BlobEnd()).value == 700
    assert w.board.store.applied == blob
    assert ask(w, BlobBegin(4, bytes(32))).value == 0
    assert ask(w, BlobData(0, b"abcd")).value == 4
    assert ask(w, BlobEnd()).reason == Reason.DAMAGED
    assert w.board.store.applied == blob


def test_statistics_log_and_ping_pass():
    w = opened(wire(Role.SENSOR, 1, 0))
    w.link.send(GetStats())
    w.link.send(Ping(b"hi"))
    w.board.log("battery \x07 low")
    events = w.run(SECOND // 10)
    assert any(isinstance(e, Stats) for e in events)
    assert Ping(b"hi") in events
    (log,) = [e for e in events if isinstance(e, Log)]
    assert log.text == "battery \N{REPLACEMENT CHARACTER} low"


def test_time_is_followed_within_the_jitter_of_the_wire():
    w = opened(wire(Role.SENSOR, 1, 0))
    for _ in range(50):
        w.link.sync(w.now_ns)
        w.run(SECOND // 5)
    assert w.link.clock.rtt_ns <= 6_000_000
    ticks = w.now_ns // 1000
    assert abs(w.link.clock.host_ns(ticks) - w.now_ns) < 3_000_000
    assert abs(w.link.clock.drift_ppm) < 200


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=40),
            st.tuples(st.integers(0, 255), st.integers(0, 255), st.sampled_from([0, 7]), st.binary(max_size=60)).map(
                lambda t: encode(Frame(*t))
            ),
        ),
        max_size=30,
    ),
    st.sampled_from(list(Role)),
)
def test_hostile_frames_raise_nothing_but_link_errors(pieces, role):
    link = Link(rng=random.Random(0))
    link.open(0)
    info = sensor_info() if role == Role.SENSOR else inference_info(role=role)
    link.feed(encode(Frame(Info.TYPE, 1, 7, info.pack())), 1)
    for n, piece in enumerate(pieces):
        try:
            link.feed(piece, n)
        except LinkError:
            link.open(n)
        link.tick(n * 100_000_000)
        link.take()
        if link.room:
            link.request(GetState(0), n)
    board = make_board(role)
    board.session = 7
    for n, piece in enumerate(pieces):
        board.feed(piece, n)


def test_the_window_is_never_larger_than_the_credits():
    w = opened(wire(Role.INFERENCE, 1, 0))
    for n in range(4):
        w.link.request(Data(n, n, 1, bytes(6)), 0)
    assert w.link.room == 0
    with pytest.raises(LinkError, match="wait for an answer"):
        w.link.request(Reset(0), 0)
    other = opened(wire(Role.INFERENCE, 1, 0))
    with pytest.raises(LinkError, match="takes 64"):
        other.link.request(Data(0, 0, 1, bytes(80)), 0)
