"""`tune`: recordings of people a model has not seen -> detector parameters chosen on them, and a bundle with them.

The search itself is edge_rnn.tune; here are the recordings, the picture and the file. Weights do not change, so neither
does the model_digest; a signature of the old file does not fit the new one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edge_rnn.atomic import write_atomically
from edge_rnn.bundle import parse_bundle
from edge_rnn.detect import softmax
from edge_rnn.errors import DataError
from edge_rnn.manifest import DetectorParams
from edge_rnn.model import Model
from edge_rnn.stored_zip import pack_zip, unpack_zip
from edge_rnn.tune import SMOOTH_MS, Outcome, Take, choose, frontier, median_s, quickest, search

from .datasets import Recordings
from .plots import BLUE, INK, ORANGE, legend_beside
from .scoring import class_of, columns_of, truth_of

SMOOTHINGS = len(SMOOTH_MS)


@dataclass(frozen=True)
class Tuned:
    """One label's choice and its trade-off curves: recall, and latency at `enough` recall, over false alarms."""

    label: str
    chosen: Outcome
    curve: list[Outcome]
    latency_curve: list[Outcome]
    enough: float


def takes_of(model: Model, data: Recordings, label: str) -> list[Take]:
    """The label's probabilities on each recording from the zero state, as a stream detects: after the warm-up."""
    columns, number = columns_of(model, data), class_of(data, label)
    at, warm = model.manifest.labels.index(label), model.manifest.warmup_samples
    takes = []
    for r in range(len(data)):
        p = softmax(model.run(data.values(r)[:, columns]))[warm:, at]
        takes.append(Take(p, truth_of(data, r, number)[warm:]))
    return takes


def tune(
    model: Model,
    data: Recordings,
    labels: Sequence[str],
    per_hour: float,
    *,
    early_s: float = 0.0,
    latency_s: float = float("inf"),
    recall: float | None = None,
    on_step: Callable[[], None] = lambda: None,
) -> list[Tuned]:
    """For each label the choice of edge_rnn.tune within its share of the budget: per_hour / number of labels.

    Raises DataError where a label has no event, or nothing of the grid fits the budget.
    """
    tuned = []
    for label in labels:
        takes = takes_of(model, data, label)
        outcomes = search(takes, model.manifest.rate_hz, early_s, on_step)
        if not outcomes[0].events:
            raise DataError(f"the recordings hold no {label!r}: it cannot be tuned on them, leave it out with --label")
        chosen = choose(outcomes, per_hour / len(labels), latency_s, recall)
        if chosen is None:
            also = "" if recall is None else f" and {recall:.0%} of the events"
            share = "" if len(labels) == 1 else f" (its share of {per_hour:g} for {len(labels)} labels)"
            raise DataError(
                f"no parameters give {label!r} at most {per_hour / len(labels):.3g} false alarms an hour{share}{also}: "
                "allow more, or tune fewer labels with --label"
            )
        enough = chosen.recall if recall is None else recall
        tuned.append(Tuned(label, chosen, frontier(outcomes), quickest(outcomes, enough), enough))
    return tuned


def write_tuned(source: Path, target: Path, tuned: Sequence[Tuned], about: Mapping[str, Any]) -> None:
    """The bundle with the new parameters; labels that were not tuned keep theirs. The old file stays as it is."""
    blob = source.read_bytes()
    manifest, members = parse_bundle(blob, str(source)).manifest, unpack_zip(blob, str(source))
    detector: dict[str, DetectorParams] = {**manifest.detector, **{t.label: t.chosen.params for t in tuned}}
    figures = {t.label: t.chosen.to_json() for t in tuned}
    changed = replace(manifest, detector=detector, tuning={**about, "labels": figures})
    blob = pack_zip({**members, "manifest.json": changed.to_json()})
    parse_bundle(blob, str(target))
    write_atomically(target, blob)


def plot_tradeoff(tuned: Sequence[Tuned], path: Path) -> None:
    """Recall, and median latency, over false alarms an hour: a curve a label, the choice marked with its interval."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 6.4), dpi=130, layout="constrained")
    above, below = figure.subplots(2, sharex=True)
    colours = [BLUE, ORANGE, "#3a8f4d", "#8a4fa3", "#b03a4b", INK]
    top = max(2 * max((t.chosen.per_hour for t in tuned), default=1.0), 4.0)
    lowest = 1.0
    for number, t in enumerate(tuned):
        colour = colours[number % len(colours)]
        for axes, curve, value in (
            (above, t.curve, lambda o: 100 * o.recall),
            (below, t.latency_curve, median_s),
        ):
            y = [value(outcome) for outcome in curve]
            axes.step([*(o.per_hour for o in curve), 2 * top], [*y, y[-1]], where="post", color=colour)
        low, high = t.chosen.to_json()["recall_95"]
        recall, lowest = 100 * t.chosen.recall, min(lowest, low, t.curve[0].recall)
        error = [[recall - 100 * low], [100 * high - recall]]
        above.errorbar([t.chosen.per_hour], [recall], yerr=error, fmt="o", color=colour, capsize=4, label=t.label)
        words = f"{t.label}, of those that find {100 * t.enough:.0f} %"
        below.plot([t.chosen.per_hour], [median_s(t.chosen)], "o", color=colour, label=words)
    above.set_ylim(10 * np.floor(10 * lowest - 0.5), 101)
    above.set_ylabel("events found (%)")
    above.set_title("Trade-off of the detector; the choice, with its 95 % interval", fontsize=10, color=INK)
    below.set_xlim(-0.03 * top, top)
    below.set_ylim(bottom=0)
    below.set_ylabel("shortest median latency (s)")
    below.set_xlabel("false alarms an hour")
    for axes in (above, below):
        legend_beside(axes)
    figure.savefig(path)
