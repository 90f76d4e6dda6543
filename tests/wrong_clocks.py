"""The rig of R14: our commands under system clocks that lie (tests/c/wrong_clock.c); what they say must be the same."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from daemon_rig import noise, write_model, write_recording

HERE = Path(__file__).parent
CLOCKS = ("true", "1970", "steps", "suspend", "backwards")
COMMAND = [sys.executable, "-c", "from edge_rnn.cli.main import script; script()"]
CONTROL = """
import sys, time
import numpy as np
import edge_rnn
stream = edge_rnn.load(sys.argv[1]).stream()
for row in np.load(sys.argv[2])["x"][:400]:
    print(stream.push(row[None], t_ns=time.time_ns()))
    time.sleep(0.0005)
"""


class WrongClocks:
    """Compiles the shim in `folder` and runs commands under a clock of CLOCKS."""

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("gcc")
        assert compiler is not None, "gcc is needed: the shim is compiled"
        self.folder, self.shim = folder, folder / "wrong_clock.so"
        source = HERE / "c" / "wrong_clock.c"
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", source, "-o", self.shim], check=True)
        self.model = write_model(folder / "m.ernn")
        self.recording = write_recording(folder / "r.npz", 1500)
        self.csv = folder / "r.csv"
        rows = [",".join(f"{v:.6g}" for v in row) for row in noise(1500).tolist()]
        self.csv.write_text("c0,c1,c2\n" + "\n".join(rows) + "\n")

    def start(self, clock: str, command: list[str], **options: object) -> subprocess.Popen:
        """A process under that clock."""
        environment = {**os.environ, "WRONG_CLOCK": clock}
        if clock != "true":
            environment["LD_PRELOAD"] = str(self.shim)
        return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, **options)

    def said(self, clock: str, command: list[str]) -> str:
        """What a command prints; it must end well."""
        process = self.start(clock, command, stderr=subprocess.PIPE)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        return out

    def now(self, clock: str) -> list[float]:
        """What Python's time.time() says 40 times, and that its monotonic clock is left alone."""
        script = "import time as t; a = t.monotonic(); print(*[t.time() for _ in range(40)]); print(t.monotonic() - a)"
        times, monotonic = self.said(clock, [sys.executable, "-c", script]).splitlines()
        assert 0 <= float(monotonic) < 10
        return [float(t) for t in times.split()]

    def paced(self, clock: str) -> str:
        """`run`, paced at forty times the model's rate."""
        options = ["--source", str(self.csv), "--speed", "40x", "--scores", "every=100"]
        return self.said(clock, [*COMMAND, "run", str(self.model), *options])

    def piped(self, clock: str) -> str:
        """`run` from a pipe into which lines come in bursts."""
        process = self.start(
            clock, [*COMMAND, "run", str(self.model), "--source", "-"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        lines = self.csv.read_text().splitlines(keepends=True)
        for first in range(0, len(lines), 300):
            process.stdin.write("".join(lines[first : first + 300]))
            process.stdin.flush()
            time.sleep(0.05)
        return process.communicate(timeout=60)[0]

    def recorded(self, clock: str) -> str:
        """`record`, then the samples of the file as numbers."""
        target = self.folder / f"{clock}.ernrec"
        self.said(clock, [*COMMAND, "record", "--source", str(self.csv), "-o", str(target)])
        self.said(clock, [*COMMAND, "record", "--source", str(target), "-o", str(target.with_suffix(".csv"))])
        return target.with_suffix(".csv").read_text()

    def daemon(self, clock: str) -> str:
        """`daemon --once` on a recording: its events, without the wall time, which is an annotation, and with the ids
        as numbers, because every installation draws its own.
        """
        out, folder = self.folder / f"{clock}.jsonl", self.folder / f"state-{clock}"
        config = self.folder / f"{clock}.toml"
        config.write_text(
            f'[[source]]\nid = "file"\nurl = "{self.recording}"\n'
            f'[[pipeline]]\nid = "p"\nsource = "file"\nmodel = "{self.model}"\n'
            f'[[sink]]\nurl = "{out}"\n'
            f'[service]\nstate_dir = "{folder}"\nsocket = "{self.folder}/{clock}.sock"\n'
        )
        self.said(clock, [*COMMAND, "daemon", "--config", str(config), "--once"])
        events = [json.loads(line) for line in out.read_text().splitlines()]
        ids = {event["id"]: None for event in events}
        number = {one: at for at, one in enumerate(ids)}
        return json.dumps([{**event, "wall": "", "id": number[event["id"]]} for event in events])

    def control(self, clock: str) -> str:
        """A feeder that takes the system clock for the samples' times, as ours never do."""
        return self.said(clock, [sys.executable, "-c", CONTROL, str(self.model), str(self.recording)])


WAYS = ("paced", "piped", "recorded", "daemon")


def lies(rig: WrongClocks, clock: str) -> bool:
    """Whether the shim does what its name says."""
    now = np.array(rig.now(clock))
    return {
        "true": bool(np.all(np.abs(now - time.time()) < 100)),
        "1970": bool(np.all(now < 1000)),
        "steps": bool(np.ptp(now) > 7000),
        "suspend": bool(np.ptp(now) > 28000),
        "backwards": bool(np.all(np.diff(now) < 0)),
    }[clock]
