"""R3, R4, R7, R8, R9, R13, R17, R18 and R25 in full size: the daemon's tests with larger numbers, and their controls.

A promise is the tests whose names hold its number; what they print is the figure.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parent.parent
Outcome = tuple[str, str, str, bool]


def promise(number: str, files: str, tried: str, control: str, **sizes: str) -> Callable[[Path], Outcome]:
    """Run the tests of one promise; a control that does not fail fails its test, and so do skipped ones."""

    def run(folder: Path) -> Outcome:
        name = f"{number.lower()}_" if number != "R25" else ""
        paths = [f"tests/{file}" for file in files.split()]
        command = [sys.executable, "-m", "pytest", *paths, "-q", "-m", "slow or not slow", "-k", name]
        environment = {**os.environ, **sizes}
        done = subprocess.run(
            [*command, f"--basetemp={folder / 'pytest'}"], cwd=ROOT, env=environment, capture_output=True, text=True
        )
        figures = "; ".join(re.findall(rf"^{number}[^:\n]*: (.*)$", done.stdout, re.MULTILINE))
        held = done.returncode == 0 and " skipped" not in done.stdout
        if not held:
            print(done.stdout[-4000:], file=sys.stderr)
        return tried, (figures or "all as promised").replace("|", "/"), control, held

    return run


PROMISES = {
    "R3": promise("R3", "test_daemon_kill.py", "1,000 kills, 200 starts", "a transaction taken apart loses events",
                  EDGE_RNN_KILLS="1000", EDGE_RNN_STARTS="200", EDGE_RNN_START_MS="500"),
    "R4": promise("R4", "test_daemon_disk.py test_daemon_power.py", "1,000 cuts of a disk, 1,000 of recordings",
                  "`synchronous=NORMAL` loses commits, a disk that lies about its flushes everything",
                  EDGE_RNN_CUTS="1000"),
    "R7": promise("R7", "test_daemon_mqtt.py", "36,000 events, a real mosquitto", "PUBACK alone loses what it forgets",
                  EDGE_RNN_OUTAGE_EVENTS="36000"),
    "R8": promise("R8", "test_daemon_hang.py", "4 kinds of hang", "a ping by timer sees none", EDGE_RNN_SERVING_S="3"),
    "R9": promise("R9", "test_daemon_soak.py", "32 streams at 1 kHz for a day", "a leak is seen",
                  EDGE_RNN_SOAK_SAMPLES="86400000"),
    "R13": promise("R13", "test_daemon_store.py", "a tmpfs that is full", "tombstones that count wrong are seen"),
    "R17": promise("R17", "test_daemon_flood.py", "1,000 clients, 100 stalled, 10,000 messages/s",
                   "served on the step thread, seconds"),
    "R18": promise("R18", "test_daemon_store.py", "6,300 events", "none: a measurement", EDGE_RNN_DURABLE_MS="10"),
    "R25": promise("R25", "test_daemon_config.py", "every one-edit mutation of the examples",
                   "with unknown keys allowed, they pass"),
}  # fmt: skip
