"""What a comparison says in words: findings that follow from its figures, and what was not measured.

Figures in, sentences out; nothing is said that a figure of this very report does not carry.
"""

from __future__ import annotations

import math
from typing import Any

from .architectures import RECURRENT

Row = dict[str, Any]
STREAM_FALL = 0.1
LONGEST = 240
"""Letters of a reason."""


def findings(found: dict[str, Row], windows: int) -> list[str]:
    """The best, whom it ties with, who is cheapest, and where the recurrent networks lose; of so many test windows."""
    told = [_best(found, windows)]
    recurrent = {name: row for name, row in found.items() if row["arch"] in RECURRENT}
    others = {name: row for name, row in found.items() if row["arch"] not in RECURRENT}
    if recurrent and others:
        told += _against(recurrent, others, windows)
    told += [_running_on(name, row) for name, row in recurrent.items() if _falls(row)]
    for name, row in found.items():
        told += [f"**{name}**: {warning}." for warning in row["gradient"]["warnings"][:1]]
    return told


def _best(found: dict[str, Row], windows: int) -> str:
    ranked = sorted(found, key=lambda name: -_accuracy(found[name]))
    first = ranked[0]
    top = _accuracy(found[first])
    tied = [name for name in ranked[1:] if top - _accuracy(found[name]) <= _margin(found, first, name, windows)]
    told = f"Most windows right: **{first}**, {top:.1%}"
    if tied:
        told += f"; within what chance does: {', '.join(f'{n} {_accuracy(found[n]):.1%}' for n in tied)}"
    last = ranked[-1]
    return f"{told}. Fewest: {last}, {_accuracy(found[last]):.1%}."


def _against(recurrent: dict[str, Row], others: dict[str, Row], windows: int) -> list[str]:
    """Where the best of each kind wins; a tie is said to be one."""
    mine, theirs = (max(rows, key=lambda name: _accuracy(rows[name])) for rows in (recurrent, others))
    a, b = recurrent[mine], others[theirs]
    both = {mine: a, theirs: b}
    apart, tie = _accuracy(a) - _accuracy(b), abs(_accuracy(a) - _accuracy(b)) <= _margin(both, mine, theirs, windows)
    verdict = "they tie" if tie else f"the {'recurrent' if apart > 0 else 'other'} one is better"
    named = f"The best recurrent network is {mine} ({_accuracy(a):.1%}), the best other one {theirs}"
    told = [f"{named} ({_accuracy(b):.1%}): {verdict}."]
    one, other = (row["streaming"]["float32"] for row in (a, b))
    if "state_bytes" in one and "state_bytes" in other:
        told.append(
            f"A stream of {mine} carries {one['state_bytes']:,} bytes of state and costs {one['macs']:,} "
            f"multiply-accumulates a step; one of {theirs} {other['state_bytes']:,} and {other['macs']:,}."
        )
    fast = max(others, key=lambda name: others[name]["parallelism"]["samples_per_s"]["1"][-1])
    ratio = others[fast]["parallelism"]["samples_per_s"]["1"][-1] / a["parallelism"]["samples_per_s"]["1"][-1]
    if ratio > 1:
        length = a["parallelism"]["lengths"][-1]
        told.append(f"In training on sequences of {length} samples {fast} is {ratio:.1f} times as fast as {mine}.")
    return told


def _falls(row: Row) -> bool:
    return _accuracy(row) - float(row["accuracy"]["samples"]["mean"]) > STREAM_FALL


def _running_on(name: str, row: Row) -> str:
    return (
        f"**{name}** is right on {_accuracy(row):.1%} of windows, each from the zero state, and on "
        f"{row['accuracy']['samples']['mean']:.1%} of samples when its state runs on: it was trained on windows "
        "and does not forget; train it with `--tbptt`, or reset it."
    )


def _accuracy(row: Row) -> float:
    return float(row["accuracy"]["windows"]["mean"])


def _margin(found: dict[str, Row], one: str, other: str, windows: int) -> float:
    """Two standard errors of the difference of two means: from seed to seed, and from window to window."""
    variance = 0.0
    for name in (one, other):
        accuracy, right = found[name]["accuracy"]["windows"], _accuracy(found[name])
        variance += (accuracy["sd"] or 0.0) ** 2 / len(accuracy["values"]) + right * (1 - right) / windows
    return 2 * math.sqrt(variance)


def caveats(report: dict[str, Any]) -> list[str]:
    """Why a cell is empty, and how to read the others."""
    found = report["architectures"]
    missing: dict[tuple[str, str], list[str]] = {}
    for name, row in found.items():
        parts = {"int8": row["int8"], "firmware": row["firmware"], "float32": row["streaming"]["float32"]}
        for what, part in parts.items():
            if "not_measured" in part:
                reason = " ".join(part["not_measured"].split())
                missing.setdefault((what, reason[:LONGEST]), []).append(name)
    told = [f"**{', '.join(names)}**, {what}: {reason}" for (what, reason), names in missing.items()]
    off = [n for n, r in found.items() if abs(r["parameters"] / report["budget"] - 1) > 0.1]
    if off:
        named = ", ".join(f"{name} ({found[name]['parameters']:,})" for name in off)
        told.append(f"Off the budget by more than 10 %: {named}.")
    count = next(iter(found.values()))["events"]["count"]
    told.append(f"Events: {count:,} labelled stretches, the detector of every fresh bundle; `edge-rnn tune` fits it.")
    told.append("A dash: not measured. `> n`: further than was looked. Times compare within this report alone.")
    speed = next(iter(found.values()))["parallelism"]
    if speed["load"] > speed["cores"]:
        told.append(
            f"The machine was busy while training speeds were taken (load {speed['load']:g} on {speed['cores']} "
            "cores): two threads had no two cores to themselves."
        )
    return told
