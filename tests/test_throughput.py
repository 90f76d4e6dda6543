"""From a CSV file to a file of events, in CPU time: other work on the machine is not counted."""

import itertools
import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from edge_rnn.export import export_bundle
from test_cli import MODELS

COMMAND = [sys.executable, "-c", "from edge_rnn.cli.main import script; script()"]
SAMPLES = 600_000
WANTED = 300_000
"""Samples a second of CPU time, the start of Python included; less than half of what one core does."""
PYTHON_S = 0.3
"""CPU time that Python's `float` takes for a quarter of the file on a machine that owes us WANTED."""


def slowness(path):
    """How many times slower this machine is, at least 1, by the same file read in plain Python."""
    began = time.process_time()
    with path.open() as file:
        next(file)
        for line in itertools.islice(file, SAMPLES // 4):
            list(map(float, line.split(",")))
    return max(1.0, (time.process_time() - began) / PYTHON_S)


@pytest.mark.slow
def test_a_csv_runs_at_300_000_samples_a_second(tmp_path):
    pytest.importorskip("edge_rnn._native", reason="the extension is not built: no compiler")
    export_bundle(MODELS / "hapt_gru32.pt", tmp_path / "m.ernn", steps=100)
    rng = np.random.default_rng(0)
    slow = np.repeat(rng.normal(0, 0.7, (SAMPLES // 300, 6)), 300, axis=0) + rng.normal(0, 0.1, (SAMPLES, 6))
    with (tmp_path / "x.csv").open("w") as file:
        file.write("t_us,seq,acc_x,acc_y,acc_z,gyro_x,gyro_y,gyro_z\n")
        for n, row in enumerate(slow.tolist()):
            file.write(f"{20000 * n},{n}," + ",".join(f"{v:.6g}" for v in row) + "\n")
    run = [*COMMAND, "run", str(tmp_path / "m.ernn"), "--source", str(tmp_path / "x.csv"), "--engine", "native"]
    slower = slowness(tmp_path / "x.csv")
    before = os.times()
    done = subprocess.run([*run, "--sink", str(tmp_path / "events"), "--json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    after = os.times()
    summary = json.loads(done.stderr.splitlines()[-1])
    assert summary["samples"]["used"] == SAMPLES
    assert len((tmp_path / "events").read_text().splitlines()) == sum(summary["events"].values()) > 100
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    slower = max(slower, slowness(tmp_path / "x.csv"))
    rate = f"{SAMPLES / cpu:,.0f} samples a second of CPU time"
    print(f"\n{rate}; {summary['seconds']}; by plain Python {slower:.2f} times slower than promised for")
    assert cpu <= SAMPLES / WANTED * slower
