"""Feed a stream from a source and tell the sinks: chunks in, lines out. Clock and sleep are arguments."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .clock import RateEstimate
from .endpoints.sinks import Sink
from .errors import SourceError
from .events import Event, Score, to_line, when_ns
from .latency import Histogram
from .recording import Chunk
from .statistics import LiveStatistics
from .stream import Stream

Watcher = Callable[[Chunk, list[Event], int], None]
NOTHING = Chunk(np.empty((0, 0), np.float32))


@dataclass
class Report:
    """What a run did: samples and gaps (the stream's counters), events by type, time spent."""

    samples: dict[str, int] = field(default_factory=dict)
    events: dict[str, int] = field(default_factory=dict)
    latency: Histogram = field(default_factory=Histogram)
    """Of a sample: a push's time divided by its samples, as many times as it had samples."""
    pushes: int = 0
    clock: RateEstimate | None = None
    statistics: LiveStatistics | None = None
    seconds: float = 0.0
    source_seconds: float = 0.0
    stream_seconds: float = 0.0
    interrupted: bool = False
    lost: SourceError | None = None
    """Why the source ended before its time; the caller says so after the report."""

    @property
    def samples_a_push(self) -> float:
        """Over how many samples a latency is a mean, on average: 1 where each was pushed as it came."""
        return round(self.latency.count / self.pushes, 1) if self.pushes else 0.0

    def to_json(self) -> dict[str, Any]:
        """For `--json` and the summary on stderr."""
        timing = {"total": self.seconds, "source": self.source_seconds, "stream": self.stream_seconds}
        return {
            "samples": self.samples,
            "events": self.events,
            "step_latency": {**self.latency.to_json(), "samples_a_push": self.samples_a_push},
            "source_clock": None if self.clock is None else self.clock.to_json(),
            "seconds": {name: round(value, 6) for name, value in timing.items()},
        }


def run(
    source: Iterable[Chunk],
    stream: Stream,
    sinks: Iterable[Sink],
    *,
    scores_every: int = 0,
    pace: float = 0.0,
    clock_ns: Callable[[], int] = time.perf_counter_ns,
    sleep: Callable[[float], None] = time.sleep,
    on_chunk: Callable[[int], None] | None = None,
    watch: Watcher | None = None,
    report: Report | None = None,
) -> Report:
    """Run until the source ends. `scores_every` N > 0 adds each Nth sample's score line.

    `pace` 0 goes as fast as it can; 1 feeds samples one by one at the model's rate, 4 at four times it. Step latency
    is the time of a push divided by its samples; `on_chunk` hears how many samples came; `watch` (the flight
    recorder, the live view) what came, what it caused and the stream's time; `report` is filled in as it goes.
    An interrupt (KeyboardInterrupt) and a source that is lost end the run cleanly: what is active ends, and the
    report says why.
    """
    sinks = list(sinks)
    manifest = stream.model.manifest
    report = Report() if report is None else report
    report.statistics = statistics = LiveStatistics(manifest.channels, manifest.rate_hz)
    period_ns = 1e9 / (manifest.rate_hz * pace) if pace else 0.0
    began = clock_ns()
    chunks = iter(source if not pace else _paced(source, period_ns, clock_ns, sleep))
    try:
        while (chunk := _next(chunks, report, clock_ns)) is not None:
            events = stream.reset() if chunk.restart and stream.counters.received else []
            if chunk.t_ns is not None:
                report.clock = report.clock or RateEstimate(stream.model.manifest.rate_hz)
                report.clock.push(chunk.t_ns, chunk.seq)
            statistics.push(chunk.samples)
            before = clock_ns()
            events += stream.push(chunk.samples, chunk.t_ns, chunk.seq)
            spent = clock_ns() - before
            report.stream_seconds += spent / 1e9
            report.pushes += len(chunk.samples) > 0
            report.latency.add(spent / max(len(chunk.samples), 1), len(chunk.samples))
            _tell(sinks, [*events, *(stream.scores(scores_every) if scores_every else [])], report)
            if on_chunk is not None:
                on_chunk(len(chunk.samples))
            if watch is not None:
                watch(chunk, events, stream.now_ns)
    except KeyboardInterrupt:
        report.interrupted = True
    except SourceError as error:
        report.lost = error
    ended = stream.finish()
    if watch is not None:
        watch(NOTHING, ended, stream.now_ns)
    _tell(sinks, [*ended], report)
    report.samples = stream.counters.to_json()
    report.seconds = (clock_ns() - began) / 1e9
    return report


def _next(chunks: Iterator[Chunk], report: Report, clock_ns: Callable[[], int]) -> Chunk | None:
    before = clock_ns()
    chunk = next(chunks, None)
    report.source_seconds += (clock_ns() - before) / 1e9
    return chunk


def _paced(
    source: Iterable[Chunk], period_ns: float, clock_ns: Callable[[], int], sleep: Callable[[float], None]
) -> Iterator[Chunk]:
    """One sample at a time, each when it is due; a sample that is late is given at once."""
    began, count = clock_ns(), 0
    for chunk in source:
        for row in range(len(chunk.samples)):
            wait_ns = began + count * period_ns - clock_ns()
            if wait_ns > 0:
                sleep(wait_ns / 1e9)
            count += 1
            yield chunk.part(row, row + 1)


def _tell(sinks: list[Sink], said: list[Event | Score], report: Report) -> None:
    said.sort(key=when_ns)  # stable: what a sample caused stays in its order
    for event in said:
        if not isinstance(event, Score):
            kind = str(event.to_json()["type"])
            report.events[kind] = report.events.get(kind, 0) + 1
    lines = [to_line(event) for event in said]
    for sink in sinks:
        sink.write(lines)
