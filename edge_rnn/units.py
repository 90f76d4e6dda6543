"""Units of channels: which are the same, and how many of one make another. Texts in, factors out; no I/O here."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .errors import UsageError
from .manifest import Channel

FACTORS = (
    ("g", "m/s2", 9.80665),
    ("rad/s", "deg/s", 180 / math.pi),
    ("g", "mg", 1000.0),
    ("V", "mV", 1000.0),
    ("m/s2", "mg", 1000 / 9.80665),
    ("uT", "G", 0.01),
)
"""(one unit, another, how many of the other are one)."""
_SAME = {"m/s^2": "m/s2", "m/s²": "m/s2", "dps": "deg/s", "°/s": "deg/s", "µT": "uT"}


def plain(unit: str) -> str:
    """A unit as FACTORS writes it."""
    return _SAME.get(unit.strip(), unit.strip())


def factor(one: str, other: str) -> float:
    """How many of the other unit are one of the first; raises UsageError for a pair that is not known."""
    if plain(one) == plain(other):
        return 1.0
    for first, second, by in FACTORS:
        if (plain(one), plain(other)) == (first, second):
            return by
        if (plain(one), plain(other)) == (second, first):
            return 1 / by
    known = ", ".join(f"{first}:{second}" for first, second, _ in FACTORS)
    raise UsageError(f"{one}:{other} is no conversion that is known ({known}, and back): give a factor, as ax=*9.81")


def conversions(texts: Sequence[str], channels: Sequence[Channel]) -> list[float]:
    """A factor a channel out of texts like `g:m/s2` (all channels in m/s2), `ax,ay=g:m/s2` and `ax=*9.81`.

    Raises UsageError for channels or units that are not the model's.
    """
    names = [channel.name for channel in channels]
    factors = [1.0] * len(names)
    for text in texts:
        listed, _, what = text.rpartition("=")
        wanted = [name.strip() for name in listed.split(",") if name.strip()]
        by, unit = _read(text, what)
        if not wanted:
            if not unit:
                raise UsageError(f"--convert {text!r} names no channel: expected ax,ay={what}")
            wanted = [channel.name for channel in channels if plain(channel.unit) == plain(unit)]
            if not wanted:
                units = ", ".join(dict.fromkeys(channel.unit or "none" for channel in channels))
                raise UsageError(f"--convert {text!r}: no channel of the model is in {unit}, its units are {units}")
        strangers = [name for name in wanted if name not in names]
        if strangers:
            raise UsageError(f"--convert {text!r} names {', '.join(strangers)}, the model has {', '.join(names)}")
        for name in wanted:
            factors[names.index(name)] *= by
    return factors


def _read(text: str, what: str) -> tuple[float, str]:
    """The factor of `*9.81` or `g:m/s2`, and the unit that comes out ("" for a bare factor)."""
    if what.startswith("*"):
        try:
            by = float(what[1:])
        except ValueError:
            by = math.nan
        if not math.isfinite(by) or by == 0:
            raise UsageError(f"--convert {text!r}: {what[1:]!r} is no factor")
        return by, ""
    one, colon, other = what.partition(":")
    if not colon:
        raise UsageError(f"--convert {text!r} was given, expected g:m/s2, ax,ay=g:m/s2 or ax=*9.81")
    return factor(one, other), other
