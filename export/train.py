"""`train`: recordings in, one checkpoint out. One readable loop; what it sees comes from feeds.py.

The same data, recipe and seed give the same weights on one machine, and an interrupted run resumed gives them too.
It never looks at the test split.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edge_rnn.errors import UsageError

from .augment import Axes, find_axes
from .checkpoint import Checkpoint
from .datasets import UNKNOWN, Recordings, check_trainable, statistics
from .evaluate import Scores, score_stream, score_windows
from .feeds import Batch, Crops, Lanes
from .networks import Network, initialise
from .progress import Progress, show_nothing
from .progress import show_bar as show_bar
from .qat import Rounded
from .recipes import DataSet, Recipe, open_dataset
from .run_folder import Interrupted, RunFolder
from .samples import calibration_samples, golden_samples


@dataclass(frozen=True)
class Trained:
    """A finished run: its folder, the checkpoint in it, accuracy on validation people, seconds of training, the epoch
    (1-based) that was kept and how many there were.
    """

    folder: Path
    checkpoint: Path
    accuracy: float
    seconds: float
    best_epoch: int
    epochs: int


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


def train(
    data: str | Path | Recordings | DataSet,
    arch: str = "gru",
    hidden: int = 32,
    *,
    layers: int = 1,
    epochs: int | None = None,
    seed: int = 0,
    out: str | Path = "run",
    resume: bool = False,
    tbptt: int | None = None,
    qat: int | None = None,
    settings: Mapping[str, str] | None = None,
    progress: Progress = show_nothing,
) -> Trained:
    """Train a network on `data` (a data-set name, a path, Recordings or a DataSet); keep the best on validation people.

    `tbptt` = K reads whole recordings in chunks of K samples with carried state (truncated BPTT) instead of windows.
    `qat` = 8 or 4 trains the weights as int8 or int4 will hold them (qat.py); the checkpoint has them so rounded.
    `settings` overrides fields of the data set's Recipe, `epochs` one of them. The folder `out` gets
    checkpoint.pt, metrics.json, learning-curve and confusion-matrix pictures, and resume/ with which `resume` goes on
    where an interrupted run stopped, bit-exactly. One CPU thread: a small network gains nothing from more.

    Raises DataError for recordings that cannot be trained on, UsageError for options that do not fit and for a
    training that diverged.
    """
    if tbptt is not None and tbptt < 2:
        raise UsageError(f"tbptt is {tbptt}, expected 2 samples a chunk or more")
    if isinstance(data, DataSet) and settings:
        raise UsageError("settings were given with a DataSet, whose recipe is settled: give them to open_dataset")
    dataset = data if isinstance(data, DataSet) else open_dataset(data, settings)
    if epochs is not None:
        dataset = replace(dataset, recipe=replace(dataset.recipe, epochs=epochs))
    _check_recipe(dataset.recipe)
    check_trainable(dataset.train)
    stats = statistics(dataset.train)
    folder = RunFolder(Path(out), _identity(dataset, arch, hidden, layers, seed, tbptt, qat))
    with _one_thread(seed):
        run = _begin(dataset, stats, arch, hidden, layers, seed)
        rounded = Rounded(run.network, qat, stats["max_abs"], dataset.train.lsb()) if qat else None
        if resume:
            folder.restore(run)
        else:
            folder.clear()
        try:
            _fit(run, rounded or run.network, dataset, tbptt, folder, progress)
        except KeyboardInterrupt as stop:
            raise Interrupted(run.epoch, dataset.recipe.epochs, folder.path) from stop
        run.network.load_state_dict(run.best)
        if rounded:
            rounded.settle()
        score = _validate(run.network.eval(), dataset, tbptt)
        checkpoint = _checkpoint(run, dataset, stats, score, seed, tbptt, qat)
    folder.finish(checkpoint, score, run.history)
    seconds = sum(epoch["seconds"] for epoch in run.history)
    return Trained(folder.path, folder.path / "checkpoint.pt", score.accuracy, seconds, run.best_epoch + 1, run.epoch)


def _fit(
    run: Run,
    network: Network | Rounded,
    dataset: DataSet,
    tbptt: int | None,
    folder: RunFolder,
    progress: Progress,
) -> None:
    """Train the run's parameters as `network` sees them, to the last epoch or until patience is out."""
    recipe = dataset.recipe
    axes = find_axes(dataset.train.channels, dataset.train.units)
    feed = _feed(dataset, axes, run.network.std, tbptt)
    weight = _class_weights(dataset.train) if recipe.class_weights else None
    with progress(recipe.epochs, feed.steps) as shown:
        shown.resume(run.epoch)
        while run.epoch < recipe.epochs and not _exhausted(run, recipe):
            began = time.perf_counter()
            network.train()
            losses = []
            state = run.network.zero_state(recipe.lanes if tbptt else recipe.batch)
            for step, batch in enumerate(feed.epoch(run.generator)):
                rate = learning_rate(recipe, feed.steps, run.epoch * feed.steps + step)
                for group in run.optimizer.param_groups:
                    group["lr"] = rate
                state = tuple(s.detach() * ~batch.restart[:, None] for s in state)
                y, *carried = network(batch.x, *state)
                state = tuple(carried)
                loss = _stream_loss(y, batch, recipe, weight) if tbptt else _window_loss(y, batch, recipe, weight)
                if not torch.isfinite(loss):
                    raise UsageError(
                        f"training diverged: the loss became {loss.item()} in epoch {run.epoch + 1}, step {step + 1}; "
                        f"lower the learning rate (now {recipe.learning_rate:g}: --set learning_rate=...)"
                    )
                run.optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                torch.nn.utils.clip_grad_norm_(run.network.parameters(), recipe.clip)
                run.optimizer.step()
                losses.append(loss.item())
                shown.step(run.epoch, losses[-1])
            score = _validate(network, dataset, tbptt)
            _keep_best(run, losses, score, time.perf_counter() - began)
            run.epoch += 1
            shown.epoch(run.epoch, score.accuracy)
            folder.save(run)


