"""One socket that is being read by the hub, between the thread that opened it and the one that reads it."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable

from ..endpoints.sockets import SocketSource
from ..errors import EdgeRnnError
from ..recording import Chunk
from .ring import Ring


class Seat:
    """`took` gets its chunks and says whether more are wanted. `ring` is where they go, if that is one place.

    `wait` gives its end back to the thread that opened it.
    """

    def __init__(self, source: SocketSource, took: Callable[[Chunk], bool], ring: Ring | None) -> None:
        self.source = source
        self.took = took
        self.ring = ring
        self._ended = threading.Event()
        self._error: EdgeRnnError | None = None

    def end(self, error: EdgeRnnError | None = None) -> None:
        """It is not read any more."""
        self._error = error
        self._ended.set()

    def wait(self) -> None:
        """Until the peer closed it or somebody called `leave`; raises SourceError when it broke."""
        self._ended.wait()
        if self._error is not None:
            raise self._error

    def leave(self) -> None:
        """From any thread: end the connection; the hub notices."""
        with contextlib.suppress(OSError):
            self.source.socket.shutdown(socket.SHUT_RDWR)
