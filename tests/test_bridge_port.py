"""Ports that are pulled and come back, on ptys: a simulation, a pty is no UART."""

from __future__ import annotations

import itertools
import os
import threading
import time

import numpy as np
import pytest
from edge_rnn.firmware_bridge.board import Board
from edge_rnn.firmware_bridge.port import Port, explain, find
from edge_rnn.firmware_bridge.reader import Reader, Samples
from edge_rnn.firmware_bridge.simulator import Simulator
from edge_rnn.firmware_bridge.sniff import Sniffer
from lossy_wire import sensor_info
from replug import replug
from simulated import board_on_a_pty, counting, opened
from waiting import until

from edge_rnn.endpoints.serial import SerialSource
from edge_rnn.endpoints.sinks import open_sink
from edge_rnn.endpoints.sources import open_source
from edge_rnn.errors import SourceError, UsageError

CHANNELS = ("a", "b", "c")


def collect(reader, count, seconds=60.0):
    """Seq -> row of so many samples; fails when they do not come."""
    rows, deadline = {}, time.monotonic() + seconds
    for piece in reader:
        assert isinstance(piece, Samples)
        for seq, row in zip(piece.seq.tolist(), piece.rows, strict=True):
            assert seq not in rows
            rows[seq] = tuple(row.tolist())
        if len(rows) >= count:
            return rows
        assert time.monotonic() < deadline, f"{len(rows)} samples of {count}"
    raise AssertionError("the reader ended")


def test_samples_come_in_order_and_whole_over_a_bad_line(tmp_path):
    path = tmp_path / "board"
    with board_on_a_pty(path, period_s=0.002, drop=0.03, corrupt=0.03, duplicate=0.03) as simulator:
        reader = Reader(Port(f"serial://{path}"))
        rows = collect(reader, 500)
        reader.port.close()
    seqs = list(rows)
    assert seqs == sorted(seqs)
    assert all(row[0] == seq & 0x7FFF for seq, row in rows.items())
    assert {"dropped", "corrupted", "duplicated"} <= set(simulator.counts)


def test_a_pulled_cable_and_a_reboot_leave_a_hole_and_no_doubt(tmp_path):
    path = tmp_path / "board"
    with board_on_a_pty(path, disconnect_s=0.5, away_s=0.1, reboot_s=0.9, rename=True, seed=3) as simulator:
        reader = Reader(opened(f"serial://{path}*"))
        rows = collect(reader, 1)
        began = time.monotonic()
        rows |= collect(reader, 500)
        took = time.monotonic() - began
        reader.port.close()
    seqs = list(rows)
    assert simulator.counts["disconnects"] >= 2
    assert simulator.counts["reboots"] >= 1
    assert reader.port.outages >= 2
    assert seqs == sorted(seqs)
    assert max(np.diff(seqs)) > 1
    # The numbers follow the host's clock through reboots: 200 samples a second.
    assert abs((seqs[-1] - seqs[0]) - 200 * took) < 60


def test_r6_an_unplugged_and_renamed_board_is_back_at_once_and_nothing_leaks(tmp_path):
    figures = replug(tmp_path, 500)
    print(figures)
    assert figures["cycles"] >= 499
    assert figures["failed"] == 0
    assert figures["fds_grown"] <= 0
    assert figures["threads_grown"] <= 0  # less: what a test before left has ended
    assert figures["rss_grown_kb"] < 4000
    assert figures["p50_ms"] < 50


def test_csv_lines_are_found_by_themselves(tmp_path):
    path = tmp_path / "sketch"
    with board_on_a_pty(path, csv=lambda row: ",".join(map(str, row))):
        source = SerialSource(f"serial://{path}", CHANNELS)
        rows = []
        for chunk in source:
            rows += chunk.samples.tolist()
            if len(rows) > 100:
                source.reader.stop = True
    assert all(b == a + 1 and c == a + 2 for a, b, c in rows)
    assert source.malformed <= 1


def test_serial_is_a_kind_of_source_that_cannot_wait(tmp_path):
    path = tmp_path / "sketch"
    with board_on_a_pty(path, csv=lambda row: ",".join(map(str, row))):
        source = open_source(f"serial://{path}", ())
        chunk = next(iter(source))
        source.close()
    assert source.channels == ("c0", "c1", "c2")
    assert chunk.seq is not None


@pytest.mark.parametrize("read", [True, False])
def test_a_source_that_is_closed_gives_the_port_free_though_the_board_is_silent(read, tmp_path):
    url = f"serial://{tmp_path}/board"
    with board_on_a_pty(tmp_path / "board", period_s=1e6):
        source = open_source(url, CHANNELS)
        if read:
            assert len(next(iter(source)).samples) == 1
        source.close()
        opened(url).close()


def test_a_board_that_speaks_the_wire_is_a_source(tmp_path):
    path = tmp_path / "board"
    with board_on_a_pty(path) as simulator:
        source = SerialSource(f"serial://{path}", CHANNELS)
        seqs, before = [], None
        for chunk in source:
            before = simulator.overwritten if before is None else before
            assert chunk.samples.dtype == np.float32
            seqs += chunk.seq.tolist()
            if len(seqs) > 100:
                source.reader.stop = True
        overwritten = simulator.overwritten - before
    assert seqs == sorted(set(seqs))
    assert seqs[-1] - seqs[0] + 1 - len(seqs) <= overwritten, "a hole that nobody made"


