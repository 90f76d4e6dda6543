"""Where the step thread waits, and reads every connected socket: it wakes for the first that has something, but rounds
are `tick_s` apart, so that the others have something, too. A thread a socket would pass one interpreter lock around.

It must never wait for one of them. Who opens a socket, and what happens after it broke, is the feed's affair.
"""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable

from ..endpoints.sockets import SocketSource
from ..errors import EdgeRnnError, SourceError
from ..recording import Chunk
from .forms import Form, standing
from .intake import Intake, Sheaf
from .ring import Ring
from .seat import Seat

log = logging.getLogger("edge_rnn")

READ_BYTES = 1 << 16


class Hub:
    """`wait` and `read` are the step thread's, all else is anybody's."""

    def __init__(self, tick_s: float) -> None:
        self.tick_s = tick_s
        self._poll = selectors.DefaultSelector()
        self._lock = threading.Lock()
        self._closed = False
        self._bell, self._ear = socket.socketpair()
        self._bell.setblocking(False)
        self._ear.setblocking(False)
        self._poll.register(self._ear, selectors.EVENT_READ, self._ear)
        self._rung = False
        self._began = 0.0
        self._ready: list[Seat] = []
        self._alike = selectors.DefaultSelector()
        """Those at intakes: one entry among the others, read without asking which."""
        if hasattr(self._alike, "fileno"):
            self._poll.register(self._alike, selectors.EVENT_READ, self._alike)
        self._alike_ready = False
        self._intakes: dict[tuple[Form, int], Intake] = {}  # form and channels -> those that are read together
        self._buffer = bytearray(READ_BYTES)

    def seat(self, source: SocketSource, took: Callable[[Chunk], bool], ring: Ring | None = None) -> Seat:
        """Read a connected source from now on. `took` gets its chunks on the step thread, False: no more are wanted.

        Where `ring` is the only place they go to, what has a plain form (forms.py) takes a shorter way: into a Sheaf.
        """
        seat = Seat(source, took, ring)
        source.socket.setblocking(False)
        with self._lock:
            if self._closed:
                seat.end()
            else:
                self._poll.register(source.socket, selectors.EVENT_READ, seat)
        return seat

    def wake(self) -> None:
        """There is something else to do for the step thread."""
        if not self._rung:
            self._rung = True
            try:
                self._bell.send(b"\0")
            except OSError:
                self._rung = False  # full, so it wakes; or closed

    def wait(self, seconds: float) -> None:
        """Until it is time for a round, and something came; or until so many seconds have passed."""
        rest = self._began + self.tick_s - time.monotonic()
        if rest > 0:
            time.sleep(rest)
        ready = [key.data for key, _ in self._poll.select(seconds)]
        self._ready = [who for who in ready if isinstance(who, Seat)]
        self._alike_ready = self._alike in ready
        if self._ear in ready:
            self._hear()
        if ready:
            self._began = time.monotonic()

    def read(self) -> list[Sheaf]:
        """Read those that `wait` found; what has no plain form goes to `took`, and comes after the sheaves."""
        sheaves, rest = [], []
        for intake in self._intakes.values() if self._alike_ready else ():
            sheaf, odd = intake.read()
            sheaves += [] if sheaf is None else [sheaf]
            for seat, _ in odd:
                intake.leave(seat)
                self._alike.unregister(seat.source.socket)
                self._poll.register(seat.source.socket, selectors.EVENT_READ, seat)
            rest += odd
        for seat, what in rest:
            self._take(seat, what)
        for seat in self._ready:
            self._take(seat, None)
        self._ready, self._alike_ready = [], False
        return sheaves

    def close(self) -> None:
        """No round will come any more: end all seats."""
        with self._lock:
            self._closed = True
            for key in list(self._alike.get_map().values()):
                self._alike.unregister(key.fileobj)
                key.data.source.close()
                key.data.end()
            for key in list(self._poll.get_map().values()):
                if isinstance(key.data, Seat):
                    self._leave(key.data)
            self._poll.close()
            self._alike.close()
            self._bell.close()
            self._ear.close()

    def _hear(self) -> None:
        self._rung = False
        with contextlib.suppress(BlockingIOError):
            self._ear.recv(READ_BYTES)

    def _take(self, seat: Seat, what: bytes | int | None) -> None:
        """Take what came, as bytes or an errno; None: that is not known yet."""
        source = seat.source
        try:
            if what is None:
                what = bytes(memoryview(self._buffer)[: source.socket.recv_into(self._buffer)])
            elif isinstance(what, int):
                raise OSError(what, os.strerror(what))
            chunk = source.take(what)
            wanted = chunk is None or seat.took(chunk)
        except BlockingIOError:
            return
        except EdgeRnnError as error:
            self._leave(seat, error)
        except OSError as error:
            self._leave(seat, SourceError(f"{source.url} broke: {error.strerror or error}"))
        except Exception as error:
            log.exception("what %s sends broke its reader", source.url)
            self._leave(seat, SourceError(f"the reader of {source.url} broke: {error!r}"))
        else:
            if not what or not wanted:
                self._leave(seat)
            elif chunk is not None and seat.ring is not None:
                self._join(seat, seat.ring)

    def _join(self, seat: Seat, ring: Ring) -> None:
        """From now on it is read together with those alike, if its next bytes have a plain form."""
        found = standing(seat.source, ring)
        if found is None or not hasattr(self._alike, "fileno"):
            return
        form, stands = found
        alike = form, len(seat.source.channels)
        if alike not in self._intakes:
            self._intakes[alike] = Intake(*alike)
        self._poll.unregister(seat.source.socket)
        self._alike.register(seat.source.socket, selectors.EVENT_READ, seat)
        self._intakes[alike].enter(seat, ring, stands)

    def _leave(self, seat: Seat, error: EdgeRnnError | None = None) -> None:
        self._poll.unregister(seat.source.socket)
        seat.source.close()
        seat.end(error)
