"""What a stream says of steps that a board made: its results in, events out. No engine, clock or I/O here.

A board with a sensor of its own keeps the state and sends logits. Detection, warm-up and ids are a Stream's
(docs/detection.md). It must never decide across results that are missing: to the detector they are a break.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from .detect import Detector, softmax
from .engine import F32
from .events import Ended, Event, Gap, Quality, Started
from .manifest import DetectorParams, Manifest
from .told import event_of
from .tracks import Decision

NUMBERS = 1 << 32
"""A board counts its steps in so many numbers."""


class Results:
    """One board's results, in order. `quality` is that of the last: ok or warmup."""

    def __init__(
        self, manifest: Manifest, name: str = "results", detector: Mapping[str, DetectorParams] | None = None
    ) -> None:
        self.manifest, self.name = manifest, name
        self.quality: Quality = "ok"
        chosen = manifest.detector if detector is None else detector
        self._detector = Detector({manifest.labels.index(k): p for k, p in chosen.items()}, manifest.rate_hz)
        self._period_ns = 1e9 / manifest.rate_hz
        self._seq: int | None = None  # of the last result, its number on the board, its time
        self._step = self._t_ns = 0
        self._age = 0  # steps since the board's state was zero
        self._epoch = 0
        self._begun: dict[str, Started] = {}

    def push(self, logits: F32, step: int, seq: int, t_ns: int) -> list[Event]:
        """Take one result: logits (C,); `step` since the board's state was zero, modulo 2^32; the events it causes.

        `seq` counts results on through reboots, holes included; `t_ns` is the sample's time. What is missing is a Gap
        with action "keep", or "reset" where it is longer than the bundle's `gap.long` or the board began anew.
        """
        events = self._missing(step, seq, t_ns)
        self._age = step if not self._continues(step, seq) else self._age + seq - (self._seq or 0)
        self._seq, self._step, self._t_ns = seq, step, t_ns
        self.quality = "ok" if self._age >= self.manifest.warmup_samples else "warmup"
        if self.quality == "ok":
            events += self._told(self._detector.push(softmax(logits[None]), seq))
        return events

    def finish(self) -> list[Event]:
        """Nothing more will come: end what is active."""
        return [] if self._seq is None else self._told(self._detector.end(self._seq + 1, "end"))

    def _continues(self, step: int, seq: int) -> bool:
        """Whether the board's state is the one that the last result came from, so many steps later."""
        return self._seq is not None and (step - self._step - seq + self._seq) % NUMBERS == 0

    def _missing(self, step: int, seq: int, t_ns: int) -> list[Event]:
        if self._seq is None:
            return []
        lost, policy, anew = seq - self._seq - 1, self.manifest.gap, not self._continues(step, seq)
        long = lost > policy.long and policy.on_long == "reset"
        resets = anew or long or (lost > 0 and policy.on_short == "reset")
        events: list[Event] = []
        if resets:
            events += self._told(self._detector.end(self._seq + 1, "reset" if anew and not long else "gap"))
            self._epoch += 1
        if lost or resets:
            began = self._time_ns(self._seq + 1) if lost else t_ns
            events.append(Gap(began, t_ns, lost, "reset" if resets else "keep"))
        return events

    def _time_ns(self, index: int) -> int:
        assert self._seq is not None
        return self._t_ns + round((index - self._seq) * self._period_ns)

    def _told(self, decisions: list[Decision]) -> list[Event]:
        """As events; an end repeats what its start has said: the board's clock may run a little differently since."""
        events: list[Event] = []
        for decision in decisions:
            event = event_of(decision, self.name, self._epoch, self.manifest, self._time_ns, "ok")
            if isinstance(event, Ended):
                start = self._begun.pop(event.label)
                event = replace(event, t0_ns=start.t0_ns, latency_ms=start.latency_ms)
            else:
                self._begun[event.label] = event
            events.append(event)
        return events
