"""The service manager's notification socket (sd_notify), in the few lines that it is; silent where there is none."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping


class Notifier:
    """Tells READY=1, WATCHDOG=1, STOPPING=1 to systemd or to `edge-rnn supervise`."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        path = environment.get("NOTIFY_SOCKET", "")
        self._path = "\0" + path[1:] if path.startswith("@") else path
        self.watchdog_s = int(environment.get("WATCHDOG_USEC", "0")) / 1e6
        """How long the manager waits for a WATCHDOG=1; 0 when it does not."""

    def tell(self, state: str) -> None:
        """Send a state, for example "READY=1"; a manager that is gone is no error."""
        if self._path:
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as peer:
                peer.sendto(state.encode(), self._path)
