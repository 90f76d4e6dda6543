"""Local clients on a Unix socket, served by a process of their own, so that a thousand of them cost inference nothing.

The daemon hands events over without ever waiting: what that process has no time for, it drops and counts.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from ..errors import UsageError

log = logging.getLogger("edge_rnn")

MODE = 0o660
SEND_BYTES = 1 << 20


class Clients:
    """Listens at once; `start` begins to serve. It stays when the configuration changes."""

    def __init__(self, path: str) -> None:
        self.dropped = 0
        self._path = Path(path)
        self._listener = _listen(self._path)
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: socket.socket | None = None

    def start(self) -> None:
        """Start the process, or start it again when it died."""
        with self._lock:
            if self._process is not None and self._process.poll() is None:
                return
            if self._process is not None:
                log.warning(
                    "the process that serves clients ended with %d: starting it again", self._process.returncode
                )
            if self._pipe is not None:
                self._pipe.close()
            mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            mine.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)
            mine.setblocking(False)
            script = str(Path(__file__).with_name("fanout.py"))
            fds = (self._listener.fileno(), theirs.fileno())
            command = [sys.executable, "-I", script, *map(str, fds)]
            self._process = subprocess.Popen(command, pass_fds=fds, stdin=subprocess.DEVNULL)
            theirs.close()
            self._pipe = mine

    def tell(self, lines: list[str]) -> None:
        """Events for every client; never waits."""
        self._send([f"E{line}" for line in lines])

    def tell_status(self, status: dict[str, Any]) -> None:
        """What a client gets when it asks for the status."""
        self._send([f"S{json.dumps(status)}"])

    def stop(self) -> None:
        """End the process and take the socket away."""
        with self._lock:
            if self._pipe is not None:
                self._pipe.close()
            if self._process is not None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(1.0)
                self._process.kill()
                self._process.wait()
            self._listener.close()
            self._path.unlink(missing_ok=True)

    def _send(self, messages: list[str]) -> None:
        with self._lock:
            for message in messages:
                try:
                    if self._pipe is not None:
                        self._pipe.send(message.encode())
                except OSError:  # full, or the process is gone: `start` brings it back
                    self.dropped += 1


def _listen(path: Path) -> socket.socket:
    """A socket that only owner and group may use; one that was left behind is replaced, another file is not."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_socket():
            path.unlink()
        before = os.umask(0o777 & ~MODE)
        try:
            listener.bind(str(path))
        finally:
            os.umask(before)
        listener.listen(1024)
    except OSError as error:
        listener.close()
        raise UsageError(f"cannot listen on {path}: {error.strerror or error}") from error
    return listener
