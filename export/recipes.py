"""The one table of named data sets and how each is trained; and the defaults for recordings nobody named.

Plain numbers only. Everything here was chosen on validation people taken out of the training split, never on a test.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from edge_rnn.errors import UsageError

from .adapters import (
    HAPT_TEST_SUBJECTS,
    WATCH_TEST_SUBJECTS,
    find_hapt,
    is_hapt_download,
    read_hapt_download,
    read_watch,
)
from .datasets import Recordings, check_disjoint, choose_validation, split_by_subject
from .readers import read_npz, read_recordings

WINDOW_S = 2.56
"""Window of data nobody named, the common one of activity recognition."""
EPOCHS, LEAST_UPDATES = 30, 1000
"""How long to train on data nobody named: whichever is longer."""
FEW_UPDATES = 300
"""Fewer leave most networks untrained: `train` warns."""


@dataclass(frozen=True)
class Recipe:
    """How to train: what a window is, how it is altered, and how the weights are moved.

    The defaults are the best recipe known for inertial data; each is tunable with `--set name=value`.
    """

    window: int = 0
    """Samples a window; 0 means 2.56 s."""
    hop: int = 0
    """Samples between scored windows; 0 means half a window."""
    labels: tuple[str, ...] = ()
    """Classes to learn, in order; none means all. Others are ignored."""
    validation: tuple[str, ...] = ()
    """People the best epoch is chosen on; none means 20 % of them."""
    held_back: tuple[str, ...] = ()
    """People that are left out, neither trained nor chosen on: for `tune --people unseen` and `score`."""
    background: str = ""
    """The class that is no event, if there is one."""

    gains: Mapping[str, float] = field(default_factory=dict)
    """Channel name -> factor on the standardised channel, folded into the network's `std`."""
    rotation_deg: float = 35.0
    """Each triad of axes is turned about a random axis by up to this angle."""
    gain_sd: float = 0.1
    """A window is multiplied by 1 + gain_sd * N(0, 1)."""
    noise_sd: float = 0.0
    """White noise, in standard deviations of the channel."""
    warp: float = 0.15
    """Time is stretched by exp(U(-warp, warp)); a gyroscope's values follow."""
    dropped: float = 0.0
    """Share of samples replaced by the one before, as the stream's gap policy does."""

    epochs: int = 0
    """0 means 30, and more where these make fewer than 1,000 updates."""
    batch: int = 128
    learning_rate: float = 8e-3
    weight_decay: float = 1e-2
    warmup_epochs: float = 1.0
    clip: float = 1.0
    """Largest norm of the gradient."""
    label_smoothing: float = 0.05
    dropout: float = 0.1
    last_step: float = 0.8
    """Weight of the last step's loss; the rest is the mean over every 4th step after the first quarter."""
    class_weights: bool = False
    """Weigh classes by the inverse of their share."""
    patience: int = 0
    """Stop when validation has not improved for so many epochs; 0 means never."""

    lanes: int = 64
    """Truncated BPTT: recordings read side by side."""

    def to_json(self) -> dict[str, Any]:
        """Plain values, for a checkpoint."""
        plain = {f.name: getattr(self, f.name) for f in fields(self)}
        listed = {name: list(value) if isinstance(value, tuple) else value for name, value in plain.items()}
        return {**listed, "gains": dict(self.gains)}


HAPT = Recipe(
    window=128,
    hop=64,
    labels=("WALKING", "WALKING_UPSTAIRS", "WALKING_DOWNSTAIRS", "SITTING", "STANDING", "LAYING"),
    validation=("5", "11", "16", "22", "28"),
    gains={"gyro_x": 20.0, "gyro_y": 20.0, "gyro_z": 20.0},
    epochs=EPOCHS,
)
WATCH = Recipe(window=200, hop=50, validation=("8", "10"), rotation_deg=20.0, noise_sd=0.05, epochs=20)

NAMED: Mapping[str, Recipe] = {"hapt": HAPT, "watch": WATCH}


R = TypeVar("R")