def _keep_best(run: Run, losses: list[float], score: Scores, seconds: float) -> None:
    """Add the epoch to the history; at least as right on validation people as the best so far makes it the best."""
    best = max((epoch["validation_accuracy"] for epoch in run.history), default=-1.0)
    run.history.append(
        {
            "loss": float(np.mean(losses)),
            "validation_loss": score.loss,
            "validation_accuracy": score.accuracy,
            "seconds": seconds,
        }
    )
    if score.accuracy >= best:
        run.best_epoch = run.epoch
        run.best = {name: tensor.detach().clone() for name, tensor in run.network.state_dict().items()}


def _exhausted(run: Run, recipe: Recipe) -> bool:
    """Whether validation has stood still for `patience` epochs; being as good as before is standing still."""
    accuracy = [epoch["validation_accuracy"] for epoch in run.history]
    return bool(recipe.patience and accuracy) and len(accuracy) - 1 - accuracy.index(max(accuracy)) >= recipe.patience


def learning_rate(recipe: Recipe, steps_an_epoch: int, step: int) -> float:
    """Linear warm-up, then half a cosine down to zero at the last step."""
    warmup = max(1, round(recipe.warmup_epochs * steps_an_epoch))
    total = max(warmup + 1, recipe.epochs * steps_an_epoch)
    if step < warmup:
        return recipe.learning_rate * (step + 1) / warmup
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (total - warmup)))


