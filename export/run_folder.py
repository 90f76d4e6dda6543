"""A run's folder: resume data while it trains; checkpoint.pt, metrics.json and pictures when it is done.

Files are written whole or not at all. An interrupted run leaves no checkpoint.pt that looks finished.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from edge_rnn.atomic import write_atomically
from edge_rnn.errors import DataError, EdgeRnnError, UsageError

from .checkpoint import Checkpoint, load_plain, save_atomically
from .evaluate import Scores

if TYPE_CHECKING:
    from .run import Run


class Interrupted(EdgeRnnError):
    """Ctrl-C during training; the run can be resumed."""

    exit_code = 130

    def __init__(self, done: int, epochs: int, folder: Path) -> None:
        where = f"resume with --out {folder} --resume" if done else "nothing to resume yet"
        super().__init__(f"training was interrupted after {done} of {epochs} epochs: {where}")


class RunFolder:
    """`identity` is what a resumed run must share with the one it goes on with."""

    def __init__(self, path: Path, identity: dict[str, Any]) -> None:
        self.path = path
        self.identity = json.loads(json.dumps(identity))
        self._state = path / "resume" / "state.pt"

    def clear(self) -> None:
        """Forget an earlier run here: its resume data and its checkpoint."""
        shutil.rmtree(self._state.parent, ignore_errors=True)
        (self.path / "checkpoint.pt").unlink(missing_ok=True)

    def save(self, run: Run) -> None:
        """After an epoch: all that the rest of the run depends on."""
        plain = {
            "identity": self.identity,
            "network": run.network.state_dict(),
            "optimizer": run.optimizer.state_dict(),
            "generator": run.generator.get_state(),
            "dropout": torch.get_rng_state(),
            "epoch": run.epoch,
            "best": run.best,
            "best_epoch": run.best_epoch,
            "history": run.history,
            "diagnosis": run.diagnosis,
        }
        save_atomically(plain, self._state)

    def restore(self, run: Run) -> None:
        """Put `run` where the saved one stood. Raises UsageError for another run's data, DataError for damage."""
        plain = load_plain(self._state, "resume file")
        differ = [key for key, value in self.identity.items() if plain.get("identity", {}).get(key) != value]
        if differ:
            raise UsageError(f"{self.path} holds a run with another {', '.join(differ)}: give the same options as then")
        try:
            run.network.load_state_dict(plain["network"])
            run.optimizer.load_state_dict(plain["optimizer"])
            run.generator.set_state(plain["generator"])
            torch.set_rng_state(plain["dropout"])
            run.epoch, run.best_epoch = plain["epoch"], plain["best_epoch"]
            run.best, run.history = plain["best"], plain["history"]
            run.diagnosis = plain.get("diagnosis", [])
        except (KeyError, RuntimeError, ValueError, TypeError) as error:
            raise DataError(f"{self._state} does not fit this run ({error}): train again without --resume") from error

    def finish(
        self,
        checkpoint: Checkpoint,
        score: Scores,
        history: list[dict[str, float]],
        diagnosis: dict[str, Any] | None = None,
    ) -> None:
        """Write what a person and `export` want."""
        from .diagnosis_plot import plot_diagnosis
        from .plots import plot_confusion, plot_learning_curve

        metrics = {
            "training": checkpoint.training,
            "history": history,
            "validation": score.report(checkpoint.labels),
        }
        self.path.mkdir(parents=True, exist_ok=True)
        write_json(self.path / "metrics.json", metrics)
        best = checkpoint.training["metrics"]["best_epoch"]
        plot_learning_curve(history, best, self.path / "learning_curve.png")
        title = f"validation people: {score.accuracy:.1%} of {len(score.truth):,}"
        plot_confusion(score.confusion(len(checkpoint.labels)), checkpoint.labels, self.path / "confusion.png", title)
        if diagnosis:
            write_json(self.path / "diagnosis.json", diagnosis, indent=None)
            plot_diagnosis(diagnosis, best, self.path / "diagnosis.png")
        checkpoint.save(self.path / "checkpoint.pt")  # last: whoever sees it sees a finished run


def write_json(path: Path, value: object, indent: int | None = 1) -> None:
    """A file that is whole or not there."""
    write_atomically(path, f"{json.dumps(value, indent=indent)}\n".encode())