def test_a_board_with_other_channels_is_refused(tmp_path):
    path = tmp_path / "board"
    with board_on_a_pty(path):
        source = SerialSource(f"serial://{path}", ("x", "y"))
        with pytest.raises(SourceError, match="the board has 3 channels, the bundle 2"):
            next(iter(source))


def test_a_wrong_baud_rate_is_named(tmp_path, caplog):
    master, slave = os.openpty()
    os.set_blocking(master, False)
    stop = threading.Event()

    def garbage():
        while not stop.wait(0.02):
            os.write(master, bytes([0xF8, 0x80, 0x9E, 0xE6]))

    thread = threading.Thread(target=garbage)
    thread.start()
    reader = Reader(Port(f"serial://{os.ttyname(slave)}?baud=9600"))

    def end():
        until(lambda: reader.warnings)
        stop.wait(0.5)  # it comes once
        reader.stop = True

    threading.Thread(target=end).start()
    assert list(reader) == []
    stop.set()
    thread.join()
    reader.port.close()
    os.close(master)
    os.close(slave)
    assert len(reader.warnings) == 1
    assert "bytes but no frames and no lines: is 9600 the baud rate?" in reader.warnings[0]


def test_a_simulated_board_that_cannot_keep_its_rate_still_answers(tmp_path):
    """Each look at the clock takes three periods, as on a machine much too slow."""
    now, made = itertools.count(), itertools.count()

    def rows():
        for n in made:
            assert n < 10_000, "it makes samples and nothing else"
            yield (n & 0x7FFF, 0, 0)

    board = Board(sensor_info(), slots=4)
    simulator = Simulator(lambda: board, rows(), 0.001, tmp_path / "board", clock=lambda: next(now) * 0.003)
    simulator.run(1.0)
    assert 100 < next(made) < 500


def test_a_port_is_held_alone(tmp_path):
    path = tmp_path / "board"
    with board_on_a_pty(path):
        first = Port(f"serial://{path}")
        with pytest.raises(SourceError, match="held by another program"):
            Port(f"serial://{path}")
        first.close()
        Port(f"serial://{path}").close()


def test_errors_of_opening_say_what_to_do(tmp_path):
    with pytest.raises(SourceError, match="is the board plugged in"):
        Port(f"serial://{tmp_path}/none")
    with pytest.raises(SourceError, match="no device matches"):
        Port(f"serial://{tmp_path}/none*")
    with pytest.raises(SourceError, match="no USB device 2341:0043"):
        Port("serial://2341:0043")
    with pytest.raises(SourceError, match="nobody listens"):
        Port("socket://127.0.0.1:1")
    with pytest.raises(UsageError, match="baud=fast"):
        Port("serial:///dev/null?baud=fast")
    with pytest.raises(UsageError, match="kind gopher"):
        find("gopher://x")
    assert "dialout" in explain(PermissionError(13, "Permission denied"), "/dev/ttyACM0")


def test_the_newest_of_several_names_is_taken(tmp_path):
    for n in range(3):
        (tmp_path / f"board-{2 - n}").symlink_to("/dev/null")
        os.utime(tmp_path / f"board-{2 - n}", ns=(0, n * 10**9), follow_symlinks=False)
    assert find(f"serial://{tmp_path}/board-*") == str(tmp_path / "board-0")


def test_one_line_is_logged_for_an_outage(tmp_path, caplog):
    caplog.set_level("INFO", "edge_rnn.serial")
    path = tmp_path / "board"
    simulator = Simulator(lambda: Board(sensor_info()), counting(), 1, path)
    simulator.plug()
    port = Port(f"serial://{path}")
    simulator.unplug()
    for _ in range(20):
        assert port.read(0.01) == b""
    simulator.plug()
    assert until(lambda: port.read(0.05) or port.up)
    assert [r.levelname for r in caplog.records] == ["WARNING", "INFO"]
    port.close()
    simulator.unplug()


def test_a_line_that_select_cannot_wait_for_is_polled():
    port = Port("loop://")
    assert port.read(0.01) == b""
    assert port.write(b"abc")
    assert b"".join(port.read(0.1) for _ in range(3)) == b"abc"
    port.close()


def test_sink_writes_lines_to_a_port():
    master, slave = os.openpty()
    sink = open_sink(f"serial://{os.ttyname(slave)}")
    sink.write(['{"type":"event"}'])
    assert os.read(master, 100).strip() == b'{"type":"event"}'
    sink.close()
    os.close(master)
    os.close(slave)


def test_chatter_before_the_first_row_is_not_lines():
    sniffer = Sniffer()
    assert sniffer.feed(b"Booting v1.2\r\n") == "unknown"
    assert sniffer.feed(b"1,2.5,-3\r") == "unknown"
    assert sniffer.feed(b"\n") == "lines"
    assert Sniffer().feed(b"1,2\n\xff") == "unknown"
    assert Sniffer().feed(b'{"t":1,"v":[1,2]}\n') == "lines"
