"""Recordings of people through the runtime, one stream each, sample by sample, as a device would."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_rnn import Ended, Model, Started
from edge_rnn.arrays import Array
from edge_rnn.convert import write_csv
from edge_rnn.detect import softmax
from edge_rnn.engine import F32
from edge_rnn.events import Event
from edge_rnn.recording import Chunk, Header

from .datasets import Recordings

PAUSE_S = 5.0
"""Longer than the gap policy holds a value: the stream tells of a gap and begins anew, as after a watch taken off."""


@dataclass(frozen=True)
class Streamed:
    """One recording as the runtime saw it: true label, samples (T, I), probabilities (T, C), episodes, answer."""

    name: str
    truth: str
    samples: F32
    probabilities: Array
    episodes: tuple[Ended, ...]

    @property
    def answer(self) -> str:
        """The class that was active the longest."""
        active: dict[str, int] = {}
        for event in self.episodes:
            active[event.label] = active.get(event.label, 0) + event.t1_ns - event.t0_ns
        return max(active, key=lambda label: active[label], default="nothing")


def stream_recording(model: Model, data: Recordings, number: int, say: Callable[[str], None]) -> Streamed:
    """Push recording `number` of `data`; `say` gets its events as they come."""
    samples = data.values(number)
    first = data.rec_start[number]
    truth, name = data.classes[data.label[first]], f"person {data.owners[number]}, recording {number}"
    stream = model.stream(name=name)
    rows, episodes = [], []
    say(f"   {name}: {truth}")
    for t in range(len(samples)):
        events = stream.push(samples[t : t + 1])
        rows.append(softmax(stream.last_scores))
        episodes += [e for e in events if isinstance(e, Ended)]
        _say_events(events, say)
    last = stream.finish()
    episodes += [e for e in last if isinstance(e, Ended)]
    _say_events(last, say)
    return Streamed(name, truth, samples, np.concatenate(rows), tuple(episodes))


def write_samples(data: Recordings, person: str, path: Path) -> None:
    """A CSV with times, as a watch would write it: one recording of each exercise of a person, PAUSE_S between them."""
    chosen: dict[int, int] = {}
    for number, owner in enumerate(data.owners):
        if owner == person:
            chosen.setdefault(int(data.label[data.rec_start[number]]), number)
    chunks, now_ns, period_ns = [], 0, round(1e9 / data.rate_hz)
    for number in chosen.values():
        samples = data.values(number)
        chunks.append(Chunk(samples, now_ns + period_ns * np.arange(len(samples))))
        now_ns += period_ns * len(samples) + round(PAUSE_S * 1e9)
    write_csv(path, Header(data.channels, data.units, data.rate_hz), chunks)


def _say_events(events: Sequence[Event], say: Callable[[str], None]) -> None:
    for event in events:
        if isinstance(event, Started):
            say(f"      {event.t_ns / 1e9:6.2f} s  start {event.label}")
        elif isinstance(event, Ended):
            how = "" if event.reason == "exit" else f" ({event.reason} of the recording)"
            say(f"      {event.t1_ns / 1e9:6.2f} s  end   {event.label}, peak {event.peak:.2f}{how}")
