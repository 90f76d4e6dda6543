"""A model on a board, stepped by the host's samples: rows in, logits out, through pulled cables and reboots.

The host keeps the board's state of every so many steps and the samples since; a board that rebooted gets both back. It
must never return a result that did not come from exactly one step for each sample, in order, from the zero state on.
"""

from __future__ import annotations

import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_rnn.errors import LinkError

from .exchange import PATIENCE_S, Exchange
from .link import Link, Opened
from .messages import (
    Data,
    GetState,
    GetStats,
    Info,
    Nak,
    Reason,
    Request,
    Reset,
    Result,
    Role,
    SetState,
    StateChunk,
    Stats,
)
from .port import Port
from .window import Answered

I32 = npt.NDArray[np.int32]
Each = Callable[[int, I32], None]
STATS_NS = 100_000_000


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request and the sample it belongs to (-1: none)."""

    message: Request
    row: int = -1


class Remote:
    """Opens the session; raises LinkError when no INFERENCE board of this model answers within `patience_s`."""

    def __init__(
        self,
        port: Port,
        model_hash: int | None = None,
        *,
        checkpoint_steps: int = 256,
        patience_s: float = PATIENCE_S,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.port, self.link = port, Link(model_hash)
        self.reboots = 0
        self._stats: deque[Stats] = deque(maxlen=1)
        self._exchange = Exchange(port, self.link, patience_s, clock_ns)
        self._every, self._clock_ns = checkpoint_steps, clock_ns
        self._plan: deque[_Asked] = deque()
        self._asked: dict[int, _Asked] = {}
        self._rows: npt.NDArray[np.int16] = np.zeros((0, 0), np.int16)
        self._logits: I32 | None = None
        self._each: Each | None = None
        self._done = 0
        self._checkpoint = (0, b"")
        self._pieces = b""
        self._last = False  # the state after the last step is wanted too
        self._info = Info()
        while self.link.info is None:
            self._turn()
        if self._info.role != Role.INFERENCE:
            role = Role(self._info.role).name.lower()
            raise LinkError(f"the board at {port.name} is a {role}, expected one built with --role inference")

    @property
    def info(self) -> Info:
        """What the board said of itself, last."""
        return self._info

    def run(self, rows: npt.NDArray[np.int16], each: Each | None = None) -> I32:
        """All steps from the zero state: rows (T, I) int16 codes -> logits (T, C) int32 Q16.

        `each` is called with the number of a step and its logits (C,), once a step, in order; it may raise to end it:
        the answers still on their way are then forgotten.
        """
        info = self.info
        if rows.dtype != np.int16 or rows.ndim != 2 or rows.shape[1] != info.inputs or info.result != 0:
            raise LinkError(
                f"rows {rows.dtype} {rows.shape} for a board of {info.inputs} inputs, expected int16 (T, I)"
            )
        self._rows, self._each = rows, each
        self._logits = np.zeros((len(rows), info.outputs), np.int32)
        self._done, self._checkpoint, self._last = 0, (0, b""), False
        self._asked.clear()
        self._recover()
        try:
            while self._done < len(rows) or self._asked or self._plan:
                self._turn()
        except BaseException:
            self._forget()
            raise
        return self._logits

    def state(self) -> bytes:
        """The board's state after the last step of `run`."""
        self._last = True
        self._plan.extend(self._get_state())
        while self._asked or self._plan:
            self._turn()
        return self._checkpoint[1]

    def board_stats(self) -> Stats:
        """What the board has counted since its boot."""
        self._stats.clear()
        asked_ns = self._clock_ns() - STATS_NS
        while not self._stats:
            if self._clock_ns() - asked_ns >= STATS_NS:
                asked_ns = self._clock_ns()
                self.link.send(GetStats())
            self._turn()
        return self._stats[-1]

    def _forget(self) -> None:
        """No step is wanted any more; the link may still bring answers."""
        self._plan.clear()
        self._asked.clear()
        self._logits = self._each = None

    def _recover(self) -> None:
        """Plan the way from a board without our state to the samples not yet answered."""
        step, state = self._checkpoint
        self._plan = deque([_Asked(Reset(step))])
        room = self.info.max_payload - SetState.FORM.size
        for at in range(0, len(state), room):
            head = (step, at, len(state), self.info.model_hash, zlib.crc32(state))
            self._plan.append(_Asked(SetState(*head, state[at : at + room])))
        self._plan.extend(self._steps(step))
        if self._last:
            self._plan.extend(self._get_state())

    def _steps(self, first: int) -> Iterator[_Asked]:
        for row in range(first, len(self._rows)):
            if row > first and row % self._every == 0:
                yield from self._get_state()
            yield _Asked(Data(row & 0xFFFFFFFF, row & 0xFFFFFFFF, 1, self._rows[row].astype("<i2").tobytes()), row)

    def _get_state(self) -> Iterator[_Asked]:
        room = self.info.max_payload - StateChunk.FORM.size
        for at in range(0, self.info.state_bytes, room):
            yield _Asked(GetState(at))

    def _turn(self) -> None:
        """Wait for the wire once, and do what it brings."""
        for event in self._exchange.turn(self._ask):
            if isinstance(event, Opened):
                self._info = event.info
                if event.fresh and self._logits is not None:
                    self.reboots += 1
                    self._asked.clear()
                    self._recover()
            elif isinstance(event, Answered) and event.ticket in self._asked:
                self._answered(self._asked.pop(event.ticket), event.message)
            elif isinstance(event, Stats):
                self._stats.append(event)

    def _ask(self, now: int) -> None:
        """As many requests as there is room for."""
        while self._plan and self.link.room:
            asked = self._plan.popleft()
            self._asked[self.link.request(asked.message, now)] = asked

    def _answered(self, asked: _Asked, answer: object) -> None:
        if isinstance(answer, Nak):
            known = answer.reason in Reason.__members__.values()
            reason = Reason(answer.reason).name if known else str(answer.reason)
            raise LinkError(f"the board refused {type(asked.message).__name__}: {reason}")
        if isinstance(answer, StateChunk) and isinstance(asked.message, GetState):
            self._pieces = answer.data if asked.message.offset == 0 else self._pieces + answer.data
            if len(self._pieces) == answer.total:
                self._checkpoint = (answer.step, self._pieces)
        if asked.row >= 0:
            self._take(asked.row, answer)

    def _take(self, row: int, answer: object) -> None:
        assert self._logits is not None
        if not isinstance(answer, Result) or answer.logits is None or answer.step != row & 0xFFFFFFFF:
            raise LinkError(f"the board answered sample {row} with {answer}: it made another step than was asked")
        if row < self._done:
            if answer.logits != tuple(self._logits[row].tolist()):
                raise LinkError(f"step {row} made again after a reboot gave other logits: the board's memory is bad")
            return
        self._logits[row] = answer.logits
        self._done = row + 1
        if self._each:
            self._each(row, self._logits[row])
