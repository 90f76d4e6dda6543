"""Sources and sinks over real sockets, a growing file and a real broker."""

import json
import os
import signal
import socket
import subprocess
import threading
import time
from contextlib import closing
from urllib.parse import urlsplit

import numpy as np
import pytest
from conftest import model_of, random_float_graph
from ports import free_port
from test_pipeline import Memory
from waiting import until

from edge_rnn import pipeline
from edge_rnn.endpoints import blocks
from edge_rnn.endpoints.live import Live
from edge_rnn.endpoints.sinks import open_sink
from edge_rnn.endpoints.sources import open_source
from edge_rnn.errors import SinkError, SourceError, UsageError
from edge_rnn.recording import Chunk
from edge_rnn.together import run_together

AB = ("a", "b")


def collect(url, count, into):
    """Rows of a source until there are `count`."""
    for chunk in open_source(url, AB):
        into += chunk.samples.tolist()
        if len(into) >= count:
            return


def in_thread(function, *arguments):
    thread = threading.Thread(target=function, args=arguments, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("family", ["tcp", "unix"])
def test_a_connected_peer_is_read_until_it_closes(family, tmp_path):
    if family == "tcp":
        server = socket.create_server(("127.0.0.1", 0))
        url = f"tcp://127.0.0.1:{server.getsockname()[1]}"
    else:
        server = socket.socket(socket.AF_UNIX)
        server.bind(str(tmp_path / "s"))
        server.listen()
        url = f"unix://{tmp_path}/s"
    with server:
        rows = []
        reader = in_thread(lambda: rows.extend(r for c in open_source(url, AB) for r in c.samples.tolist()))
        peer, _ = server.accept()
        with peer:
            for piece in (b"1,2\n3", b",4\n5,6"):
                peer.sendall(piece)
                time.sleep(0.02)
        reader.join(60)
        assert rows == [[1, 2], [3, 4], [5, 6]]


def test_nobody_there_is_a_lost_source(tmp_path):
    for url in (f"tcp://127.0.0.1:{free_port()}", f"unix://{tmp_path}/nobody"):
        with pytest.raises(SourceError, match="cannot connect"):
            list(open_source(url, AB))
        with pytest.raises(SourceError, match="cannot connect"):
            open_sink(url)
    for url in ("tcp://127.0.0.1", "tcp://127.0.0.1:99999", "udp://x"):
        with pytest.raises(UsageError, match="port"):
            blocks.dial(url, urlsplit(url), "tcp")


def test_datagrams_are_whole_lines():
    port, rows = free_port(socket.SOCK_DGRAM), []
    reader = in_thread(collect, f"udp://127.0.0.1:{port}", 3, rows)
    sink = open_sink(f"udp://127.0.0.1:{port}")

    def send():
        sink.write(["1,2"])
        return len(rows) > 0

    assert until(send)
    sent = len(rows)
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as bare:
        bare.sendto(b"3,4", ("127.0.0.1", port))
        bare.sendto(b"5,6\n7,8", ("127.0.0.1", port))
    reader.join(60)
    assert rows[0] == [1, 2]
    assert sent >= 1
    sink.close()


def test_a_growing_file_is_followed_through_truncation_and_rotation(tmp_path):
    path, rows = tmp_path / "x.csv", []
    path.write_text("1,2\n3")
    in_thread(collect, f"follow:{path}", 5, rows)
    assert until(lambda: rows == [[1, 2]])
    with path.open("a") as file:
        file.write(",4\n")
    assert until(lambda: rows[-1] == [3, 4])
    path.write_text("5,6\n")
    assert until(lambda: rows[-1] == [5, 6])
    os.rename(path, tmp_path / "x.old")
    time.sleep(0.15)
    path.write_text("7,8\n9,9\n")
    assert until(lambda: rows[-1] == [9, 9])
    assert rows == [[1, 2], [3, 4], [5, 6], [7, 8], [9, 9]]


def test_samples_and_events_go_through_a_broker(broker):
    rows = []
    reader = in_thread(collect, f"{broker.url}/imu", 50, rows)
    sink = open_sink(f"{broker.url}/imu")
    assert until(lambda: (sink.write(["1,2"]), len(rows) > 0)[1])
    sink.write([f"{i},7" for i in range(50)])
    reader.join(60)
    counted = [row[0] for row in rows if row[1] == 7]
    assert counted == list(range(len(counted)))
    sink.close()


def test_an_mqtt_url_without_host_broker_or_topic_is_told(broker):
    with pytest.raises(UsageError, match="topic"):
        open_sink("mqtt://host")
    with pytest.raises(UsageError, match="no \\+"):
        open_sink(f"{broker.url}/a/#")
    with pytest.raises(SourceError, match="cannot connect"):
        open_sink(f"mqtt://127.0.0.1:{free_port()}/x")


def test_a_sink_whose_peer_left_is_an_error_of_ours():
    with socket.create_server(("127.0.0.1", 0)) as server:
        sink = open_sink(f"tcp://127.0.0.1:{server.getsockname()[1]}")
        server.accept()[0].close()

        def write_until_it_is_noticed():
            for _ in range(100):
                sink.write(["x" * 10_000])
                time.sleep(0.01)

        with pytest.raises(SinkError):
            write_until_it_is_noticed()
        sink.close()


class Steps:
    """A source that gives what the test hands it."""

    malformed, reports, channels, rate_hz = 0, (), AB, 0.0

    def __init__(self, chunks=()):
        self.chunks = list(chunks)

    def __iter__(self):
        for chunk in self.chunks:
            if isinstance(chunk, BaseException):
                raise chunk
            yield chunk


def rows_of(first, count):
    return Chunk(np.column_stack([np.arange(first, first + count)] * 2).astype(np.float32))


def test_a_full_queue_drops_the_oldest_and_the_gap_shows_in_the_numbers():
    live = Live(Steps(), limit=10)
    for i in range(5):
        live.put(rows_of(4 * i, 4))
    live.close()
    chunks = list(live)
    assert np.concatenate([c.samples[:, 0] for c in chunks]).tolist() == list(range(10, 20))
    assert np.concatenate([c.seq for c in chunks]).tolist() == list(range(10, 20))
    assert live.dropped == 10


def test_a_dropped_beginning_of_a_recording_still_begins_one():
    live = Live(Steps(), limit=4)
    for chunk in (rows_of(0, 2), Chunk(rows_of(2, 2).samples, restart=True), rows_of(4, 4)):
        live.put(chunk)
    live.close()
    assert [c.restart for c in live] == [True]


def test_a_source_that_can_wait_waits_and_loses_nothing():
    live = Live(Steps([rows_of(10 * i, 10) for i in range(100)]), limit=20, drop=False)
    got = []
    for chunk in live:
        time.sleep(0.0005)
        got += chunk.samples[:, 0].tolist()
    assert got == list(range(1000))
    assert live.dropped == 0


@pytest.mark.parametrize("error", [SourceError("unplugged"), ValueError("a bug")])
def test_what_the_reader_raises_is_heard_after_what_came(error):
    chunks = iter(Live(Steps([rows_of(0, 3), error])))
    assert len(next(chunks).samples) == 3
    with pytest.raises(SourceError):
        next(chunks)


def test_sources_run_together_as_each_would_alone(model, noise):
    class Named(Steps):
        channels = ("c0", "c1", "c2")

    pieces = {
        name: [Chunk(sign * noise[i : i + 20]) for i in range(0, 400, 20)] for name, sign in (("p", 1), ("q", -1))
    }
    sink = Memory()
    reports = run_together({name: Named(chunks) for name, chunks in pieces.items()}, model, [sink], scores_every=50)
    for name, chunks in pieces.items():
        alone = Memory()
        pipeline.run(chunks, model.stream(name), [alone], scores_every=50)
        mine = [{k: v for k, v in line.items() if k != "source"} for line in sink.lines if line["source"] == name]
        assert mine == alone.lines
        assert reports[name].samples["used"] == 400


def test_one_lost_source_does_not_stop_the_others(model, noise):
    class Named(Steps):
        channels = ("c0", "c1", "c2")

    sources = {"bad": Named([Chunk(noise), SourceError("gone")]), "good": Named([Chunk(noise), Chunk(noise)])}
    reports = run_together(sources, model, [Memory()])
    assert str(reports["bad"].lost) == "gone"
    assert reports["good"].lost is None
    assert reports["good"].samples["used"] == 800


def test_a_broken_sink_stops_all_and_is_told(noise):
    class Broken(Memory):
        def write(self, lines):
            raise SinkError("full")

    model = model_of(random_float_graph())
    with pytest.raises(SinkError, match="full"):
        run_together(
            {"a": Steps([Chunk(noise)] * 3), "b": Steps([Chunk(noise)] * 3)}, model, [Broken()], scores_every=1
        )


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_stopped_ends_cleanly_and_says_what_it_did(stop, tmp_path):
    from edge_rnn.export import export_bundle
    from test_cli import COMMAND, MODELS

    bundle = export_bundle(MODELS / "watch_gru32.pt", tmp_path / "m.ernn", precision="float32", steps=100).path
    a, b = tmp_path / "a.csv", tmp_path / "b.csv"
    for path in (a, b):
        path.write_text("1,2,3,4,5,6\n" * 100)
    command = [*COMMAND, "run", str(bundle), "--json", "--scores", "all"]
    sources = ["--source", f"follow:{a}", "--source", f"follow:{b}"]
    process = subprocess.Popen([*command, *sources], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        for _ in range(200):
            assert process.stdout.readline()
        process.send_signal(stop)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, err
    summaries = [json.loads(line) for line in err.splitlines()]
    assert [s["samples"]["received"] for s in summaries] == [100, 100]
