"""The live view of `edge-rnn run --live`: scores, what is active, the last events, gaps and latency, on stderr."""

from __future__ import annotations

from collections import deque
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ..events import Ended, Event, Started, when_ns
from ..latency import Histogram, spoken
from ..recording import Chunk
from ..stream import QUALITIES, Stream

REFRESH_HZ = 8
LAST_EVENTS = 8


class LiveView:
    """`watch` is one of `pipeline.run`; within `with`, a terminal shows what it was told. In a pipe it is silent."""

    def __init__(self, stream: Stream, latency: Histogram, console: Console | None = None) -> None:
        self._stream, self._latency = stream, latency
        self._active: dict[str, Started] = {}
        self._last: deque[str] = deque(maxlen=LAST_EVENTS)
        self._scores = dict.fromkeys(stream.model.manifest.labels, 0.0)
        self._quality = QUALITIES[0]
        console = console or Console(stderr=True)
        self._shown = console.is_terminal
        self._live = Live(console=console, refresh_per_second=REFRESH_HZ, get_renderable=self.render, transient=True)

    def __enter__(self) -> Self:
        if self._shown:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._shown:
            self._live.stop()

    def watch(self, chunk: Chunk, events: list[Event], now_ns: int) -> None:
        """What came, what it caused, and the stream's time."""
        for event in events:
            if isinstance(event, Started):
                self._active[event.label] = event
            elif isinstance(event, Ended):
                self._active.pop(event.label, None)
            self._last.append(_line(event))
        if self._shown and len(self._stream.last_index):
            last = self._stream.last_scores[-1:]
            self._scores = self._stream.probabilities(last)
            self._quality = QUALITIES[int(self._stream.last_quality[-1])]

    def render(self) -> Group:
        """The picture as it stands."""
        manifest, counters = self._stream.model.manifest, self._stream.counters
        scores = Table.grid(padding=(0, 1))
        for label, p in self._scores.items():
            mark = Text("●", "bold green") if label in self._active else Text(" ")
            scores.add_row(mark, label, ProgressBar(total=1.0, completed=p, width=40), f"{p:.2f}")
        counted = counters.to_json()
        sums = "  ".join(f"{name} {counted[name]}" for name in ("received", "imputed", "lost", "late", "bad"))
        p50, p99 = (self._latency.quantile_us(q) for q in (0.5, 0.99))
        spent = f"p50 {spoken(p50)}, p99 {spoken(p99)} a sample"
        title = Text(f"{manifest.title}  {self._stream.now_ns / 1e9:.1f} s  {self._quality}  {spent}", "bold")
        return Group(title, scores, Text(sums, "dim"), *(Text(line) for line in self._last))


def _line(event: Event) -> str:
    line = event.to_json()
    what = " ".join(str(line[key]) for key in ("label", "channel", "reason", "action", "lost") if key in line)
    late = f" (told after {event.latency_ms:.0f} ms)" if isinstance(event, Ended) else ""
    return f"{when_ns(event) / 1e9:9.2f} s  {line['type']:<6} {what}{late}"
