"""The trainings of a comparison, one a contender and seed, each kept in its folder and never made twice.

A training that was interrupted goes on where it stopped; one made for another recipe, size or data set is made anew.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_rnn.errors import EdgeRnnError, UsageError

from .checkpoint import Checkpoint
from .compare_budget import Contender
from .progress import Progress, show_nothing
from .recipes import DataSet
from .run import Plan
from .run_folder import Interrupted
from .train import train


class Paused(EdgeRnnError):
    """Ctrl-C between or in trainings."""

    exit_code = 130


@dataclass(frozen=True)
class Training:
    """A finished one. `diagnosis` is diagnosis.json's content; `seconds` are of its epochs, on one thread."""

    contender: Contender
    seed: int
    folder: Path
    checkpoint: Checkpoint
    validation_accuracy: float
    seconds: float
    diagnosis: dict[str, Any]


def folder_of(out: Path, contender: Contender, seed: int) -> Path:
    """OUT/runs/ARCH-UNITS/SEED."""
    return out / "runs" / f"{contender.arch}-{contender.hidden}" / str(seed)


def trained(
    dataset: DataSet, contender: Contender, seed: int, out: Path, progress: Progress = show_nothing
) -> Training:
    """The training, from its folder where it stands there already. Raises what `train` raises, and Paused."""
    folder = folder_of(out, contender, seed)
    identity = json.loads(json.dumps(Plan(dataset, contender.arch, contender.hidden, None, seed, None, None).to_json()))
    if not _finished(folder, identity):
        options: dict[str, Any] = {"seed": seed, "out": folder, "diagnose": True, "progress": progress}
        try:
            train(dataset, contender.arch, contender.hidden, resume=_begun(folder, identity), **options)
        except Interrupted as stop:
            raise Paused(f"interrupted in {contender.name}, seed {seed}: the same command goes on from there") from stop
        except UsageError as error:
            raise UsageError(f"{contender.name}, seed {seed}: {error}") from error
        (folder / "plan.json").write_text(json.dumps(identity) + "\n", encoding="utf-8")
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    return Training(
        contender=contender,
        seed=seed,
        folder=folder,
        checkpoint=Checkpoint.load(folder / "checkpoint.pt"),
        validation_accuracy=metrics["validation"]["accuracy"],
        seconds=sum(epoch["seconds"] for epoch in metrics["history"]),
        diagnosis=json.loads((folder / "diagnosis.json").read_text(encoding="utf-8")),
    )


def _finished(folder: Path, identity: dict[str, Any]) -> bool:
    try:
        return (folder / "checkpoint.pt").is_file() and json.loads((folder / "plan.json").read_text()) == identity
    except (OSError, ValueError):
        return False


def _begun(folder: Path, identity: dict[str, Any]) -> bool:
    """Whether an interrupted run of the very same plan lies there."""
    from .checkpoint import load_plain

    if (folder / "checkpoint.pt").exists():
        return False
    try:
        return bool(load_plain(folder / "resume" / "state.pt", "resume file").get("identity") == identity)
    except EdgeRnnError:
        return False
