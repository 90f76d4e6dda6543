"""What a bundle's own detector does on labelled recordings: them as this model takes them, and figures with intervals.

Nothing is chosen here (tuning.py does that), and nothing written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np

from edge_rnn.errors import DataError, UsageError
from edge_rnn.events import Started
from edge_rnn.manifest import GapPolicy
from edge_rnn.model import Model
from edge_rnn.tune import Expected, Outcome, Truth, count

from .adapters import find_hapt, is_hapt_download, read_hapt_download
from .datasets import UNKNOWN, Ints, Recordings, merge
from .event_recipes import parse_merge
from .readers import read_recordings

NAMED = ("hapt", "hapt-test")


def read(
    data: str | Path, merges: Mapping[str, Sequence[str]] = MappingProxyType({}), policy: GapPolicy | None = None
) -> Recordings:
    """Recordings: `hapt` (its training people), `hapt-test`, a file, a folder or HAPT's own download.

    `merges` (new class -> classes) apply where the new class is not there yet.
    """
    name = str(data)
    found = find_hapt(name.removeprefix("hapt-") if name != "hapt" else "train") if name in NAMED else None
    if not found and Path(data).is_dir() and is_hapt_download(Path(data)):
        found = read_hapt_download(data)
    recordings = found or read_recordings(data, policy)
    for new, parts in merges.items():
        if new not in recordings.classes:
            recordings = merge(recordings, new, parts)
    return recordings


def read_for(model: Model, data: str | Path, merged: str = "", people: str = "") -> Recordings:
    """Recordings as this model takes them: `merged` as `--merge` has it, else what its training took as one.

    `people`: names, separated by commas, or `unseen` for those the bundle was not trained on; empty: all.
    """
    training = model.manifest.training or {}
    recordings = read(data, parse_merge(merged) or training.get("merges") or {}, model.manifest.gap)
    if not people:
        return recordings
    if recordings.rec_subject is None:
        raise UsageError(f"--people {people} was given, the recordings do not say of whom they are")
    wanted = [name.strip() for name in people.split(",")]
    if people == "unseen":
        wanted = [name for name in recordings.subjects if name not in known_people(model)]
    strangers = sorted(set(wanted) - set(recordings.subjects))
    if people == "unseen" and not wanted:
        raise UsageError(
            f"the model was trained or validated on all of {', '.join(recordings.subjects)}: record others, "
            "or train again with --set held_back=A,B to keep some for this"
        )
    if strangers or not wanted:
        raise UsageError(f"people are {strangers or 'none'}, the recordings are of {', '.join(recordings.subjects)}")
    return recordings.select([r for r, owner in enumerate(recordings.owners) if owner in wanted])


def known_people(model: Model) -> set[str]:
    """On whom a bundle was trained or validated, as far as it says."""
    training = model.manifest.training or {}
    return {str(s) for key in ("train_subjects", "validation_subjects") for s in training.get(key) or ()}


def check_unseen(model: Model, data: Recordings) -> None:
    """Raise UsageError where the bundle was trained or validated on one of the data's people, or does not say."""
    known = known_people(model)
    if not known:
        raise UsageError("the bundle does not say on whom it was trained: --allow-seen if these people are others")
    both = sorted(known & set(data.subjects)) if data.rec_subject is not None else []
    if data.rec_subject is None or both:
        whom = f"people {', '.join(both)}" if both else "recordings of nobody knows whom"
        raise UsageError(
            f"the model was trained on {whom} of these data, figures on them promise too much: "
            "--people unseen takes the others (train --set held_back=A,B leaves some), --allow-seen all"
        )


def score(model: Model, data: Recordings, labels: Sequence[str], early_s: float = 0.0) -> list[Outcome]:
    """What the bundle's own detector does on whole recordings, each a stream of its own from the zero state."""
    columns, warm = columns_of(model, data), model.manifest.warmup_samples
    period_ns = 1e9 / model.manifest.rate_hz
    numbers = {label: class_of(data, label) for label in labels}
    starts: dict[str, list[Ints]] = {label: [] for label in labels}
    for r in range(len(data)):
        told = model.stream().push(data.values(r)[:, columns])
        begun = [event for event in told if isinstance(event, Started)]
        for label in labels:
            at = [round(event.t_ns / period_ns) - warm for event in begun if event.label == label]
            starts[label].append(np.array(at, np.int64))
    outcomes = []
    for label, number in numbers.items():
        expected = [Expected.of(truth_of(data, r, number)[warm:]) for r in range(len(data))]
        params = model.manifest.detector[label]
        outcomes.append(count(starts[label], expected, params, model.manifest.rate_hz, early_s))
    return outcomes


def columns_of(model: Model, data: Recordings) -> list[int]:
    """The model's channels among the data's; raises DataError where they or the rate do not fit."""
    channels = [channel.name for channel in model.manifest.channels]
    missing = sorted(set(channels) - set(data.channels))
    if missing:
        raise DataError(f"the recordings lack channels {missing}: they have {list(data.channels)}")
    if abs(data.rate_hz / model.manifest.rate_hz - 1) > 0.02:
        raise DataError(f"the recordings have {data.rate_hz} Hz, the model wants {model.manifest.rate_hz}")
    return [data.channels.index(name) for name in channels]


def truth_of(data: Recordings, recording: int, number: int) -> Truth:
    """Whether the class is there at each sample of a recording (T,): 1, 0, or -1 where nobody knows."""
    label = data.label[data.rec_start[recording] : data.rec_start[recording + 1]]
    return np.where(label == UNKNOWN, -1, label == number).astype(np.int8)


def class_of(data: Recordings, label: str) -> int:
    """The number of a class; raises DataError where the data have none of that name."""
    if label not in data.classes:
        raise DataError(f"the recordings lack the class {label!r}: they have {list(data.classes)}")
    return data.classes.index(label)
