"""The load rig: N live streams at 1 kHz into a real daemon; its processor time, and how late its durable events are.

    python tests/daemon_load.py [--streams 32] [--seconds 20] [--form frames|csv] [--tick-ms 6]

Each stream is a Unix socket that this program serves, 5 ms of samples a write, as frames of the wire or as CSV.
Sample-to-event: from the write of the sample at which an event was decided to the event's arrival at a unix:// sink,
after its commit.
"""

from __future__ import annotations

import argparse
import json
import os
import selectors
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
from daemon_rig import COMMAND, write_model
from edge_rnn.firmware_bridge.oneway import Sender

RATE_HZ = 1000
WRITE_S = 0.005
WARM_S = 2.0
SCALE = 2.0**-12
DETECTOR = {"smooth_ms": 50.0, "enter": 0.6, "exit": 0.4, "min_ms": 20.0, "refractory_ms": 200.0}


def blocks(seed: int, seconds: float, form: str) -> list[bytes]:
    """Writes of 5 ms: levels that change every half second, and noise."""
    rng, size = np.random.default_rng(seed), round(WRITE_S * RATE_HZ)
    x = np.repeat(rng.normal(0, 2.0, (round(seconds * 2) + 1, 3)), RATE_HZ // 2, axis=0)
    x += rng.normal(0, 0.2, x.shape)
    if form == "csv":
        lines = [f"{a:.3f},{b:.3f},{c:.3f}\n" for a, b, c in x.tolist()]
        return ["".join(lines[at : at + size]).encode() for at in range(0, len(lines), size)]
    sender = Sender(3, SCALE, RATE_HZ, seed + 1)
    codes = np.clip(np.rint(x / SCALE), -32768, 32767).astype(np.int16)
    writes = [sender.frames(codes[at : at + size]) for at in range(0, len(codes), size)]
    return [sender.opening + writes[0], *writes[1:]]


def listener(path: Path) -> socket.socket:
    made = socket.socket(socket.AF_UNIX)
    made.bind(str(path))
    made.listen(1)
    return made


def configure(folder: Path, streams: int, tick_ms: float | None) -> Path:
    model = write_model(folder / "load.ernn", RATE_HZ, detector=DETECTOR)
    text = "".join(
        f'[[source]]\nid = "s{i}"\nurl = "unix://{folder}/s{i}"\n'
        f'[[pipeline]]\nid = "p{i}"\nsource = "s{i}"\nmodel = "{model}"\n'
        for i in range(streams)
    )
    path = folder / "edge-rnn.toml"
    path.write_text(
        f'{text}[[sink]]\nurl = "unix://{folder}/sink"\nwindow = 1000\n[service]\nstate_dir = "{folder}/state"\n'
        + ("" if tick_ms is None else f"tick_ms = {tick_ms}\n")
    )
    return path


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run(
    streams: int, seconds: float, form: str = "frames", real_time: bool = False, tick_ms: float | None = None
) -> dict[str, float | str]:
    """Figures of one run; `real_time` puts the daemon ahead of the machine's other users."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ears, sink = [listener(folder / f"s{i}") for i in range(streams)], listener(folder / "sink")
        daemon = subprocess.Popen(
            [*COMMAND, "daemon", "--config", str(configure(folder, streams, tick_ms))], stderr=subprocess.DEVNULL
        )
        peers = [ear.accept()[0] for ear in ears]
        events, _ = sink.accept()
        events.setblocking(False)
        if real_time:
            for thread in os.listdir(f"/proc/{daemon.pid}/task"):
                os.sched_setscheduler(int(thread), os.SCHED_FIFO, os.sched_param(5))
        data = [blocks(i, seconds + WARM_S + 1, form) for i in range(streams)]
        written: list[list[float]] = [[] for _ in range(streams)]
        poll = selectors.DefaultSelector()
        poll.register(events, selectors.EVENT_READ)
        waits, half, busy, began, cpu, warm = [], b"", 0, time.monotonic(), 0.0, WARM_S
        write = 0
        while (now := time.monotonic() - began) < seconds + warm:
            if cpu == 0.0 and now >= warm:
                cpu, since = cpu_seconds(daemon.pid), now
            while write * WRITE_S / streams <= now:  # the streams' writes are spread over the 5 ms
                stream, turn = write % streams, write // streams
                peers[stream].sendall(data[stream][turn])
                written[stream].append(time.monotonic())
                write += 1
            if poll.select(WRITE_S / streams):
                came = time.monotonic()
                *lines, half = (half + events.recv(1 << 16)).split(b"\n")
                for line in map(json.loads, lines):
                    if line["type"] == "start" and now > warm:
                        turn = round(line["t"] * RATE_HZ) // round(WRITE_S * RATE_HZ)
                        waits.append(came - written[int(line["pipeline"][1:])][turn])
                        busy += 1
        used = (cpu_seconds(daemon.pid) - cpu) / (now - since)
        daemon.terminate()
        daemon.wait(20)
        p50, p99 = np.percentile(waits, [50, 99]) * 1e3
        figures = {"streams": streams, "form": form, "core_percent": round(used * 100, 1)}
        late = {"event_p50_ms": round(float(p50), 2), "event_p99_ms": round(float(p99), 2)}
        return {**figures, "events_per_s": round(busy / seconds, 1), **late}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--streams", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--form", choices=["frames", "csv"], default="frames")
    parser.add_argument("--real-time", action="store_true")
    parser.add_argument("--tick-ms", type=float)
    given = parser.parse_args()
    print(json.dumps(run(given.streams, given.seconds, given.form, given.real_time, given.tick_ms)))
