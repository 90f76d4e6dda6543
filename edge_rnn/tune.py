"""Choose a detector's parameters on scores of continuous recordings: the most events found within a budget of alarms.

Scores in, parameters and honest figures out; no model, file or plot here. The recordings must be of people the model
was not trained on: that is the caller's to see to (the command refuses otherwise).

What counts, per label. An event is a stretch of samples with the label. It is found when a detection starts in it, or
up to `early_s` before it; its latency is from the onset to the detection. A detection that starts on samples with
another known label, outside these stretches, is a false alarm. Samples whose label is unknown count neither way, and
their time is not in the hours that false alarms are counted over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from .arrays import NDArray
from .detect import samples_of, smoothing_factor
from .intervals import rate, share
from .keys import I64
from .manifest import DetectorParams
from .tracks import F64

SMOOTH_MS = (0.0, 40.0, 80.0, 160.0, 320.0, 640.0)
ENTER = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.96, 0.97, 0.975, 0.98, 0.99)
EXIT_SHARE = (0.1, 0.2, 0.5, 0.8)
"""Exit thresholds, as shares of enter."""
MIN_MS = (0.0, 20.0, 40.0, 60.0, 100.0, 200.0, 400.0)
REFRACTORY_MS = (500.0, 1000.0, 2000.0)


Truth = NDArray[np.int8]


@dataclass(frozen=True)
class Take:
    """One recording: the label's probability at each sample (T,), and whether it is there: 1, 0, or -1 unknown (T,)."""

    p: F64
    truth: Truth


@dataclass(frozen=True)
class Outcome:
    """What some parameters do on some recordings."""

    params: DetectorParams
    events: int
    found: int
    false_alarms: int
    hours: float
    latencies_s: tuple[float, ...]

    @property
    def recall(self) -> float:
        """Share of events found."""
        return self.found / self.events if self.events else 0.0

    @property
    def per_hour(self) -> float:
        """False alarms an hour of known samples without the event."""
        return self.false_alarms / self.hours if self.hours else 0.0

    def to_json(self) -> dict[str, Any]:
        """Figures with 95 % confidence intervals."""
        detections = self.found + self.false_alarms
        latency = {f"p{q}": round(float(np.quantile(self.latencies_s, q / 100)), 3) for q in (50, 90) if self.found}
        return {
            "events": self.events,
            "found": self.found,
            "recall": round(self.recall, 4),
            "recall_95": [round(v, 4) for v in share(self.found, self.events)],
            "precision": round(self.found / detections, 4) if detections else None,
            "false_alarms": self.false_alarms,
            "hours": round(self.hours, 3),
            "false_alarms_per_hour": round(self.per_hour, 3),
            "false_alarms_per_hour_95": [round(v, 3) for v in rate(self.false_alarms, self.hours)],
            "latency_s": latency,
        }


def detections(p: F64, params: DetectorParams, rate_hz: float) -> tuple[I64, I64]:
    """Samples at which events start and end (n,), n: the smoothed p through the rules of detect.py, but fast."""
    hold, silence = samples_of(params.min_ms, rate_hz), samples_of(params.refractory_ms, rate_hz)
    starts, ends = _walk(_stretches(p >= params.enter), np.flatnonzero(p < params.exit), len(p), hold, silence)
    return np.array(starts, np.int64), np.array(ends, np.int64)


def _walk(over: tuple[I64, I64], below: I64, count: int, hold: int, silence: int) -> tuple[list[int], list[int]]:
    """From start to end to start: `over` are the stretches over enter (first, past), `below` the samples under exit."""
    first, past = over
    runs = first[past - first > hold]
    starts: list[int] = []
    ends: list[int] = []
    free = 0  # no run that begins earlier counts
    while (at := int(runs.searchsorted(free))) < len(runs):
        starts.append(int(runs[at]) + hold)
        out = int(below.searchsorted(starts[-1]))
        if out == len(below):
            ends.append(count)
            break
        ends.append(int(below[out]))
        armed = out if silence == 0 else int(below.searchsorted(ends[-1] + max(silence, 1)))
        if armed == len(below):
            break
        free = int(below[armed]) + 1
    return starts, ends


def smooth(p: F64, smooth_ms: float, rate_hz: float) -> F64:
    """The exponential moving average of detect.py."""
    a = smoothing_factor(smooth_ms, rate_hz)
    out, value = [], float(p[0]) if len(p) else 0.0
    for v in p.tolist():
        value += a * (v - value)
        out.append(value)
    return np.array(out, np.float64)


def judge(
    smoothed: Sequence[F64], takes: Sequence[Take], params: DetectorParams, rate_hz: float, early_s: float
) -> Outcome:
    """What these parameters do; `smoothed` are the takes' probabilities after `params.smooth_ms`."""
    starts = [detections(p, params, rate_hz)[0] for p in smoothed]
    return count(starts, [Expected.of(take.truth) for take in takes], params, rate_hz, early_s)


