"""A model pushed over the wire: in chunks, each acknowledged, applied by the board when whole and verified.

Goes on through pulled cables; a board that rebooted begins anew. It must never say that a model is in use before the
board, in a fresh session, has said so itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

from edge_rnn.errors import LinkError

from .exchange import PATIENCE_S, Exchange
from .link import Link, Opened
from .messages import Ack, BlobBegin, BlobData, BlobEnd, Info, Nak, Reason
from .port import Port
from .window import Answered

TAKES_BLOB = 1
TRIES = 3
"""How often a board may find the whole damaged, or come back with the old model, before it is given up."""

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Pushed:
    """What it took. `sent`: bytes of chunks, those sent anew after a reboot too; 0: the board had it already."""

    size: int
    sent: int
    reboots: int
    resent: int


class Push:
    """One model for one board; `run` it. `image` is what the board keeps, `model_hash` what INFO then says."""

    def __init__(
        self,
        port: Port,
        image: bytes,
        model_hash: int,
        *,
        patience_s: float = PATIENCE_S,
        clock_ns: Callable[[], int] = time.monotonic_ns,
        progress: Progress | None = None,
    ) -> None:
        self.port, self.link = port, Link()
        self._image, self._hash, self._progress = image, model_hash, progress
        self._exchange, self._clock_ns = Exchange(port, self.link, patience_s, clock_ns), clock_ns
        self._tries = self._sent = self._reboots = 0
        self._next: int | None = None  # where the next chunk begins; None: BLOB_BEGIN is not answered yet
        self._asked: dict[int, BlobBegin | BlobData | BlobEnd] = {}
        self._done = False

    def run(self) -> Pushed:
        """Until the board runs the model; raises LinkError when it refuses, or does not answer."""
        while not self._done:
            self._turn()
        return Pushed(len(self._image), self._sent, self._reboots, self.link.counters.resent)

    def _turn(self) -> None:
        """Wait for the wire once, and do what it brings."""
        for event in self._exchange.turn(self._ask):
            if isinstance(event, Opened):
                self._welcome(event)
            elif isinstance(event, Answered):
                self._answered(self._asked.pop(event.ticket), event.message)

    def _welcome(self, opened: Opened) -> None:
        info = opened.info
        if info.model_hash == self._hash:
            self._done = True
            return
        if not info.options & TAKES_BLOB:
            raise LinkError("the board takes no model over the wire: its firmware must be built with --store")
        if not opened.fresh:
            return
        self._reboots += self._tries > 0
        self._asked.clear()
        self._begin(info)

    def _begin(self, info: Info) -> None:
        if self._tries == TRIES:
            raise LinkError(f"the board still runs {info.model_hash:08x} after {TRIES} pushes: is its flash worn out?")
        self._tries += 1
        self._next = None
        self._request(BlobBegin(len(self._image), sha256(self._image).digest()))

    def _ask(self, now: int) -> None:
        """As many chunks as there is room for."""
        info = self.link.info
        while info is not None and self._next is not None and self.link.room:
            room = (info.max_payload - BlobData.FORM.size) & ~3  # flash is written by words
            piece = self._image[self._next : self._next + room]
            self._request(BlobData(self._next, piece) if piece else BlobEnd())
            self._sent += len(piece)
            self._next = self._next + len(piece) if piece else None

    def _request(self, message: BlobBegin | BlobData | BlobEnd) -> None:
        self._asked[self.link.request(message, self._clock_ns())] = message

    def _answered(self, asked: BlobBegin | BlobData | BlobEnd, answer: object) -> None:
        if isinstance(answer, Nak) and answer.reason == Reason.DAMAGED and self.link.info:
            self._begin(self.link.info)
        elif isinstance(answer, Nak):
            raise LinkError(
                "the board refused the model: it has other layers or sizes than the one its firmware was built for, "
                "build and flash it anew"
            )
        elif isinstance(answer, Ack) and isinstance(asked, BlobBegin):
            self._next = answer.value
        elif isinstance(answer, Ack) and isinstance(asked, BlobData):
            if self._progress:
                self._progress(answer.value)
        elif isinstance(asked, BlobEnd):
            self.link.open(self._clock_ns())  # it begins a session with the new model: ask for it
