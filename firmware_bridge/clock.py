"""A board's ticks as the host's time: offset and drift from ping-pongs. Numbers in, numbers out; no clock here."""

from __future__ import annotations

from collections import deque
from statistics import median

BEST_OF = 8
"""Exchanges of which the one with the shortest round trip counts."""
POINTS = 64
READY_NS = 2_000_000_000
"""How far the points must reach before a drift is believed."""
SLEW = 0.002
"""How much faster or slower than the fit `elapsed_ns` may run to come back to it."""
_SECOND = 1_000_000_000
_WRAP = 1 << 32


class ClockSync:
    """Follows a board's u32 tick counter.

    Each exchange is (t1, t2, t3, t4): sent, received by the board, answered, received; host times in nanoseconds.
    The slope is the median over pairs of points (Theil 1950, Sen 1968), which a third of bad points cannot move.
    """

    def __init__(self, tick_hz: int) -> None:
        self.tick_hz = tick_hz
        self.rtt_ns: int | None = None
        self._recent: list[tuple[int, float, int]] = []  # (round trip, board ns, host ns)
        self._points: deque[tuple[float, float]] = deque(maxlen=POINTS)  # (board ns, host ns - board ns)
        self._last = 0  # unwrapped ticks
        self._slope, self._offset, self._at = 0.0, 0.0, 0.0
        self._first: int | None = None  # board ns of the first sample
        self._zero: float | None = None  # and its host time, once the fit is ready
        self._elapsed = (0, 0.0)  # (board ns, elapsed ns) of the last sample

    def unwrap(self, ticks: int) -> int:
        """A tick count that goes on beyond 2^32, for counts within half a turn of the last one."""
        step = (ticks - self._last) % _WRAP
        value = self._last + (step if step < _WRAP // 2 else step - _WRAP)
        self._last = max(self._last, value)
        return value

    def board_ns(self, ticks: int) -> int:
        """A board's time since its boot, by its own oscillator."""
        return self.unwrap(ticks) * _SECOND // self.tick_hz

    def add(self, t1: int, t2: int, t3: int, t4: int) -> None:
        """Take one exchange."""
        received, answered = self.board_ns(t2), self.board_ns(t3)
        rtt = (t4 - t1) - (answered - received)
        if rtt < 0:
            return
        self._recent = [*self._recent, (rtt, (received + answered) / 2, (t1 + t4) // 2)][-BEST_OF:]
        self.rtt_ns, board, host = min(self._recent)
        point = (board, host - board)
        if not self._points or self._points[-1] != point:
            self._points.append(point)
            self._fit()

    @property
    def drift_ppm(self) -> float:
        """How much slower than the host's the board's clock runs, in millionths; 0 before two points are known."""
        return self._slope * 1e6

    def host_ns(self, ticks: int) -> int:
        """The host's time of a tick, by the fit."""
        return round(self._host(self.board_ns(ticks)))

    def _host(self, board: float) -> float:
        return board + self._offset + self._slope * (board - self._at)

    def elapsed_ns(self, ticks: int) -> int:
        """The time since the first tick that was asked for, with the drift taken out: continuous, and never back.

        Until a drift is known it is the board's own; then it runs at the fit's rate, and is led to the fit's time.
        """
        board = self.board_ns(ticks)
        if self._first is None:
            self._first, self._elapsed = board, (board, 0.0)
        if self._zero is None and self._points and self._points[-1][0] - self._points[0][0] >= READY_NS:
            self._zero = self._host(self._first)
        last, elapsed = self._elapsed
        step = board - last
        if step > 0:
            elapsed += step * (1 + self._slope if self._zero is not None else 1)
            if self._zero is not None:
                behind = self._host(board) - self._zero - elapsed
                elapsed += min(max(behind, -SLEW * step), SLEW * step)
            self._elapsed = (board, elapsed)
        return round(elapsed)

    def _fit(self) -> None:
        xs, ys = zip(*self._points, strict=True)
        pairs = [
            (ys[j] - ys[i]) / (xs[j] - xs[i])
            for i in range(len(xs))
            for j in range(i + 1, len(xs))
            if xs[j] - xs[i] >= _SECOND // 10
        ]
        self._slope = median(pairs) if pairs else 0.0
        self._at = xs[-1]
        self._offset = median(y + self._slope * (self._at - x) for x, y in self._points)