@dataclass(frozen=True)
class Expected:
    """What a truth (T,) asks for: events from `first` to before `past`, and how many samples are known to be calm."""

    truth: Truth
    first: I64
    past: I64
    calm: int

    @classmethod
    def of(cls, truth: Truth) -> Expected:
        """Of 1, 0, or -1 for unknown, a sample each."""
        return cls(truth, *_stretches(truth == 1), int(np.sum(truth == 0)))


def count(
    starts: Sequence[Sequence[int] | I64],
    expected: Sequence[Expected],
    params: DetectorParams,
    rate_hz: float,
    early_s: float,
) -> Outcome:
    """What detections are worth that began at `starts` (n,) of recordings of which this is expected."""
    early = round(early_s * rate_hz)
    found = alarms = 0
    latencies: list[float] = []
    for began, wanted in zip(starts, expected, strict=True):
        hits = set()
        for a, b in zip(wanted.first.tolist(), wanted.past.tolist(), strict=True):
            inside = [int(at) for at in began if a - early <= at < b]
            hits.update(inside)
            if inside:
                found += 1
                latencies.append((inside[0] - a) / rate_hz)
        alarms += sum(int(at) not in hits and wanted.truth[at] == 0 for at in began)
    events, calm = sum(len(wanted.first) for wanted in expected), sum(wanted.calm for wanted in expected)
    return Outcome(params, events, found, int(alarms), calm / rate_hz / 3600, tuple(latencies))


def search(
    takes: Sequence[Take],
    rate_hz: float,
    early_s: float = 0.0,
    on_step: Callable[[], None] = lambda: None,
) -> list[Outcome]:
    """Every combination of the grid; `on_step` hears each of the len(SMOOTH_MS) smoothings."""
    outcomes = []
    expected = [Expected.of(take.truth) for take in takes]
    for smooth_ms in SMOOTH_MS:
        smoothed = [smooth(take.p, smooth_ms, rate_hz) for take in takes]
        for enter in ENTER:
            over = [_stretches(p >= enter) for p in smoothed]
            for part in EXIT_SHARE:
                leave = round(enter * part, 4)
                below = [np.flatnonzero(p < leave) for p in smoothed]
                for least, silence in product(MIN_MS, REFRACTORY_MS):
                    params = DetectorParams(smooth_ms, enter, leave, least, silence)
                    lengths = samples_of(least, rate_hz), samples_of(silence, rate_hz)
                    starts = [_walk(o, b, len(p), *lengths)[0] for o, b, p in zip(over, below, smoothed, strict=True)]
                    outcomes.append(count(starts, expected, params, rate_hz, early_s))
        on_step()
    return outcomes


def choose(
    outcomes: Iterable[Outcome], per_hour: float, latency_s: float = float("inf"), recall: float | None = None
) -> Outcome | None:
    """The most events found within the budget of false alarms and of median latency; among equals the fewest alarms,
    then the shortest latency. None when nothing fits.

    With `recall`, what is found beyond that share is not worth waiting for: among parameters that reach it, the
    shortest median latency; among equals the fewest alarms, then the most found.
    """

    def fits(outcome: Outcome) -> bool:
        enough = recall is None or outcome.recall >= recall
        return bool(outcome.found) and outcome.per_hour <= per_hour and median_s(outcome) <= latency_s and enough

    ranked = [outcome for outcome in outcomes if fits(outcome)]
    if recall is not None:
        return min(ranked, key=lambda o: (median_s(o), o.false_alarms, -o.found), default=None)
    return max(ranked, key=lambda o: (o.found, -o.false_alarms, -median_s(o)), default=None)


def frontier(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """The trade-off curve: the best recall at each number of false alarms, those that improve on fewer alarms."""
    curve: list[Outcome] = []
    for outcome in sorted(outcomes, key=lambda o: (o.false_alarms, -o.found, median_s(o))):
        if not curve or outcome.found > curve[-1].found:
            curve.append(outcome)
    return curve


def quickest(outcomes: Iterable[Outcome], recall: float) -> list[Outcome]:
    """The other trade-off: of those with enough recall the shortest median latency at each number of false alarms."""
    curve: list[Outcome] = []
    enough = [outcome for outcome in outcomes if outcome.found and outcome.recall >= recall]
    for outcome in sorted(enough, key=lambda o: (o.false_alarms, median_s(o))):
        if not curve or median_s(outcome) < median_s(curve[-1]):
            curve.append(outcome)
    return curve


def retold(outcome: Outcome, others: Sequence[Outcome]) -> Outcome:
    """The sum of outcomes on different recordings, under the first one's parameters."""
    parts = [outcome, *others]
    sums = {name: sum(getattr(o, name) for o in parts) for name in ("events", "found", "false_alarms", "hours")}
    return replace(outcome, **sums, latencies_s=tuple(v for o in parts for v in o.latencies_s))


def median_s(outcome: Outcome) -> float:
    """The median latency in seconds, infinite where nothing was found."""
    return float(np.median(outcome.latencies_s)) if outcome.latencies_s else float("inf")


def _stretches(mask: NDArray[np.bool_]) -> tuple[I64, I64]:
    edges = np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8))
    return np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
