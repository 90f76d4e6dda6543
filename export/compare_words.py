"""What a comparison says in words: findings that follow from its figures, and what was not measured.

Figures in, sentences out; nothing is said that a figure of this very report does not carry.
"""

from __future__ import annotations

import math
from typing import Any

from .architectures import RECURRENT

Row = dict[str, Any]


def findings(found: dict[str, Row]) -> list[str]:
    """The best, whom it ties with, who is cheapest, and where the recurrent networks lose."""
    told = [_best(found)]
    recurrent = {name: row for name, row in found.items() if row["arch"] in RECURRENT}
    others = {name: row for name, row in found.items() if row["arch"] not in RECURRENT}
    if recurrent and others:
        told += _against(recurrent, others)
    for name, row in found.items():
        told += [f"**{name}**: {warning}." for warning in row["gradient"]["warnings"][:1]]
    return told


def _best(found: dict[str, Row]) -> str:
    ranked = sorted(found, key=lambda name: -_accuracy(found[name]))
    first = ranked[0]
    top = _accuracy(found[first])
    tied = [name for name in ranked[1:] if top - _accuracy(found[name]) <= _margin(found, first, name)]
    told = f"Most windows right: **{first}**, {top:.1%}"
    if tied:
        told += f"; within two standard errors of it: {', '.join(f'{n} {_accuracy(found[n]):.1%}' for n in tied)}"
    last = ranked[-1]
    return f"{told}. Fewest: {last}, {_accuracy(found[last]):.1%}."


def _against(recurrent: dict[str, Row], others: dict[str, Row]) -> list[str]:
    """Where the best of each kind wins; a tie is said to be one."""
    mine, theirs = (max(rows, key=lambda name: _accuracy(rows[name])) for rows in (recurrent, others))
    a, b = recurrent[mine], others[theirs]
    both = {mine: a, theirs: b}
    apart, tie = _accuracy(a) - _accuracy(b), abs(_accuracy(a) - _accuracy(b)) <= _margin(both, mine, theirs)
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


def _accuracy(row: Row) -> float:
    return float(row["accuracy"]["windows"]["mean"])


def _sd(row: Row) -> float:
    return float(row["accuracy"]["windows"]["sd"] or 0.0)


def _margin(found: dict[str, Row], one: str, other: str) -> float:
    """Two standard errors of the difference of two means."""
    pairs = [(_sd(found[name]), len(found[name]["accuracy"]["windows"]["values"])) for name in (one, other)]
    return 2 * math.sqrt(sum(sd**2 / count for sd, count in pairs))


def caveats(report: dict[str, Any]) -> list[str]:
    """Why a cell is empty, and how to read the others."""
    found, told = report["architectures"], []
    for name, row in found.items():
        reasons = {
            "int8": row["int8"].get("not_measured"),
            "firmware": row["firmware"].get("not_measured"),
            "float32 bundle": row["streaming"]["float32"].get("not_measured"),
        }
        told += [f"**{name}**, {what}: {reason}" for what, reason in reasons.items() if reason]
    off = [n for n, r in found.items() if abs(r["parameters"] / report["budget"] - 1) > 0.1]
    if off:
        named = ", ".join(f"{name} ({found[name]['parameters']:,})" for name in off)
        told.append(f"Off the budget by more than 10 %: {named}.")
    count = next(iter(found.values()))["events"]["count"]
    told.append(f"Events: {count:,} labelled stretches, the detector of every fresh bundle; `edge-rnn tune` fits it.")
    told.append("A dash: not measured. `> n`: further than was looked. Times compare within this report alone.")
    return told
