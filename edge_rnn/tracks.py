"""One class's hysteresis: how its average p moves it between idle, candidate, active and re-arming. No I/O, no clock.

    idle       -> candidate   p >= enter
    candidate  -> active      after `hold` more samples with p >= enter: a decision; back to idle when one is below
    active     -> re-arming   p < exit: a decision (-> idle at once where there is no silence to keep)
    re-arming  -> idle        p < exit, `silence` samples after the end or later

`advance` is this table, a sample a call; `leap` gives the same over many samples, from one crossing to the next.
"""

from __future__ import annotations

import math

import numpy as np

from .arrays import NDArray
from .value import Fields, Value

F64 = NDArray[np.float64]

IDLE, CANDIDATE, ACTIVE, REARMING = range(4)


class Decision(Value):
    """A class started (`reason` is None) at sample `at`, or ended there; `first` is its first sample over enter."""

    label: int
    first: int
    at: int
    started: int
    peak: float
    reason: str | None


class Track(Fields):
    """What the detector remembers of one class beside its average."""

    phase: int = IDLE
    first: int = 0  # first sample of the run that is a candidate or active
    started: int = 0  # sample of the decision to start
    ready: int = 0  # first sample at which it may re-arm
    peak: float = 0.0


class Rule(Value):
    """One class's parameters in samples."""

    label: int
    alpha: float
    enter: float
    exit: float
    hold: int
    silence: int


def advance(rule: Rule, track: Track, p: float, index: int, decisions: list[Decision]) -> None:
    """Sample `index` has the average p."""
    if track.phase == ACTIVE:
        track.peak = max(track.peak, p)
        if p < rule.exit:
            decisions.append(Decision(rule.label, track.first, index, track.started, track.peak, "exit"))
            track.ready = index + rule.silence
            track.phase = REARMING if rule.silence else IDLE
    elif track.phase == REARMING:
        if index >= track.ready and p < rule.exit:
            track.phase = IDLE
    elif p >= rule.enter:
        if track.phase == IDLE:
            track.phase, track.first, track.peak = CANDIDATE, index, p
        track.peak = max(track.peak, p)
        if index - track.first >= rule.hold:
            track.phase, track.started = ACTIVE, index
            decisions.append(Decision(rule.label, track.first, index, index, track.peak, None))
    else:
        track.phase = IDLE


def leap(rule: Rule, track: Track, p: F64, first: int, decisions: list[Decision]) -> None:
    """`advance` for averages p (T,) of the samples from `first` on."""
    over = p >= rule.enter
    overs, unders, belows = np.flatnonzero(over), np.flatnonzero(~over), np.flatnonzero(p < rule.exit)
    end = len(p)
    at = 0
    while at < end:
        if track.phase == ACTIVE:
            out = _next(belows, at, end)
            _raise_peak(track, p[at : out + 1])
            if out < end:
                decisions.append(Decision(rule.label, track.first, first + out, track.started, track.peak, "exit"))
                track.ready = first + out + rule.silence
                track.phase = REARMING if rule.silence else IDLE
        elif track.phase == REARMING:
            out = _next(belows, max(at, track.ready - first), end)
            if out < end:
                track.phase = IDLE
        else:
            if track.phase == IDLE:
                at = _next(overs, at, end)
                if at == end:
                    return
                track.phase, track.first, track.peak = CANDIDATE, first + at, float(p[at])
            broken, due = _next(unders, at, end), max(at, track.first + rule.hold - first)
            out = min(broken, due)
            _raise_peak(track, p[at : due + 1 if due < broken else broken])
            if due < min(broken, end):
                track.phase, track.started = ACTIVE, first + due
                decisions.append(Decision(rule.label, track.first, track.started, track.started, track.peak, None))
            elif broken < end:
                track.phase = IDLE
        at = out + 1


def _next(places: NDArray[np.intp], at: int, end: int) -> int:
    """The first of the places (in order) that is not before `at`; `end` where none is."""
    found = int(np.searchsorted(places, at))
    return int(places[found]) if found < len(places) else end


def _raise_peak(track: Track, p: F64) -> None:
    track.peak = max(track.peak, float(np.fmax.reduce(p, initial=-math.inf)))