def override(recipe: R, settings: Mapping[str, str]) -> R:
    """A recipe with `name=value` texts put in; raises UsageError for an unknown name or a value that does not fit."""
    known = {f.name: getattr(recipe, f.name) for f in fields(recipe)}  # type: ignore[arg-type]
    changes: dict[str, Any] = {}
    for name, text in settings.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
            raise UsageError(f"recipe has no {name!r}: {hint}")
        changes[name] = _parse(name, text, known[name])
    return replace(recipe, **changes)  # type: ignore[type-var]


@dataclass(frozen=True)
class DataSet:
    """Recordings to train and validate on, a test split where the name has one, and the recipe, all filled in."""

    name: str
    train: Recordings
    validation: Recordings
    test: Recordings | None
    recipe: Recipe


def open_dataset(data: str | Path | Recordings, settings: Mapping[str, str] | None = None) -> DataSet:
    """From a name of the table, a file or folder of recordings, or Recordings.

    A folder with train.npz is such a split (test.npz is its test where it is there); an official HAPT download is
    recognised. Raises DataError or UsageError.
    """
    name, recipe, whole, test = find_data(data)
    recipe = override(recipe, settings or {})
    window = recipe.window or max(2, round(WINDOW_S * whole.rate_hz))
    recipe = replace(recipe, window=window, hop=recipe.hop or max(1, window // 2))
    if recipe.labels:
        whole = whole.with_classes(recipe.labels)
        test = test.with_classes(recipe.labels) if test is not None else None
    if test is not None:
        check_disjoint(whole, test, "test")
    if recipe.held_back:
        whole, _ = split_by_subject(whole, recipe.held_back)
    recipe = replace(recipe, validation=recipe.validation or choose_validation(whole))
    train, validation = split_by_subject(whole, recipe.validation)
    check_disjoint(train, validation, "validation")
    return DataSet(name, train, validation, test, _long_enough(recipe, train))


def _long_enough(recipe: Recipe, data: Recordings) -> Recipe:
    """With the epochs that few recordings need, where nobody said how many; the warm-up keeps its share of them."""
    if recipe.epochs:
        return recipe
    lengths = np.diff(data.segments()[:, :2], axis=1)
    windows = int(np.maximum((lengths - recipe.window) // recipe.hop + 1, 0).sum())
    epochs = max(EPOCHS, math.ceil(LEAST_UPDATES / max(1, windows // max(1, recipe.batch))))
    return replace(recipe, epochs=epochs, warmup_epochs=recipe.warmup_epochs * epochs / EPOCHS)


def find_data(data: str | Path | Recordings) -> tuple[str, Recipe, Recordings, Recordings | None]:
    """Name, recipe, training recordings, test recordings."""
    if isinstance(data, Recordings):
        return "recordings", Recipe(), data, None
    if str(data) == "watch":
        return "watch", WATCH, *split_by_subject(read_watch(), WATCH_TEST_SUBJECTS)
    if str(data) == "hapt":
        return "hapt", HAPT, find_hapt("train"), find_hapt("test")
    path = Path(data)
    if not path.exists():
        raise UsageError(f"{str(data)!r} is no data set ({', '.join(NAMED)}) and no file or folder: check the name")
    if (path / "train.npz").is_file():
        test = read_npz(path / "test.npz") if (path / "test.npz").is_file() else None
        return path.name, HAPT if path.name == "hapt" else Recipe(), read_npz(path / "train.npz"), test
    if path.is_dir() and is_hapt_download(path):
        download = read_hapt_download(path)
        return "hapt", HAPT, *split_by_subject(download, HAPT_TEST_SUBJECTS)
    return path.name, Recipe(), read_recordings(path), None


def _parse(name: str, text: str, current: Any) -> Any:
    try:
        if isinstance(current, bool):
            return {"true": True, "false": False, "1": True, "0": False}[text.lower()]
        if isinstance(current, int):
            return int(text)
        if isinstance(current, float):
            return float(text)
        if isinstance(current, tuple):
            return tuple(part.strip() for part in text.split(",") if part.strip())
        if isinstance(current, Mapping):
            pairs = (part.split(":") for part in text.split(",") if part.strip())
            return {channel.strip(): float(factor) for channel, factor in pairs}
    except (ValueError, KeyError) as error:
        raise UsageError(f"recipe's {name} is {text!r}, expected something like {current!r}") from error
    return text
