"""The watchdog without systemd: start a command, listen for its READY and WATCHDOG, start it again when it ends or is
silent. It must never ping on the command's behalf.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from ..backoff import Backoff

log = logging.getLogger("edge_rnn")

START_SECONDS = 30.0
LOOK_SECONDS = 0.05
FIRST_SECONDS, MOST_SECONDS = 0.05, 5.0
_PR_SET_PDEATHSIG = 1


class Supervisor:
    """One command. `watchdog_s`: how long it may be silent once it is ready; `stop_s`: how long its end may take."""

    def __init__(self, command: list[str], watchdog_s: float, stop_s: float = 10.0) -> None:
        self.restarts = 0
        self._command = command
        self._watchdog_s, self._stop_s = watchdog_s, stop_s
        self._signals: list[int] = []

    def hear(self, number: int, _frame: object = None) -> None:
        """A signal for us is one for the command."""
        self._signals.append(number)

    def run(self) -> int:
        """Until a signal ends it, or the command ends well; the command's exit code."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self.hear)
        backoff = Backoff(FIRST_SECONDS, MOST_SECONDS)
        with tempfile.TemporaryDirectory(prefix="edge-rnn-") as folder:
            path = Path(folder) / "notify"
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
                ear.bind(str(path))
                ear.settimeout(LOOK_SECONDS)
                while True:
                    ended = self._once(ear, str(path), backoff)
                    if ended is not None:
                        return ended
                    self.restarts += 1
                    time.sleep(backoff.wait())

    def _once(self, ear: socket.socket, path: str, backoff: Backoff) -> int | None:
        """One life of the command; None when it should have another."""
        environment = {**os.environ, "NOTIFY_SOCKET": path, "WATCHDOG_USEC": str(int(self._watchdog_s * 1e6))}
        child = subprocess.Popen(self._command, env=environment, start_new_session=True, preexec_fn=_die_with_parent)
        deadline, stopping = time.monotonic() + START_SECONDS, False
        while child.poll() is None:
            told = _hear(ear)
            now = time.monotonic()
            if not stopping and ("READY=1" in told or "WATCHDOG=1" in told):
                deadline = now + self._watchdog_s
            if "WATCHDOG=1" in told:
                backoff.success()
            while self._signals:
                number = self._signals.pop()
                child.send_signal(number)
                if number != signal.SIGHUP and not stopping:
                    stopping, deadline = True, now + self._stop_s
            if now > deadline:
                log.error("%s was silent for too long: killed", self._command[0])
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)
                child.wait()
        _hear(ear)
        code = child.returncode
        if stopping or code in (0, 2):
            return code if code >= 0 else 128 - code
        log.error("%s ended with %d: starting it again", self._command[0], code)
        return None


def _hear(ear: socket.socket) -> set[str]:
    told: set[str] = set()
    with contextlib.suppress(TimeoutError, BlockingIOError):
        while True:
            told.update(ear.recv(4096).decode("utf-8", "replace").split("\n"))
            ear.setblocking(False)
    ear.settimeout(LOOK_SECONDS)
    return told


def _die_with_parent() -> None:
    """A daemon whose supervisor was killed would run on unwatched."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
