"""Peers that go away and come back, over real sockets; and what their samples then mean."""

import socket
import threading

import numpy as np
import pytest
from ports import free_port

from edge_rnn.endpoints.reconnecting import Reconnecting
from edge_rnn.endpoints.sinks import open_sink
from edge_rnn.endpoints.sources import open_source
from edge_rnn.errors import SinkError, SourceError
from edge_rnn.recording import Chunk

AB = ("a", "b")


def serving(answers, port=0):
    """A server that says one answer a connection, then stops listening; its port."""
    server = socket.create_server(("127.0.0.1", port))

    def serve():
        with server:
            for answer in answers:
                peer, _ = server.accept()
                with peer:
                    peer.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    return server.getsockname()[1]


def read(url, patience_s):
    """(rows, restart) of each chunk, and what ended it."""
    source = open_source(url, AB, patience_s=patience_s)
    found = []
    with pytest.raises(SourceError) as ended:
        found.extend((chunk.samples.tolist(), chunk.restart) for chunk in source)
    return found, source, str(ended.value)


def test_a_peer_that_comes_back_goes_on_under_a_new_header_and_a_fresh_state():
    port = serving([b"a,b\n1,2\n3,4", b"b,a\n6,5\n"])
    found, source, why = read(f"tcp://127.0.0.1:{port}", 0.5)
    assert found == [([[1, 2]], False), ([[5, 6]], True)]  # the line that was cut may lack digits: it is dropped
    assert source.reconnects == 1
    assert "tried again for 0.5 s" in why


def test_numbers_that_go_on_are_a_gap_and_no_fresh_state():
    port = serving([b"seq,a,b\n7,1,2\n", b"seq,a,b\n9,3,4\n", b"seq,a,b\n0,5,6\nx\n"])
    found, source, _ = read(f"tcp://127.0.0.1:{port}", 0.5)
    assert [restart for _, restart in found] == [False, False, True]
    assert source.malformed == 1
    assert source.reports == ["line 3 has 1 columns, expected 3: 'x'"]


def test_nobody_is_waited_for_as_long_as_was_said():
    said, now = [], [0.0]

    def sleep(seconds):
        said.append(seconds)
        now[0] += seconds

    def dial():
        raise SourceError("nobody there")

    with pytest.raises(SourceError, match="nobody there; tried again for 60 s"):
        list(Reconnecting("tcp://x:1", dial, 60.0, clock=lambda: now[0], sleep=sleep))
    assert said[:4] == [0.05, 0.1, 0.2, 0.4]
    assert max(said) == 5.0
    assert sum(said) == pytest.approx(60)


def test_a_peer_that_only_hangs_up_is_not_hurried():
    """A connection without a sample is no success: the waiting goes on growing."""
    said = []

    class Empty:
        malformed, reports, channels, rate_hz = 0, [], AB, 0.0

        def __iter__(self):
            return iter(())

    now = [0.0]

    def sleep(seconds):
        said.append(seconds)
        now[0] += seconds

    with pytest.raises(SourceError, match="closed by its peer"):
        list(Reconnecting("tcp://x:1", Empty, 10.0, clock=lambda: now[0], sleep=sleep))
    assert said[:3] == [0.05, 0.1, 0.2]


def test_a_peer_that_was_quiet_for_longer_than_the_patience_is_tried_once_more():
    now = [0.0]

    class Quiet(list):
        malformed, reports, channels, rate_hz = 0, (), AB, 0.0

        def __iter__(self):
            yield from super().__iter__()
            now[0] += 100.0

    one = Chunk(np.zeros((1, 2), np.float32))
    dials = iter([Quiet([one]), Quiet([one]), Quiet(), Quiet([one])])
    source = Reconnecting("tcp://x:1", lambda: next(dials), 60.0, clock=lambda: now[0], sleep=lambda s: None)
    chunks = iter(source)
    assert [next(chunks).restart, next(chunks).restart] == [False, True]
    with pytest.raises(SourceError, match="closed by its peer; tried again for 60 s"):
        next(chunks)
    assert source.reconnects == 1


@pytest.mark.parametrize(("t_ns", "anew"), [(30, False), (20, True), (None, True)])
def test_times_that_go_back_begin_anew(t_ns, anew):
    def chunk(at):
        return Chunk(np.zeros((1, 2), np.float32), None if at is None else np.int64([at]))

    def source(chunks):
        return type("Some", (list,), {"malformed": 0, "reports": [], "channels": AB, "rate_hz": 0.0})(chunks)

    dials = iter([source([chunk(20)]), source([chunk(t_ns)])])
    chunks = iter(Reconnecting("tcp://x:1", lambda: next(dials), 1.0, clock=lambda: 0.0, sleep=lambda s: None))
    assert [next(chunks).restart, next(chunks).restart] == [False, anew]


def test_a_sinks_peer_that_comes_back_gets_the_lines_again():
    port = free_port()
    first = socket.create_server(("127.0.0.1", port))
    sink = open_sink(f"tcp://127.0.0.1:{port}", 20.0)
    impatient = open_sink(f"tcp://127.0.0.1:{port}")
    for _ in range(2):
        peer, _ = first.accept()
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        peer.close()  # with a reset: the next send fails
    first.close()
    with pytest.raises(SinkError):
        write_often(impatient)
    got = []

    def serve():
        with socket.create_server(("127.0.0.1", port)) as again:
            peer, _ = again.accept()
            with peer:
                while data := peer.recv(100):
                    got.append(data)

    server = threading.Timer(0.3, serve)
    server.start()
    write_often(sink)
    sink.close()
    server.join(60)
    assert got[0].startswith(b"line ")
    assert got[-1].endswith(b"line 49\n")


def write_often(sink):
    for number in range(50):
        sink.write([f"line {number}"])
