"""How event models are trained: the recipe's numbers, what the named data sets call an event, who is held out.

Plain numbers and recordings; no torch here. The numbers were chosen on training people only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from edge_rnn.errors import UsageError

from .datasets import Recordings, check_trainable, choose_validation, merge, split_by_subject
from .recipes import Recipe, find_data, override

WINDOW_S = 2.56
"""Seconds an event model needs from the zero state before it is listened to."""


@dataclass(frozen=True)
class EventRecipe:
    """How long, how fast, and what a lane does; seconds are converted by the data's rate."""

    steps: int = 2000
    lanes: int = 64
    chunk: int = 256
    learning_rate: float = 1.2e-2
    weight_decay: float = 1e-2
    warmup: float = 0.1
    """Share of the steps in which the learning rate rises (one cycle; Smith 2018)."""
    clip: float = 1.0
    """Largest norm of the gradient."""
    averaging: float = 0.99
    restart: float = 0.12
    """Chance that a lane starts anew at a chunk."""
    near_onset: float = 0.5
    reversed: float = 0.0
    """Share of starts that read backwards, a gyroscope's sign turned; for events that are events backwards too."""
    quiet_s: float = 1.0
    """Not scored after a start."""
    blurred_s: float = 0.3
    """Not asked "event or not" so long before an onset, and on both sides of an end."""
    event_weight: float = 2.0
    smoothing: float = 0.05
    rotation_deg: float = 20.0
    gain_sd: float = 0.1
    noise_sd: float = 0.05

    def __post_init__(self) -> None:
        for name in ("steps", "lanes", "chunk", "learning_rate", "clip"):
            if not getattr(self, name) > 0:
                raise UsageError(f"recipe's {name} is {getattr(self, name)}, expected more than 0")
        for name in ("warmup", "averaging", "restart", "near_onset", "reversed", "smoothing"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"recipe's {name} is {getattr(self, name)}, expected 0 to 1")

    @property
    def worn(self) -> Recipe:
        """How a sensor's place on the body is varied, in the words of augment.py."""
        return Recipe(rotation_deg=self.rotation_deg, gain_sd=self.gain_sd, noise_sd=self.noise_sd)

    def to_json(self) -> dict[str, Any]:
        """Plain values, for a checkpoint."""
        return asdict(self)


@dataclass(frozen=True)
class NamedEvents:
    """What one calls events in a named data set: classes taken as one, and what the recipe changes for them."""

    merges: Mapping[str, tuple[str, ...]]
    recipe: EventRecipe


TRANSITIONS = ("STAND_TO_SIT", "SIT_TO_STAND", "SIT_TO_LIE", "LIE_TO_SIT", "STAND_TO_LIE", "LIE_TO_STAND")
NAMED: Mapping[str, NamedEvents] = {
    "hapt": NamedEvents({"TRANSITION": TRANSITIONS}, EventRecipe(reversed=0.3)),
}


@dataclass(frozen=True)
class EventData:
    """Recordings to learn events from, and those of the people who are left for `tune`; neither has seen the test."""

    name: str
    train: Recordings
    held_out: Recordings
    events: tuple[str, ...]
    merges: Mapping[str, Sequence[str]]
    recipe: EventRecipe


def open_events(
    data: str | Path | Recordings,
    events: Sequence[str],
    merges: Mapping[str, Sequence[str]] = MappingProxyType({}),
    settings: Mapping[str, str] = MappingProxyType({}),
) -> EventData:
    """Recordings of `data` with `merges` (new class -> classes) applied; a named set knows its own.

    Raises DataError and UsageError where the events or the settings do not fit.
    """
    name, windows, whole, _ = find_data(data)
    named = NAMED.get(name, NamedEvents({}, EventRecipe()))
    known = {new: parts for new, parts in named.merges.items() if new in events}
    merges = merges or known
    for new, parts in merges.items():
        whole = merge(whole, new, parts)
    strangers = [event for event in events if event not in whole.classes]
    if strangers or not events:
        raise UsageError(f"events are {strangers or 'none'}, the data's classes are {', '.join(whole.classes)}")
    train, held_out = split_by_subject(whole, windows.validation or choose_validation(whole))
    check_trainable(train)
    return EventData(name, train, held_out, tuple(events), merges, override(named.recipe, settings))


def parse_merge(text: str) -> dict[str, tuple[str, ...]]:
    """`NEW=A,B`: the classes A and B as one, NEW; several are parted by a semicolon."""
    merges = {}
    for one in filter(None, text.split(";")):
        new, _, parts = one.partition("=")
        if not new.strip() or not parts.strip():
            raise UsageError(f"--merge is {text!r}, expected NEW=A,B")
        merges[new.strip()] = tuple(part.strip() for part in parts.split(","))
    return merges


def named_recipe(data: str | Path) -> EventRecipe:
    """The recipe of a named set, found by name, folder (hapt) or a file in it (hapt/train.npz); else the default."""
    path = Path(data)
    found = next((NAMED[name] for name in (path.name, path.parent.name) if name in NAMED), None)
    return found.recipe if found else EventRecipe()