def _window_loss(y: Tensor, batch: Batch, recipe: Recipe, weight: Tensor | None) -> Tensor:
    """The last step decides; a share of the loss asks for an early answer, every 4th step after the first quarter."""
    last = _cross_entropy(y[:, -1], batch.label[:, -1], recipe, weight)
    early = slice(y.shape[1] // 4, None, 4)
    every = _cross_entropy(y[:, early], batch.label[:, early], recipe, weight)
    return recipe.last_step * last + (1 - recipe.last_step) * every


def _stream_loss(y: Tensor, batch: Batch, recipe: Recipe, weight: Tensor | None) -> Tensor:
    """Mean over all scored steps of a chunk; 0 where none is scored."""
    if not (batch.label != UNKNOWN).any():
        return y.sum() * 0
    return _cross_entropy(y, batch.label, recipe, weight)


def _cross_entropy(y: Tensor, label: Tensor, recipe: Recipe, weight: Tensor | None) -> Tensor:
    return torch.nn.functional.cross_entropy(
        y.flatten(0, -2), label.flatten(), weight, ignore_index=UNKNOWN, label_smoothing=recipe.label_smoothing
    )


def _class_weights(data: Recordings) -> Tensor:
    """Inverse share of each class, mean 1 over the samples."""
    counts = np.bincount(data.label[data.label != UNKNOWN], minlength=len(data.classes))
    return torch.from_numpy(counts.sum() / (len(counts) * counts)).float()


def _feed(dataset: DataSet, axes: Axes, std: Tensor, tbptt: int | None) -> Crops | Lanes:
    if tbptt:
        return Lanes(dataset.train, axes, dataset.recipe, std, tbptt)
    return Crops(dataset.train, axes, dataset.recipe, std)


def _validate(network: Network | Rounded, dataset: DataSet, tbptt: int | None) -> Scores:
    if tbptt:
        return score_stream(network, dataset.validation)
    return score_windows(network, dataset.validation, dataset.recipe.window, dataset.recipe.hop)


def _begin(dataset: DataSet, stats: dict[str, list[float]], arch: str, hidden: int, layers: int, seed: int) -> Run:
    data, recipe = dataset.train, dataset.recipe
    generator = torch.Generator().manual_seed(seed)
    network = Network.of(arch, len(data.channels), len(data.classes), hidden=hidden, layers=layers)
    network.dropout.p = recipe.dropout
    initialise(network, generator)
    strangers = sorted(set(recipe.gains) - set(data.channels))
    if strangers:
        raise UsageError(f"recipe's gains name {strangers}, the channels are {list(data.channels)}")
    gain = torch.tensor([recipe.gains.get(channel, 1.0) for channel in data.channels])
    network.mean.copy_(torch.tensor(stats["mean"]))
    network.std.copy_(torch.tensor(stats["std"]) / gain)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True
    )
    return Run(network, optimizer, generator, 0, dict(network.state_dict()), -1, [])


def _checkpoint(
    run: Run,
    dataset: DataSet,
    stats: dict[str, list[float]],
    score: Scores,
    seed: int,
    tbptt: int | None,
    qat: int | None,
) -> Checkpoint:
    data, recipe = dataset.train, dataset.recipe
    names = ("mean", "std", "min", "max")
    channels = [
        {"name": name, "unit": unit, **{key: stats[key][i] for key in names}}
        for i, (name, unit) in enumerate(zip(data.channels, data.units, strict=True))
    ]
    if recipe.background and recipe.background not in data.classes:
        raise UsageError(f"background is {recipe.background!r}, the classes are {list(data.classes)}")
    calibration, starts = calibration_samples(data, recipe.window, seed)
    return Checkpoint(
        network=run.network.spec(),
        state_dict=dict(run.network.state_dict()),
        channels=channels,
        max_abs=stats["max_abs"],
        lsb=data.lsb(),
        rate_hz=data.rate_hz,
        labels=list(data.classes),
        background=recipe.background or None,
        task="classify",
        window=recipe.window,
        golden_x=golden_samples(data),
        calibration_x=calibration,
        calibration_start=starts,
        training={
            "data": dataset.name,
            "train_subjects": list(data.subjects),
            "validation_subjects": list(dataset.validation.subjects),
            "seed": seed,
            "recipe": recipe.to_json(),
            "metrics": {
                "validation_accuracy": score.accuracy,
                "validation_loss": score.loss,
                "scored": "samples, recordings read whole" if tbptt else "windows from zero state",
                "best_epoch": run.best_epoch + 1,
                "epochs": run.epoch,
                "tbptt": tbptt,
                "qat": qat,
            },
        },
    )


def _identity(
    dataset: DataSet, arch: str, hidden: int, layers: int, seed: int, tbptt: int | None, qat: int | None
) -> dict[str, Any]:
    """What a resumed run must have in common with the interrupted one."""
    return {
        "data": dataset.name,
        "samples": len(dataset.train.x),
        "arch": arch,
        "hidden": hidden,
        "layers": layers,
        "seed": seed,
        "tbptt": tbptt,
        "qat": qat,
        "recipe": dataset.recipe.to_json(),
    }


def _check_recipe(recipe: Recipe) -> None:
    positive = ("window", "hop", "epochs", "batch", "learning_rate", "clip", "lanes")
    for name in positive:
        if not getattr(recipe, name) > 0:
            raise UsageError(f"recipe's {name} is {getattr(recipe, name)}, expected more than 0")
    for name in ("dropout", "label_smoothing", "last_step", "dropped"):
        if not 0 <= getattr(recipe, name) <= 1:
            raise UsageError(f"recipe's {name} is {getattr(recipe, name)}, expected 0 to 1")


@contextmanager
def _one_thread(seed: int) -> Iterator[None]:
    """One CPU thread and a seeded global generator (dropout draws from it); both given back afterwards."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(threads)
