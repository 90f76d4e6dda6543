"""R4: a power cut at any moment loses nothing that was acknowledged, over a cache that keeps, drops and tears writes.

A simulation: the system calls of a real run are recorded (tests/c/write_log.c), and a cut leaves of what was written
since a file's last flush any part, by sectors of 512 bytes and in any order. No real disk or file system takes part.
EDGE_RNN_CUTS sets how many cuts (default 100; the full promise is 1,000).
"""

import os
import random
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from power_cut import tear, truncate, what_is_wrong, write

CUTS = int(os.environ.get("EDGE_RNN_CUTS", "100"))
COMMITS = 1200
SEED = 4
HERE = Path(__file__).parent
HEAD = struct.Struct("<BHQI")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("the power-cut rig needs Linux and a C compiler")
    library = tmp_path_factory.mktemp("shim") / "write_log.so"
    source = HERE / "c" / "write_log.c"
    subprocess.run([compiler, "-O1", "-Wall", "-shared", "-fPIC", source, "-o", library, "-ldl"], check=True)
    return library


def record(folder, shim, synchronous):
    """Run the writer; its operations: (kind, path, offset, data)."""
    root = folder / synchronous
    root.mkdir()
    log = folder / f"{synchronous}.log"
    environment = {**os.environ, "LD_PRELOAD": str(shim), "EDGE_RNN_LOG": str(log), "EDGE_RNN_LOG_ROOT": str(root)}
    told = root / "acknowledged"
    command = [sys.executable, HERE / "daemon_writer.py", root / "state", synchronous, str(COMMITS), told]
    subprocess.run(command, env=environment, check=True, timeout=300)
    blob, at, operations = log.read_bytes(), 0, []
    while at < len(blob):
        kind, path_size, offset, size = HEAD.unpack_from(blob, at)
        at += HEAD.size
        path, data = blob[at : at + path_size].decode(), blob[at + path_size : at + path_size + size]
        at += path_size + size
        operations.append((chr(kind), Path(path).name, offset, data))
    return operations


def apply(file, operation):
    kind, _, offset, data = operation
    if kind == "W":
        write(file, offset, data)
    elif kind == "T":
        truncate(file, offset)


class Cache:
    """What is on the medium, and what only the cache holds."""

    def __init__(self):
        self.durable, self.volatile, self.acknowledged = {}, {}, 0

    def do(self, operation):
        kind, name, _, data = operation
        if name == "acknowledged":
            self.acknowledged += len(data)
        elif kind == "U":
            self.durable.pop(name, None)
            self.volatile.pop(name, None)
        elif kind == "S":
            if name in self.volatile:
                file = self.durable.setdefault(name, bytearray())
                for waiting in self.volatile.pop(name):
                    apply(file, waiting)
        elif not name.endswith("-shm"):
            self.volatile.setdefault(name, []).append(operation)

    def cut(self, rng, folder):
        """The power goes: write the files as they are found afterwards."""
        for name in self.durable.keys() | self.volatile.keys():
            file = bytearray(self.durable.get(name, b""))
            waiting = self.volatile.get(name, ())
            tear(rng, file, [(offset, data if kind == "W" else None) for kind, _, offset, data in waiting])
            (folder / name).write_bytes(file)


def cut_many(operations, folder, cuts, seed):
    """What was wrong after each of many cuts, by kind."""
    rng, cache, found = random.Random(seed), Cache(), {}
    first = next(i for i, operation in enumerate(operations) if operation[1] == "acknowledged")
    places = sorted(rng.randrange(first, len(operations)) for _ in range(cuts))
    at = 0
    for number, place in enumerate(places):
        for operation in operations[at:place]:
            cache.do(operation)
        at = place
        left = folder / str(number)
        left.mkdir()
        cache.cut(rng, left)
        _, wrong = what_is_wrong(left, cache.acknowledged, cache.acknowledged + 1)
        if wrong:
            found[wrong] = found.get(wrong, 0) + 1
        shutil.rmtree(left)
    return found


def test_r4_a_power_cut_loses_nothing(tmp_path, shim, capsys):
    operations = record(tmp_path, shim, "FULL")
    flushes = sum(kind == "S" for kind, *_ in operations)
    assert flushes > COMMITS, "the rig sees the flushes"
    found = cut_many(operations, tmp_path, CUTS, SEED)
    with capsys.disabled():
        what = f"{CUTS} cuts in recorded system calls ({len(operations)} operations, {flushes} flushes, seed {SEED})"
        print(f"\nR4: {what}: {found or 'nothing'} wrong")
    assert found == {}


def test_r4_sees_what_synchronous_normal_loses(tmp_path, shim, capsys):
    """The negative control."""
    found = cut_many(record(tmp_path, shim, "NORMAL"), tmp_path, 40, SEED)
    with capsys.disabled():
        print(f"\nR4: the control there, 40 cuts with NORMAL: {found}")
    assert sum(found.values()) > 10
