"""`train_for_events`: recordings in, one checkpoint of an event model out, with its figures and pictures.

The people it holds out are neither trained nor chosen on: `tune` needs them. It never looks at the test split.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from .datasets import Recordings
from .evaluate import score_stream
from .event_recipes import WINDOW_S, EventData, open_events
from .event_recipes import parse_merge as parse_merge
from .events import train_events
from .plots import plot_confusion, plot_loss
from .progress import Progress, show_nothing
from .progress import show_bar as show_bar
from .run import checkpoint_of
from .run_folder import write_json
from .train import repeatable

PARTS = 20
"""The loss is told, and drawn, as the mean of so many parts of the training."""


@dataclass(frozen=True)
class TrainedEvents:
    """A finished training: its checkpoint, frames right on the people held out, who they are, seconds it took."""

    checkpoint: Path
    accuracy: float
    held_out: tuple[str, ...]
    seconds: float
    int8: bool
    """Whether the network has an exact integer form to export."""


def train_for_events(
    data: str | Path | Recordings,
    events: Sequence[str],
    *,
    merges: Mapping[str, Sequence[str]] = MappingProxyType({}),
    arch: str = "gru",
    hidden: int | None = None,
    layers: int | None = None,
    seed: int = 0,
    out: str | Path = "run",
    settings: Mapping[str, str] = MappingProxyType({}),
    progress: Progress = show_nothing,
) -> TrainedEvents:
    """Train a network that finds `events` in a running stream; see event_recipes.py for data, merges and settings.

    The folder `out` gets checkpoint.pt, metrics.json and pictures of the loss and of the held-out people's confusion.
    Raises DataError for recordings that cannot be trained on, UsageError for options that do not fit.
    """
    opened = open_events(data, events, merges, settings)
    path = Path(out)
    (path / "checkpoint.pt").unlink(missing_ok=True)  # an interrupted training leaves none that looks finished
    window = round(WINDOW_S * opened.train.rate_hz)
    losses: list[float] = []
    steps = opened.recipe.steps
    began = time.perf_counter()
    with repeatable(seed), progress(PARTS, max(1, steps // PARTS)) as shown:

        def on_step(loss: float) -> None:
            losses.append(loss)
            shown.step(min(len(losses) * PARTS // steps, PARTS - 1), loss)

        network = train_events(
            opened.train, events, arch=arch, hidden=hidden, layers=layers, window=window, recipe=opened.recipe,
            seed=seed, on_step=on_step,
        )  # fmt: skip
    seconds = time.perf_counter() - began
    score = score_stream(network, opened.held_out)
    training = _training(opened, seed, {"held_out_accuracy": score.accuracy, "held_out_loss": score.loss})
    checkpoint = checkpoint_of(network, opened.train, window=window, background=None, seed=seed, training=training)
    means = [float(np.mean(part)) for part in np.array_split(losses, PARTS) if len(part)]
    report = score.report(opened.train.classes)
    path.mkdir(parents=True, exist_ok=True)
    write_json(path / "metrics.json", {"training": training, "loss": means, "held_out": report})
    plot_loss(losses, PARTS, path / "learning_curve.png")
    title = f"held-out people, every sample: {score.accuracy:.1%} of {len(score.truth):,}"
    counts = score.confusion(len(opened.train.classes))
    plot_confusion(counts, opened.train.classes, path / "confusion.png", title)
    checkpoint.save(path / "checkpoint.pt")
    people, int8 = opened.held_out.subjects, network.exact
    return TrainedEvents(path / "checkpoint.pt", score.accuracy, people, seconds, int8)


def _training(opened: EventData, seed: int, metrics: Mapping[str, float]) -> dict[str, object]:
    """What the bundle will say of its making; `tune` and `score` read events, merges and people."""
    return {
        "data": opened.name,
        "events": list(opened.events),
        "merges": {new: list(parts) for new, parts in opened.merges.items()},
        "train_subjects": list(opened.train.subjects),
        "validation_subjects": [],
        "held_out_subjects": list(opened.held_out.subjects),
        "seed": seed,
        "recipe": opened.recipe.to_json(),
        "metrics": {**metrics, "scored": "samples, recordings read whole"},
    }
