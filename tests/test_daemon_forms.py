"""Plain CSV of many sockets in one call: samples, numbers and complaints are those of a LineDecoder alone."""

import contextlib
import itertools
import socket

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_rnn.daemon.forms import CSV, LONGEST_KEPT
from edge_rnn.daemon.hub import Hub
from edge_rnn.daemon.ring import Ring
from edge_rnn.endpoints.lines import LineDecoder
from edge_rnn.endpoints.sockets import SocketSource
from edge_rnn.errors import EdgeRnnError, SourceError

from .test_lines import ABC, TEXT

pytestmark = pytest.mark.skipif(
    CSV.receive is None, reason="the extension is not built: every socket is read by itself"
)
names = itertools.count()
PLAIN = b"1,2,3\n" * 3


class Line:
    """A sender of text, its socket, and what came of it at the other end, by whichever way."""

    def __init__(self, folder, hub, channels=ABC, last_line=True):
        ear = socket.socket(socket.AF_UNIX)
        path = folder / f"s{next(names)}"
        ear.bind(str(path))
        ear.listen(1)
        source = SocketSource(f"unix://{path}", channels, last_line=last_line)
        self.peer = ear.accept()[0]
        ear.close()
        self.hub, self.ring, self.together, self.chunks = hub, Ring(1 << 20, live=True, cursor=100), 0, []
        self.seat = hub.seat(source, self.ring.put, self.ring)
        self.decoder = source.lines

    def send(self, data):
        """So much comes at once."""
        if data:
            with contextlib.suppress(BrokenPipeError):  # what came before was refused
                self.peer.sendall(data)
            self.round()

    def round(self):
        self.hub.wait(0.0)
        for sheaf in self.hub.read():
            self.together += len(sheaf.x)
            sheaf.put_back(0)
        self.chunks += self.ring.take()[0]

    def outcome(self):
        """After the sender's end: rows, numbers, times, what was wrong and where, as `alone` gives it."""
        self.peer.close()
        self.round()
        self.round()
        try:
            self.seat.wait()
        except SourceError as error:
            return str(error)
        return told(self.chunks, self.decoder)


def told(chunks, decoder):
    rows = [row for chunk in chunks for row in chunk.samples.tolist()]
    keys = [(chunk.seq, chunk.t_ns) for chunk in chunks]
    numbers = [one for both in keys for array in both if array is not None for one in array.tolist()]
    return repr((rows, numbers, decoder.malformed, decoder.reports, decoder._line))


def alone(pieces, channels=ABC, last_line=True):
    """What a decoder and a ring make of it."""
    decoder, ring, chunks = LineDecoder(channels), Ring(1 << 20, live=True, cursor=100), []
    try:
        for piece in [*map(decoder.feed, pieces), decoder.close() if last_line else None]:
            if piece is not None:
                ring.put(piece)
                chunks += ring.take()[0]
    except EdgeRnnError as error:
        return str(error)
    return told(chunks, decoder)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.one_of(st.just(PLAIN), TEXT), max_size=5), st.booleans(), st.data())
def test_any_bytes_in_any_cut_give_what_a_decoder_alone_gives(tmp_path_factory, texts, last_line, draw):
    hub, data = Hub(0.0), PLAIN + b"".join(texts) + b"\n" + PLAIN + b"4,5"
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(data)), max_size=8)))
    pieces = [PLAIN * 2, PLAIN, *(data[i:j] for i, j in zip([0, *cuts], [*cuts, len(data)], strict=True))]
    line = Line(tmp_path_factory.mktemp("forms"), hub, last_line=last_line)
    for piece in pieces:
        line.send(piece)
    assert line.together >= 3
    assert line.outcome() == alone([b"".join(pieces)], last_line=last_line)
    hub.close()


@settings(max_examples=60, deadline=None)
@given(TEXT, st.data())
def test_whatever_a_connection_begins_with(tmp_path_factory, data, draw):
    hub, cuts = Hub(0.0), sorted(draw.draw(st.lists(st.integers(0, len(data)), max_size=5)))
    if data[:1] == b"\0":
        data = b"1" + data  # frames are another form
    line = Line(tmp_path_factory.mktemp("forms"), hub)
    for i, j in zip([0, *cuts], [*cuts, len(data)], strict=True):
        line.send(data[i:j])
    assert line.outcome() == alone([data])
    hub.close()


def test_plain_lines_are_read_together_and_numbered_on(tmp_path):
    hub = Hub(0.0)
    line = Line(tmp_path, hub)
    for piece in [
        b"1,2,3\n4,",
        b"5,6\n",
        b"7,8,9\n10,11,12\n13",
        b",14,",
        b"15\nbad\n16,17,18\n",
        b"19,20,21\n",
        PLAIN,
    ]:
        line.send(piece)
    assert line.together == 8, "all but the first row, and the one after the bad line"
    assert [n for chunk in line.chunks for n in chunk.seq.tolist()] == list(range(100, 110))
    assert line.decoder.reports == ["line 6 has 1 columns, expected 3: 'bad'"]
    hub.close()


def test_a_source_that_is_opened_again_is_numbered_on_after_what_it_missed(tmp_path):
    hub = Hub(0.0)
    line = Line(tmp_path, hub)
    line.send(PLAIN)
    line.send(PLAIN)
    line.outcome()
    line.ring.reopened(10)
    again = Line(tmp_path, hub)
    again.seat.ring = again.ring = line.ring
    again.seat.took = line.ring.put
    again.send(PLAIN)
    again.send(PLAIN)
    numbers = [n for chunk in [*line.chunks, *again.chunks] for n in chunk.seq.tolist()]
    assert numbers == [*range(100, 106), *range(116, 122)]
    assert again.together == 3
    hub.close()


def test_columns_in_another_order_and_lines_longer_than_a_desk_stay_with_their_decoder(tmp_path):
    hub, long = Hub(0.0), b"1," + b"0" * LONGEST_KEPT + b"2,3\n"
    for text in (b"c,b,a\n" + PLAIN, b"t,a,b,c\n" + b"1,1,2,3\n" * 3, b'{"v":[1,2,3]}\n' * 3):
        line = Line(tmp_path, hub)
        line.send(text)
        line.send(text[-6:])
        assert line.together == 0
        line.outcome()
    line = Line(tmp_path, hub)
    pieces = [PLAIN, PLAIN, long[:-3], long[-3:], PLAIN, PLAIN, long, PLAIN, PLAIN]
    for piece in pieces:
        line.send(piece)
    assert line.together == 15, "all but the first and the long ones"
    assert line.outcome() == alone(pieces)
    hub.close()


def test_more_lines_than_there_is_room_for_come_all_the_same(tmp_path):
    hub = Hub(0.0)
    line = Line(tmp_path, hub, ("a",))
    text = b"".join(b"%d\n" % (n % 10) for n in range(20_000))
    line.send(b"1\n")
    line.peer.sendall(text)
    for _ in range(3):
        line.round()
    assert line.outcome() == alone([b"1\n", text], ("a",))
    hub.close()


def test_the_extension_refuses_desks_that_keep_too_much():
    x, seq, rows = np.empty((8, 3), np.float32), np.empty(8, np.int64), np.zeros(1, np.int64)
    desk = np.zeros(1, CSV.desk)
    desk["kept"] = LONGEST_KEPT + 1
    with pytest.raises(ValueError, match="a desk keeps"):
        CSV.receive(desk, x, seq, rows)
    with pytest.raises(ValueError, match="expected"):
        CSV.receive(desk[:0], x, seq, rows)
