"""Many sockets into a whole daemon: what it tells is what each stream tells alone; holes, bad samples, cuts and all."""

import json
import socket

import numpy as np
import pytest
from daemon_rig import noise, write_model
from edge_rnn.firmware_bridge.oneway import Sender
from test_daemon_service import until

from edge_rnn.daemon.config import parse_config
from edge_rnn.daemon.records import record, stream_name
from edge_rnn.daemon.service import Service
from edge_rnn.model import load

STREAMS, WRITES = 6, 120
SCALE = 2.0**-10


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model") / "rig.ernn")


def listen(path):
    ear = socket.socket(socket.AF_UNIX)
    ear.bind(str(path))
    ear.listen(1)
    return ear


def sent_by(stream, form, rng):
    """Its writes, and the pushes of one stream alone that they stand for: (samples, their numbers)."""
    sender = Sender(3, SCALE, 50.0, stream + 1)
    codes = np.rint(noise(WRITES * 12, stream) / SCALE).astype(np.int16)
    writes, pushes, at = [], [], 0
    for _ in range(WRITES):
        rows = int(rng.integers(1, 12))
        piece, at = codes[at : at + rows], at + rows
        if rng.random() < 0.03:
            piece[:, 1] = 32767  # a sensor at its stop
        lost = int(rng.integers(1, 9)) if form == "frames" and rng.random() < 0.04 else 0
        sender.skip(lost)
        first = (stream + 1 << 40) + sender.count if form == "frames" else sender.count
        pushes.append((piece * np.float32(SCALE), np.arange(first, first + rows)))
        data = sender.frames(piece)
        if form == "csv":
            data = "".join(f"{a!r},{b!r},{c!r}\n" for a, b, c in (piece * SCALE).tolist()).encode()
        writes.append(data)
    return [sender.opening + writes[0] if form == "frames" else writes[0], *writes[1:]], pushes


def alone(model, name, pushes):
    stream = model.stream(name)
    events = [event for x, seq in pushes for event in stream.push(x, None, seq)]
    return [record("", name, model.manifest.model_digest, event, None).key for event in events], stream.snapshot()


@pytest.mark.parametrize("form", ["frames", "csv"])
def test_many_sockets_tell_what_each_stream_tells_alone(tmp_path, model, form):
    ears = [listen(tmp_path / f"s{i}") for i in range(STREAMS)]
    tables = "".join(
        f'[[source]]\nid = "s{i}"\nurl = "unix://{tmp_path}/s{i}"\n'
        f'[[pipeline]]\nid = "p{i}"\nsource = "s{i}"\nmodel = "{model}"\n'
        for i in range(STREAMS)
    )
    tables += f'[[sink]]\nurl = "{tmp_path}/out.jsonl"\n[service]\nstate_dir = "{tmp_path}/state"\ncheckpoint_ms = 30\n'
    service = Service(parse_config(tables.encode()))
    service.start()
    rng, peers = np.random.default_rng(3), [ear.accept()[0] for ear in ears]
    writes, pushes = zip(*(sent_by(i, form, rng) for i in range(STREAMS)), strict=True)
    for turn in range(WRITES):
        for i in rng.permutation(STREAMS).tolist():
            data = writes[i][turn]
            cut = int(rng.integers(0, len(data))) if rng.random() < 0.1 else len(data)
            peers[i].sendall(data[:cut])
            if cut < len(data):
                service.wake()
                peers[i].sendall(data[cut:])
        if turn % 3 == 0:
            until(lambda: service.wake() or True, 0.01)
    names = [stream_name(service.store.installation, f"p{i}", 1) for i in range(STREAMS)]
    wanted = [alone(load(model), name, mine) for name, mine in zip(names, pushes, strict=True)]
    total = [sum(len(x) for x, _ in mine) for mine in pushes]
    lanes = [unit.lanes[0] for unit in service.units.values()]
    assert until(lambda: [lane.stream.counters.received for lane in lanes] == total)
    assert service.stop()
    told = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    for i, (keys, snapshot) in enumerate(wanted):
        assert [f"{line['type']}:{line['id']}" for line in told if line["pipeline"] == f"p{i}"] == keys
        assert lanes[i].stream.snapshot() == snapshot
        assert lanes[i].steps.count == lanes[i].stream.counters.received
    assert sum(len(keys) for keys, _ in wanted) > 50
