"""R17: a thousand local clients, some of them stalled, and a flood of garbage do not make inference late."""

import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from daemon_rig import noise, write_config, write_model
from test_daemon_service import Tap
from waiting import until

from edge_rnn.daemon import clients, lane
from edge_rnn.daemon.config import read_config
from edge_rnn.daemon.service import Service

FLOOD = Path(__file__).parent / "daemon_flood.py"
CLIENTS, STALLED, RATE, SECONDS = 1000, 100, 10_000, 8
pytestmark = pytest.mark.slow


class OnTheStepThread(clients.Clients):
    """The negative control: whoever makes the steps also serves the clients, and waits for those that do not read."""

    def start(self):
        self.peers = getattr(self, "peers", None) or []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4608)
            peer.settimeout(0.02)
            self.peers.append(peer)

    def serve(self, lines):
        for peer in list(self.peers):
            try:
                peer.sendall("".join(lines).encode())
            except TimeoutError:
                continue
            except OSError:
                self.peers.remove(peer)


def ahead_of_the_neighbours(policy):
    """Real-time priority for this process's threads, not for those it starts: what is measured is the daemon, not who
    else uses the machine."""
    priority = 10 if policy == os.SCHED_FIFO else 0
    for thread in os.listdir("/proc/self/task"):
        try:
            os.sched_setscheduler(int(thread), policy | os.SCHED_RESET_ON_FORK, os.sched_param(priority))
        except PermissionError:
            pytest.skip("real-time priority needs root: lateness would measure the machine's other users")
        except ProcessLookupError:
            continue


def lateness(folder, monkeypatch, capsys, kind):
    """p99 of the time from a sample's coming to its step, in ms: idle, and under the flood."""
    monkeypatch.setattr("edge_rnn.daemon.service.Clients", kind)
    stepped = []
    plain = lane.Lane.work

    def work(self, clock_ns):
        before = self._cursor
        batch = plain(self, clock_ns)
        if batch is not None and isinstance(service.clients, OnTheStepThread):
            service.clients.serve([one.line for one in batch.records])
        if self._cursor != before:
            stepped.append((self._cursor, time.monotonic()))
        return batch

    monkeypatch.setattr(lane.Lane, "work", work)
    path, tap = folder / "edge.sock", Tap()
    model = write_model(folder / "rig.ernn")
    config = write_config(folder, source="udp://nowhere:1", model=model, service=f'socket = "{path}"\n')
    service = Service(read_config(config), tap.open)
    service.start()
    x, came = noise(100_000), {}

    def feed(seconds):
        end, waits = time.monotonic() + seconds, []
        began = len(came)
        while time.monotonic() < end:
            n = len(came)
            came[n + 1] = time.monotonic()
            tap.give(x[n : n + 1])
            time.sleep(0.005)
        assert until(lambda: stepped and stepped[-1][0] >= len(came))
        n = 0
        for cursor, at in stepped:
            waits += [at - came[one] for one in range(n + 1, cursor + 1) if one > began]
            n = cursor
        return float(np.percentile(waits, 99)) * 1e3

    command = [sys.executable, str(FLOOD), str(path), *map(str, (CLIENTS, STALLED, RATE, SECONDS))]
    try:
        ahead_of_the_neighbours(os.SCHED_FIFO)
        feed(1)
        idle = feed(5)
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as flood:
            try:
                assert flood.stdout.readline() == "joined\n"
                busy = feed(SECONDS - 1)
                sent = int(flood.communicate(timeout=60)[0])
            finally:
                flood.kill()
    finally:
        ahead_of_the_neighbours(os.SCHED_OTHER)  # or all tests that follow would starve the machine
        stopped = service.stop()
    assert stopped
    with capsys.disabled():
        print(f"\nR17: {kind.__name__}: p99 idle {idle:.1f} ms, flooded {busy:.1f} ms, {sent} messages of garbage")
    assert sent > RATE * SECONDS / 4
    return idle, busy


def test_r17_a_flood_does_not_make_steps_late(tmp_path, monkeypatch, capsys):
    idle, busy = lateness(tmp_path, monkeypatch, capsys, clients.Clients)
    assert busy <= 2 * idle


def test_r17_clients_on_the_step_thread_do(tmp_path, monkeypatch, capsys):
    """The negative control."""
    idle, busy = lateness(tmp_path, monkeypatch, capsys, OnTheStepThread)
    assert busy > 2 * idle
