"""The daemon as a whole, in this process and as a command: sources, reload, clients, a clean end."""

import json
import os
import signal
import socket
import stat
import subprocess
import threading
import time

import numpy as np
import pytest
from daemon_rig import COMMAND, noise, reference, write_config, write_model, write_recording
from waiting import until

from edge_rnn.cli.main import main
from edge_rnn.daemon.config import read_config
from edge_rnn.daemon.records import Batch, Place
from edge_rnn.daemon.ring import Ring
from edge_rnn.daemon.service import Service
from edge_rnn.daemon.store import Store
from edge_rnn.daemon.unit import missed_samples
from edge_rnn.errors import SourceError, UsageError
from edge_rnn.recording import Chunk, joined


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model") / "rig.ernn")


def told(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


class Tap:
    """A live source that a test feeds; opening it again after `broken` is a reconnection."""

    malformed, reports, channels, rate_hz = 0, (), (), 0.0

    def __init__(self):
        self.chunks, self.news, self.broken, self.opened = [], threading.Condition(), False, 0

    def give(self, samples, **keys):
        with self.news:
            self.chunks.append(Chunk(np.asarray(samples, np.float32), **keys))
            self.news.notify_all()

    def lose(self):
        with self.news:
            self.broken = True
            self.news.notify_all()

    def open(self, source, channels):
        with self.news:
            self.opened += 1
            self.broken = False
        return self

    def __iter__(self):
        mine = self.opened
        while True:
            with self.news:
                self.news.wait_for(lambda: self.chunks or self.broken, 0.2)
                if self.opened != mine:
                    return  # somebody else reads now
                if self.broken:
                    raise SourceError("pulled")
                chunks, self.chunks = self.chunks, []
            yield from chunks


def live(folder, model, tap, **parts):
    """A service on a tap."""
    config = write_config(folder, source="udp://nowhere:1", model=model, sink=f'url = "{folder / "o.jsonl"}"', **parts)
    service = Service(read_config(config), tap.open)
    service.start()
    return service


def test_once_gives_what_a_run_without_daemon_gives(tmp_path, model):
    recording = write_recording(tmp_path / "x.npz", 6000)
    config = write_config(tmp_path, source=recording, model=model, sink=f'url = "{tmp_path / "o.jsonl"}"')
    done = subprocess.run([*COMMAND, "daemon", "--config", str(config), "--once"], timeout=60, capture_output=True)
    assert done.returncode == 0, done.stderr
    store = Store(tmp_path / "state")
    keys, _, _ = reference(model, recording, store.installation)
    assert [f"{line['type']}:{line['id']}" for line in told(tmp_path / "o.jsonl")] == keys
    assert len(keys) > 30
    assert all(line["wall"].endswith("Z") and line["pipeline"] == "p" for line in told(tmp_path / "o.jsonl"))
    again = subprocess.run([*COMMAND, "daemon", "--config", str(config), "--once"], timeout=60)
    assert again.returncode == 0
    assert len(told(tmp_path / "o.jsonl")) == len(keys), "a recording that is done was done again"


def test_the_test_option_loads_models_and_starts_nothing(tmp_path, model, capsys):
    config = write_config(tmp_path, source="x.csv", model=model)
    assert main(["daemon", "--config", str(config), "--test", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pipelines"]["p"]["model"].startswith("rig@")
    assert not (tmp_path / "state").exists()
    config.write_text(config.read_text().replace(str(model), "none.ernn"))
    assert main(["daemon", "--config", str(config), "--test"]) == 1


def test_nothing_begins_on_values_that_a_stuck_sensor_did_not_send(tmp_path, model):
    """Each fourth missing sample in a row is `degraded` with the rig's gap policy (3, 4)."""
    x = noise(6000)
    for at in range(20, 6000, 11):
        x[at : at + 4, 1] = np.nan
    np.savez(tmp_path / "x.npz", x=x, rec_start=[0, 6000], channels=["c0", "c1", "c2"], fs=50.0)
    config = write_config(tmp_path, source=tmp_path / "x.npz", model=model, sink=f'url = "{tmp_path / "o.jsonl"}"')
    service = Service(read_config(config))
    service.start()
    assert until(lambda: service.finished, 30)
    assert service.drain(10)
    assert service.stop()
    lines = told(tmp_path / "o.jsonl")
    assert [line["type"] for line in lines].count("fault") == len(range(20, 6000, 11))
    begun = [line for line in lines if line["type"] == "start"]
    ended = [line for line in lines if line["type"] == "event" and "reason" not in line]
    assert {line["quality"] for line in begun} == {line["quality"] for line in ended} == {"ok", "imputed"}
    assert not {round(line["t"] * 50) % 11 for line in begun} & {(20 + 3) % 11}


def test_two_pipelines_share_a_source_and_go_at_their_own_cursors(tmp_path, model):
    recording = write_recording(tmp_path / "x.npz", 5000)
    second = f'[[pipeline]]\nid = "q"\nsource = "s"\nmodel = "{model}"\n'
    config = write_config(tmp_path, second, source=recording, model=model)
    service = Service(read_config(config))
    service.start()
    assert until(lambda: service.finished)
    assert service.drain(10)
    assert service.stop()
    store = Store(tmp_path / "state")
    _, _, state = reference(model, recording, store.installation)
    assert store.place("p").cursor == store.place("q").cursor == 5000
    assert state in store.place("p").state
    assert state in store.place("q").state
    store.close()


def test_a_pulled_source_comes_back_and_what_was_missed_is_a_gap(tmp_path, model):
    tap = Tap()
    service = live(tmp_path, model, tap)
    tap.give(noise(50))
    counters = service.units["s"].lanes[0].stream.counters
    assert until(lambda: counters.received == 50)
    tap.lose()
    assert until(lambda: tap.opened == 2)
    tap.broken = False
    tap.give(noise(50))
    assert until(lambda: counters.received == 100)
    assert service.status()["sources"]["s"]["reconnects"] == 1
    assert counters.expected > counters.received
    assert service.stop()


def test_after_a_restart_a_live_source_has_its_state_and_a_gap(tmp_path, model):
    tap = Tap()
    service = live(tmp_path, model, tap)
    tap.give(noise(200))
    assert until(lambda: service.units["s"].lanes[0].stream.counters.received == 200)
    state = service.units["s"].lanes[0].stream.state.to_bytes()
    assert service.stop()
    time.sleep(0.2)
    tap = Tap()
    again = live(tmp_path, model, tap)
    stream = again.units["s"].lanes[0].stream
    assert stream.state.to_bytes() == state
    assert stream.counters.received == 200
    tap.give(noise(5))
    assert until(lambda: stream.counters.received == 205)
    missed = stream.counters.expected - 205
    assert 5 <= missed <= 500, "0.2 s and a start at 50 Hz"
    assert again.stop()
    gaps = [line for line in told(tmp_path / "o.jsonl") if line["type"] == "gap"]
    assert sum(gap["lost"] for gap in gaps) == missed


def test_a_clock_that_went_back_makes_a_gap_that_cannot_be_bridged():
    place = Place(1, "d", 100, False, b"s", 10**18)
    assert missed_samples(place, 10**18 + 10**9, 50.0, 8) == 50
    assert missed_samples(place, 10**18 - 1, 50.0, 8) == 9
    assert missed_samples(place, 2 * 10**18, 50.0, 8) == 9
    assert missed_samples(Place(1, "d"), 0, 50.0, 8) == 0


def test_a_new_model_begins_anew_under_other_ids(tmp_path, model):
    tap = Tap()
    service = live(tmp_path, model, tap)
    tap.give(noise(100))
    assert until(lambda: service.units["s"].lanes[0].stream.counters.received == 100)
    other = write_model(tmp_path / "other.ernn", hidden=16)
    sink = f'url = "{tmp_path}/o.jsonl"'
    changed = read_config(write_config(tmp_path, source="udp://nowhere:1", model=other, sink=sink))
    kept = service.outlets[f"{tmp_path}/o.jsonl"][1]
    service.apply(changed)
    lane = service.units["s"].lanes[0]
    assert lane.stream.counters.received == 0
    assert service.store.place("p").generation == 2
    assert service.outlets[f"{tmp_path}/o.jsonl"][1] is kept, "a sink that did not change was interrupted"
    assert service.stop()


def test_a_bad_configuration_leaves_the_old_one_running(tmp_path, model):
    tap = Tap()
    service = live(tmp_path, model, tap)
    unit = service.units["s"]
    for bad in ({"model": "none.ernn"}, {"service": 'socket = "/tmp/x"\n'}):
        with pytest.raises(Exception, match=r"none\.ernn|restart"):
            service.apply(read_config(write_config(tmp_path, **{"source": "udp://nowhere:1", "model": model, **bad})))
        assert service.units["s"] is unit
    tap.give(noise(30))
    assert until(lambda: unit.lanes[0].stream.counters.received == 30)
    assert service.stop()


def test_an_unchanged_pipeline_is_not_interrupted_by_a_reload(tmp_path, model):
    tap = Tap()
    service = live(tmp_path, model, tap)
    unit = service.units["s"]
    more = f'[[source]]\nid = "t"\nurl = "udp://nowhere:2"\n[[pipeline]]\nid = "q"\nsource = "t"\nmodel = "{model}"\n'
    config = read_config(write_config(tmp_path, more, source="udp://nowhere:1", model=model))
    service.apply(config)
    assert service.units["s"] is unit
    assert set(service.units) == {"s", "t"}
    service.apply(read_config(write_config(tmp_path, source="udp://nowhere:1", model=model)))
    assert set(service.units) == {"s"}
    assert service.stop()


def test_a_pipeline_that_fails_takes_no_other_along(tmp_path, model, monkeypatch):
    tap = Tap()
    config = write_config(
        tmp_path, f'[[pipeline]]\nid = "q"\nsource = "s"\nmodel = "{model}"\n', source="udp://nowhere:1", model=model
    )
    service = Service(read_config(config), tap.open)
    service.start()
    first, second = service.units["s"].lanes
    monkeypatch.setattr(first.stream, "push", lambda *a: 1 / 0)
    tap.give(noise(30))
    assert until(lambda: second.stream.counters.received == 30)
    assert until(lambda: first.failed is not None)
    assert not service.broken
    assert "ZeroDivisionError" in service.status()["pipelines"]["p"]["failed"]
    assert service.stop()


def test_two_daemons_on_one_store_are_refused(tmp_path, model):
    service = live(tmp_path, model, Tap())
    with pytest.raises(UsageError, match="another daemon"):
        Service(service.config)
    assert service.stop()


def test_clients_get_events_and_the_status_and_survive_a_reload(tmp_path, model):
    tap, path = Tap(), tmp_path / "edge.sock"
    service = live(tmp_path, model, tap, service=f'socket = "{path}"\n')
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    service.clients.tell_status({"type": "status", **service.status()})
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(path))
        file = client.makefile("rw")
        file.write("status\n")
        file.flush()
        assert json.loads(file.readline())["type"] == "status"
        service.apply(
            read_config(write_config(tmp_path, source="udp://nowhere:9", model=model, service=f'socket = "{path}"\n'))
        )
        tap.give(noise(400))
        assert json.loads(file.readline())["type"] in ("start", "event", "gap")
    assert service.stop()
    assert not path.exists()


def test_signals_reload_and_end_it(tmp_path, model):
    fifo = tmp_path / "samples"
    os.mkfifo(fifo)
    config = write_config(tmp_path, source=fifo, model=model)
    process = subprocess.Popen([*COMMAND, "daemon", "--config", str(config)], stderr=subprocess.PIPE, text=True)
    lines = []
    threading.Thread(target=lambda: lines.extend(iter(process.stderr.readline, "")), daemon=True).start()
    try:
        assert until(lambda: any("running" in line for line in lines))
        process.send_signal(signal.SIGHUP)
        assert until(lambda: any("read again" in line for line in lines))
        good = config.read_text()
        config.write_text(good.replace("state_dir", "sate_dir"))
        process.send_signal(signal.SIGHUP)
        assert until(lambda: any('did you mean "state_dir"' in line for line in lines))
        assert process.poll() is None
        began = time.monotonic()
        process.terminate()
        assert process.wait(30) == 0
        assert time.monotonic() - began < 5.5
    finally:
        process.kill()
        process.wait()


def test_a_ring_that_is_full_drops_the_oldest_and_numbers_tell():
    ring = Ring(100, True)
    for first in range(0, 250, 30):
        ring.put(Chunk(np.full((30, 1), first, np.float32)))
    chunks, _ = ring.take()
    seq = np.concatenate([chunk.seq for chunk in chunks])
    assert ring.dropped == 170
    np.testing.assert_array_equal(seq, np.arange(170, 270))
    (one,) = joined(chunks)
    np.testing.assert_array_equal(one.seq, seq)


def test_a_ring_of_a_file_waits_and_skips_what_is_known():
    ring = Ring(50, False, 45)
    ring.reopened()
    came = []
    done = threading.Event()

    def feed():
        for first in range(0, 200, 20):
            ring.put(Chunk(np.arange(first, first + 20, dtype=np.float32)[:, None], restart=first == 40))
        done.set()

    threading.Thread(target=feed, daemon=True).start()

    def take():
        chunks, _ = ring.take()
        came.extend(chunk.samples[:, 0] for chunk in chunks)
        assert not any(chunk.restart for chunk in chunks), "the restart was before the cursor"
        return done.is_set() and sum(map(len, came)) >= 155

    assert until(take)
    np.testing.assert_array_equal(np.concatenate(came), np.arange(45, 200))
    assert ring.dropped == 0


def test_batches_merge_with_the_later_place():
    one, two = Batch([], {"p": Place(1, "d", 1)}, {"a": 5}), Batch([], {"p": Place(1, "d", 2)}, {"a": 3, "b": 1}, 2)
    one.absorb(two)
    assert (one.places["p"].cursor, one.acked, one.lost) == (2, {"a": 5, "b": 1}, 2)
