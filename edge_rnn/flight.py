"""The flight recorder: keeps the last seconds of raw samples, and leaves a file with the seconds around each event.

Memory is bounded by the ring's seconds, the disk by the number of files. It never holds up the stream it watches for
longer than writing one file takes.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from pathlib import Path

from .atomic import write_atomically
from .errors import SourceError, UsageError
from .events import Ended, Event, Started
from .recording import Chunk, Header, encode_chunk, encode_event, encode_header, joined

LONGEST = 20
"""An event that lasts for ever keeps at most so many times the ring's seconds before now."""


@dataclass(slots=True)
class _Held:
    end_ns: int
    chunk: Chunk


class FlightRecorder:
    """Keeps the last seconds of raw samples; each event leaves a file with the seconds around it.

    Files are `NUMBER-LABEL.ernrec`, the newest `keep` of them stay. `push` is a `watch` of `pipeline.run`.
    """

    def __init__(
        self, folder: str | Path, header: Header, *, seconds: float = 10.0, keep: int = 100, rate_hz: float = 50.0
    ) -> None:
        if not 0 < seconds <= 3600 or keep < 1:
            raise UsageError(f"a flight recorder of {seconds} s and {keep} files was asked for: 0..3600 s, 1 or more")
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._header = header
        self._around_ns = round(seconds * 1e9)
        self._period_ns = 1e9 / rate_hz
        self._piece = max(1, int(rate_hz * min(1.0, seconds / 4)))
        self._keep = keep
        self._ring: deque[_Held] = deque()
        self._active: dict[str, int] = {}  # id -> when it began
        self._waiting: deque[Ended] = deque()  # ended, the seconds after them are still to come
        self._number = max((int(path.name[:6]) for path in self._files()), default=0)

    def push(self, chunk: Chunk, events: list[Event], now_ns: int) -> None:
        """Samples that came, the events they caused, and the stream's time after them."""
        rows = len(chunk.samples)
        for first in range(0, rows, self._piece):
            behind = rows - min(first + self._piece, rows)
            self._ring.append(_Held(round(now_ns - behind * self._period_ns), chunk.part(first, first + self._piece)))
        for event in events:
            if isinstance(event, Started):
                self._active[event.id] = event.t0_ns
            elif isinstance(event, Ended):
                self._active.pop(event.id, None)
                self._waiting.append(event)
        while self._waiting and self._waiting[0].t1_ns + self._around_ns <= now_ns:
            self._save(self._waiting.popleft())
        self._forget(now_ns)

    def close(self) -> None:
        """Save what still waits for its last seconds."""
        while self._waiting:
            self._save(self._waiting.popleft())

    def _forget(self, now_ns: int) -> None:
        """Drop what no event needs: one that has not been told yet may have begun some time ago."""
        begun = [now_ns - self._around_ns, *self._active.values(), *(event.t0_ns for event in self._waiting)]
        oldest = min(begun) - self._around_ns
        oldest = max(oldest, now_ns - LONGEST * self._around_ns)
        while self._ring and self._ring[0].end_ns < oldest:
            self._ring.popleft()

    def _save(self, event: Ended) -> None:
        low, high = event.t0_ns - self._around_ns, event.t1_ns + self._around_ns
        chunks = [h.chunk for h in self._ring if h.end_ns >= low and h.end_ns - self._span(h) <= high]
        samples = [encode_chunk(run) for run in joined(chunks)]
        blocks = [encode_header(self._header), *samples, encode_event(event.to_json())]
        self._number += 1
        label = "".join(c if c.isalnum() or c in "-_" else "_" for c in event.label)[:40]
        try:
            write_atomically(self.folder / f"{self._number:06d}-{label}.ernrec", b"".join(blocks))
            for old in self._files()[: -self._keep]:
                old.unlink(missing_ok=True)
        except OSError as error:
            raise SourceError(f"the flight recorder cannot write to {self.folder}: {error.strerror}") from error

    def _files(self) -> list[Path]:
        return sorted(path for path in self.folder.glob("*-*.ernrec") if path.name[:6].isdigit())

    def _span(self, held: _Held) -> int:
        return round(len(held.chunk.samples) * self._period_ns)
