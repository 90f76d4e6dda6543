"""From nothing to the first step, each time in a new process: import, load, step, and the memory it takes over NumPy.

A device starts its daemon after each power cut; what a process maps, its neighbours lack. The clock is the processor's
time of the process: others on the machine, and its disk, do not count.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from edge_rnn.export.bundle_writer import Facts, build_bundle

from edge_rnn.graph import Graph
from edge_rnn.manifest import Channel

from . import litert
from .rivals import lean_onnx

# Each sets `step` in two parts. Steps are of zeros; states as the runtime hands them out.
CODE = {
    "native": (
        "import edge_rnn",
        "step = edge_rnn.load(path, 'native').stream().step; x = np.zeros(inputs, np.float32)",
    ),
    "onnxruntime": (
        "import onnxruntime",
        (
            "session = onnxruntime.InferenceSession(path, providers=['CPUExecutionProvider'])\n"
            "feeds = {i.name: np.zeros([d if isinstance(d, int) else 1 for d in i.shape], np.float32)"
            " for i in session.get_inputs()}\n"
            "step = lambda feeds: session.run(None, feeds); x = feeds"
        ),
    ),
    "litert": (
        "from ai_edge_litert.interpreter import Interpreter",
        (
            "model = Interpreter(model_path=path, num_threads=1); model.allocate_tensors(); x = None\n"
            "step = lambda _: model.invoke()"
        ),
    ),
}
MEASURE = """
import json, sys, time
import numpy as np
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
path, inputs, start, opened = sys.argv[1], int(sys.argv[2]), *sys.argv[3:]
before, clock = resident(), [time.process_time()]
exec(start)
clock.append(time.process_time())
exec(opened)
clock.append(time.process_time())
step(x)
clock.append(time.process_time())
parts = [b - a for a, b in zip(clock, clock[1:])]
print(json.dumps([*parts, resident() - before]))
"""


def write_models(graph: Graph, folder: Path) -> dict[str, Path]:
    """The same network as each contestant reads it."""
    channels = tuple(Channel(f"c{n}", "g", 0.0, 1.0, -4.0, 4.0) for n in range(graph.inputs))
    labels = tuple("abcdefghijkl"[: graph.outputs])
    golden = np.random.default_rng(0).standard_normal((64, graph.inputs)).astype(np.float32)
    blobs = {"native": (".ernn", build_bundle(graph, Facts(channels, labels, 50.0, 128, golden)))}
    blobs["onnxruntime"] = (".onnx", lean_onnx(graph))
    if litert.installed():
        blobs["litert"] = (".tflite", litert.flatbuffer(graph))
    paths = {}
    for name, (suffix, blob) in blobs.items():
        paths[name] = folder / f"model{suffix}"
        paths[name].write_bytes(blob)
    return paths


def measure_start(graph: Graph, rounds: int = 7) -> dict[str, dict[str, float]]:
    """Name -> least ms of import, load and first step and of their sum, and MiB of resident memory over NumPy's."""
    with tempfile.TemporaryDirectory() as folder:
        paths = write_models(graph, Path(folder))
        runs: dict[str, list[Any]] = {name: [] for name in paths}
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(Path(folder) / "bytecode")}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        for _ in range(rounds + 1):  # the first compiles all modules and fills the disk's cache
            for name, path in paths.items():
                command = [sys.executable, "-c", MEASURE, str(path), str(graph.inputs), *CODE[name]]
                done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
                runs[name].append(json.loads(done.stdout.splitlines()[-1]))
    return {name: _figures(np.array(found[1:])) for name, found in runs.items()}


def _figures(runs: Any) -> dict[str, float]:
    least = 1e3 * runs[:, :3].min(axis=0)
    parts = dict(zip(("import_ms", "load_ms", "first_step_ms"), least.tolist(), strict=True))
    total = 1e3 * float(runs[:, :3].sum(axis=1).min())
    figures = {**parts, "total_ms": total, "memory_mib": float(np.median(runs[:, 3])) / 2**20}
    return {name: round(value, 3) for name, value in figures.items()}
