"""The thread that reads every connected socket: it wakes for the first that has something, lets `tick_s` pass so that
the others have something, too, and reads them all. A thread a socket would pass one interpreter lock around.

It must never wait for one of them. Who opens a socket, and what happens after it broke, is the feed's affair.
"""

from __future__ import annotations

import contextlib
import logging
import selectors
import socket
import threading
import time
from collections.abc import Callable

from ..endpoints.sockets import SocketSource
from ..errors import EdgeRnnError, SourceError
from ..recording import Chunk

log = logging.getLogger("edge_rnn")

READ_BYTES = 1 << 16
IDLE_SECONDS = 0.5


class Seat:
    """One socket that is being read. `wait` gives its end back to the thread that opened it."""

    def __init__(self, source: SocketSource, took: Callable[[Chunk], bool]) -> None:
        self.source = source
        self.took = took
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


class Hub:
    """`round_read` is called after each round of reading in which samples came, `news` by feeds of other kinds."""

    def __init__(self, tick_s: float, news: Callable[[], None], round_read: Callable[[], None]) -> None:
        self.tick_s = tick_s
        self.news = news
        self._round_read = round_read
        self._poll = selectors.DefaultSelector()
        self._buffer = bytearray(READ_BYTES)
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="edge-rnn sockets", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Read no more; it ends by itself."""
        self._stopping = True

    def seat(self, source: SocketSource, took: Callable[[Chunk], bool]) -> Seat:
        """Read a connected source from now on; `took` gets its chunks on this thread, False: no more are wanted."""
        seat = Seat(source, took)
        source.socket.setblocking(False)
        self._poll.register(source.socket, selectors.EVENT_READ, seat)
        return seat

    def _run(self) -> None:
        began = 0.0
        while not self._stopping:
            rest = began + self.tick_s - time.monotonic()
            if rest > 0:
                time.sleep(rest)
            ready = self._poll.select(IDLE_SECONDS)
            if not ready:
                continue
            began = time.monotonic()
            came = False
            for key, _ in ready:
                came = self._read(key.data) or came
            if came:
                self._round_read()

    def _read(self, seat: Seat) -> bool:
        """Whether samples came."""
        try:
            size = seat.source.socket.recv_into(self._buffer)
            chunk = seat.source.take(bytes(memoryview(self._buffer)[:size]))
            wanted = chunk is None or seat.took(chunk)
        except BlockingIOError:
            return False
        except EdgeRnnError as error:
            self._leave(seat, error)
            return False
        except OSError as error:
            self._leave(seat, SourceError(f"{seat.source.url} broke: {error.strerror or error}"))
            return False
        except Exception as error:
            log.exception("what %s sends broke its reader", seat.source.url)
            self._leave(seat, SourceError(f"the reader of {seat.source.url} broke: {error!r}"))
            return False
        if not size or not wanted:
            self._leave(seat)
        return chunk is not None

    def _leave(self, seat: Seat, error: EdgeRnnError | None = None) -> None:
        self._poll.unregister(seat.source.socket)
        seat.source.close()
        seat.end(error)
