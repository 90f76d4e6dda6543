"""`Run`: a training in the middle, and how it begins and ends. The loop between is train.py.

A run begins from a `Plan` alone and ends as a checkpoint; no files here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edge_rnn.errors import UsageError

from .checkpoint import Checkpoint
from .datasets import Recordings, longest_constant, statistics
from .evaluate import Scores
from .initial import initialise
from .networks import Network
from .qat import first_rounded
from .recipes import DataSet, Recipe
from .samples import calibration_samples, golden_samples


@dataclass(frozen=True)
class Plan:
    """All that decides a run's weights: the same plan gives the same ones."""

    dataset: DataSet
    arch: str
    hidden: int | None
    layers: int | None
    seed: int
    tbptt: int | None
    qat: int | None

    def __post_init__(self) -> None:
        recipe, data = self.dataset.recipe, self.dataset.train
        if self.tbptt is not None and self.tbptt < 2:
            raise UsageError(f"tbptt is {self.tbptt}, expected 2 samples a chunk or more")
        for name in ("window", "hop", "epochs", "batch", "learning_rate", "clip", "lanes"):
            if not getattr(recipe, name) > 0:
                raise UsageError(f"recipe's {name} is {getattr(recipe, name)}, expected more than 0")
        for name in ("dropout", "label_smoothing", "last_step", "dropped"):
            if not 0 <= getattr(recipe, name) <= 1:
                raise UsageError(f"recipe's {name} is {getattr(recipe, name)}, expected 0 to 1")
        strangers = sorted(set(recipe.gains) - set(data.channels))
        if strangers or not all(factor > 0 for factor in recipe.gains.values()):
            raise UsageError(f"recipe's gains are {dict(recipe.gains)}, expected factors of {list(data.channels)}")
        if recipe.background and recipe.background not in data.classes:
            raise UsageError(f"background is {recipe.background!r}, the classes are {list(data.classes)}")

    @property
    def recipe(self) -> Recipe:
        """The data set's."""
        return self.dataset.recipe

    def to_json(self) -> dict[str, Any]:
        """What a resumed run must have in common with the interrupted one."""
        same = ("arch", "hidden", "layers", "seed", "tbptt", "qat")
        data = {"data": self.dataset.name, "samples": len(self.dataset.train.x)}
        return {**data, **{name: getattr(self, name) for name in same}, "recipe": self.recipe.to_json()}


@dataclass
class Run:
    """Where a training stands: all that must survive an interrupt for the rest to be bit-identical."""

    network: Network
    optimizer: torch.optim.Optimizer
    generator: torch.Generator
    epoch: int
    best: dict[str, Tensor]
    best_epoch: int
    history: list[dict[str, float]]
    first_kept: int = 0
    """Epochs before this one are never kept: quantization-aware training has not rounded in them."""
    diagnosis: list[dict[str, Any]] = field(default_factory=list)
    """Records of `--diagnose`, one before training and one an epoch."""

    def keep_best(self, losses: list[float], score: Scores, seconds: float) -> None:
        """End an epoch. At least as right on validation people as the best so far makes it the best.

        Among equals the later one has the smaller learning rate behind it. Kept so, a network was as good on further
        people as the last epoch's (docs/accuracy.md).
        """
        best = max(self._candidates(), default=-1.0)
        figures = {"loss": float(np.mean(losses)), "validation_loss": score.loss, "validation_accuracy": score.accuracy}
        self.history.append({**figures, "seconds": seconds})
        if self.epoch >= self.first_kept and score.accuracy >= best:
            self.best_epoch = self.epoch
            self.best = {name: tensor.detach().clone() for name, tensor in self.network.state_dict().items()}
        self.epoch += 1

    def exhausted(self, patience: int) -> bool:
        """Whether validation has stood still for `patience` epochs (0: never); as good as before is standing still."""
        accuracy = self._candidates()
        return bool(patience and accuracy) and len(accuracy) - 1 - accuracy.index(max(accuracy)) >= patience

    def _candidates(self) -> list[float]:
        return [epoch["validation_accuracy"] for epoch in self.history[self.first_kept :]]


def begin(plan: Plan, stats: dict[str, list[float]]) -> Run:
    """Fresh weights and their optimizer; `stats` of the training recordings become the normalisation."""
    data, recipe = plan.dataset.train, plan.recipe
    generator = torch.Generator().manual_seed(plan.seed)
    sizes = {"hidden": plan.hidden, "layers": plan.layers, "window": recipe.window}
    network = Network.of(plan.arch, len(data.channels), len(data.classes), **sizes)
    network.dropout.p = recipe.dropout
    initialise(network, generator)
    gain = torch.tensor([recipe.gains.get(channel, 1.0) for channel in data.channels])
    network.mean.copy_(torch.tensor(stats["mean"]))
    network.std.copy_(torch.tensor(stats["std"]) / gain)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True
    )
    first_kept = first_rounded(recipe.epochs) if plan.qat else 0
    return Run(network, optimizer, generator, 0, dict(network.state_dict()), -1, [], first_kept)


def finish(plan: Plan, run: Run, score: Scores) -> Checkpoint:
    """The network as it stands, with the facts and the real samples export asks for."""
    recipe = plan.recipe
    metrics = {
        "validation_accuracy": score.accuracy,
        "validation_loss": score.loss,
        "scored": "samples, recordings read whole" if plan.tbptt else "windows from zero state",
        "best_epoch": run.best_epoch + 1,
        "epochs": run.epoch,
        "tbptt": plan.tbptt,
        "qat": plan.qat,
    }
    training = {
        "data": plan.dataset.name,
        "train_subjects": list(plan.dataset.train.subjects),
        "validation_subjects": list(plan.dataset.validation.subjects),
        "seed": plan.seed,
        "recipe": recipe.to_json(),
        "metrics": metrics,
    }
    return checkpoint_of(
        run.network,
        plan.dataset.train,
        window=recipe.window,
        background=recipe.background or None,
        seed=plan.seed,
        training=training,
    )


def checkpoint_of(
    network: Network, data: Recordings, *, window: int, background: str | None, seed: int, training: dict[str, Any]
) -> Checkpoint:
    """A network trained on `data`, with the data's facts and the real samples that export asks for."""
    stats, still = statistics(data), longest_constant(data)
    channels = [
        {
            "name": name,
            "unit": unit,
            **{key: stats[key][i] for key in ("mean", "std", "min", "max")},
            "constant": still[i],
        }
        for i, (name, unit) in enumerate(zip(data.channels, data.units, strict=True))
    ]
    calibration, starts = calibration_samples(data, window, seed)
    return Checkpoint(
        network=network.spec(),
        state_dict=dict(network.state_dict()),
        channels=channels,
        max_abs=stats["max_abs"],
        lsb=data.lsb(),
        rate_hz=data.rate_hz,
        labels=list(data.classes),
        background=background,
        task="classify",
        window=window,
        golden_x=golden_samples(data),
        calibration_x=calibration,
        calibration_start=starts,
        training=training,
    )
