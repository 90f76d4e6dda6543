"""What the daemon's rigs share: a model that says much on noise, recordings, configurations, processes to kill."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import numpy as np
from edge_rnn.export.bundle_writer import Facts, build_bundle
from int8_models import random_graph

from edge_rnn.daemon.dedup import Dedup
from edge_rnn.daemon.records import record, stream_name
from edge_rnn.daemon.store import Store
from edge_rnn.engine import State
from edge_rnn.graph import Layer
from edge_rnn.manifest import Channel
from edge_rnn.model import load
from edge_rnn.stored_zip import pack_zip, unpack_zip

HERE = Path(__file__).parent
DETECTOR = {"smooth_ms": 40.0, "enter": 0.5, "exit": 0.3, "min_ms": 20.0, "refractory_ms": 60.0}
COMMAND = [sys.executable, "-c", "from edge_rnn.cli.main import script; script()"]


def write_model(path: Path, rate_hz: float = 50.0, hidden: int = 32, detector: dict | None = None) -> Path:
    """An int8 GRU-32 with 3 channels and 4 labels, all but one of them watched, that needs no torch."""
    rng = np.random.default_rng(8)
    layers = [Layer("gru", 3, hidden, "tanh", None, None), Layer("dense", hidden, 4, "none")]
    graph = random_graph(rng, layers, (18, 20))
    graph.arrays["sx"][:] = 2.0**-12
    channels = tuple(Channel(f"c{i}", "g", 0.0, 1.0, -4.0, 4.0) for i in range(3))
    labels = ("k0", "k1", "k2", "k3")
    facts = Facts(channels, labels, rate_hz, 4, rng.normal(0, 1, (128, 3)).astype(np.float32), "k0", name="rig")
    members = unpack_zip(build_bundle(graph, facts), "rig")
    manifest = json.loads(members.pop("manifest.json"))
    scale = 50.0 / rate_hz
    quick = {name: value * scale if name.endswith("_ms") else value for name, value in DETECTOR.items()}
    manifest["detector"] = dict.fromkeys(labels[1:], detector or quick)
    manifest["files"] = {name: sha256(body).hexdigest() for name, body in members.items()}
    path.write_bytes(pack_zip({"manifest.json": json.dumps(manifest).encode(), **members}))
    return path


def noise(samples: int, seed: int = 7) -> np.ndarray:
    """Samples (N, 3) that drive the model through its classes."""
    rng = np.random.default_rng(seed)
    slow = np.repeat(rng.normal(0, 1.5, (samples // 10 + 1, 3)), 10, axis=0)[:samples]
    return (slow + rng.normal(0, 0.3, (samples, 3))).astype(np.float32)


def write_recording(path: Path, samples: int, seed: int = 7) -> Path:
    """An .npz of three recordings."""
    starts = [0, samples // 3, samples // 2, samples]
    np.savez(path, x=noise(samples, seed), rec_start=starts, channels=["c0", "c1", "c2"], fs=50.0)
    return path


def reference(model_path: Path, recording: Path, installation: str, pipeline: str = "p"):
    """Keys and lines of an uninterrupted run without daemon or store, and the state it ends with."""
    model = load(model_path)
    name = stream_name(installation, pipeline, 1)
    stream = model.stream(name)
    with np.load(recording) as file:
        x, starts = file["x"], file["rec_start"].tolist()
    events = []
    for number, (a, b) in enumerate(pairwise(starts)):
        events += stream.reset() if number else []
        events += stream.push(x[a:b])
    events += stream.finish()
    records = [record(pipeline, name, model.manifest.model_digest, event, None) for event in events]
    return [one.key for one in records], [json.loads(one.line) for one in records], stream.state.to_bytes()


def lines_of(path: Path) -> list[dict]:
    """Whole lines of a sink's file; a line that a kill cut off is no line."""
    lines = []
    for raw in path.read_bytes().split(b"\n") if path.exists() else []:
        with contextlib.suppress(ValueError):
            lines.append(json.loads(raw))
    return lines


def told(out: Path) -> set[str]:
    """Keys of what a sink has."""
    return {f"{line['type']}:{line['id']}" for line in lines_of(out)}


def complaints(state: Path, model: Path, recording: Path, out: Path, acknowledged: set[str]) -> list[str]:
    """What is wrong with a finished run that was interrupted, against one that was not."""
    store = Store(state)
    keys, wanted, snapshot = reference(model, recording, store.installation)
    place = store.place("p")
    store.close()
    seen = Dedup()
    lines = [line for line in lines_of(out) if seen.accept(line)]
    got = [f"{line['type']}:{line['id']}" for line in lines]
    wrong = []
    if got != keys:
        wrong.append(f"{len(set(keys) - set(got))} lost, {len(set(got) - set(keys))} not in the reference")
    elif [{k: v for k, v in line.items() if k != "wall"} for line in lines] != wanted:
        wrong.append("an event has other contents")
    if not acknowledged <= set(got):
        wrong.append("an acknowledged event is gone")
    loaded = load(model)
    stream = loaded.stream()
    stream.restore(place.state)
    if stream.state.to_bytes() != snapshot or stream.state.to_bytes() == State(loaded.manifest.states).to_bytes():
        wrong.append("the state is another")
    assert place.finished
    assert len(keys) > 500
    return wrong


def write_config(folder: Path, text: str = "", **parts: str) -> Path:
    """edge-rnn.toml for one source and one pipeline `p`; `parts` are source, model, sink and service lines."""
    sinks = "".join(f"[[sink]]\n{sink}\n" for sink in parts.get("sink", "").split("---") if sink.strip())
    path = folder / "edge-rnn.toml"
    path.write_text(
        f'[[source]]\nid = "s"\nurl = "{parts["source"]}"\n'
        f'[[pipeline]]\nid = "p"\nsource = "s"\nmodel = "{parts["model"]}"\n'
        f'{sinks}{text}[service]\nstate_dir = "{folder / "state"}"\n{parts.get("service", "")}'
    )
    return path


class Zygote:
    """A process that has imported everything and forks a daemon in milliseconds, to be killed."""

    def __init__(self, control: str = "") -> None:
        command = [sys.executable, str(HERE / "daemon_zygote.py"), control]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, config: Path, moment: Callable[[], object] | None) -> int | None:
        """Run `daemon --once`, killed with SIGKILL when `moment` returns; its exit code, None when it was killed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{config}\n")
        self._process.stdin.flush()
        pid = int(self._process.stdout.readline())
        if moment is not None:
            moment()
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
        code = int(self._process.stdout.readline())
        return None if code == -9 else code

    def ended(self) -> bool:
        """Whether the daemon that `run` waits for is gone."""
        return bool(select.select([self._process.stdout], [], [], 0)[0])

    def close(self) -> None:
        self._process.stdin.close()
        try:
            self._process.wait(10)
        finally:
            self._process.kill()
