"""`train`: recordings in, one checkpoint out. One readable loop; what it sees comes from feeds.py.

The same plan gives the same weights on one machine, and an interrupted run resumed gives them too. It never looks at
the test split.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from edge_rnn.errors import UsageError

from .augment import find_axes
from .calibration import Calibration
from .datasets import Recordings, check_trainable, statistics
from .diagnosis import Diagnosis
from .evaluate import Scores, score_stream, score_windows
from .exact_statistics import range_codes
from .feeds import Crops, Lanes
from .losses import class_weights, stream_loss, window_loss
from .networks import Network
from .progress import Progress, show_nothing
from .progress import show_bar as show_bar
from .qat import Rounded
from .recipes import FEW_UPDATES, LEAST_UPDATES, DataSet, Recipe, open_dataset
from .run import Plan, Run, begin, finish
from .run_folder import Interrupted, RunFolder
from .samples import calibration_samples
from .torch_engine import one_thread
from .torch_layers import EVERY, LAST


@dataclass(frozen=True)
class Trained:
    """A finished run: its folder, the checkpoint in it, accuracy on validation people, seconds of training, the epoch
    (1-based) that was kept, how many there were, and the updates of the weights in them; sentences of warning.
    """

    folder: Path
    checkpoint: Path
    accuracy: float
    seconds: float
    best_epoch: int
    epochs: int
    updates: int
    warnings: tuple[str, ...] = ()
    int8: bool = True
    """Whether the network has an exact integer form to export."""


def train(
    data: str | Path | Recordings | DataSet,
    arch: str = "gru",
    hidden: int | None = None,
    *,
    layers: int | None = None,
    epochs: int | None = None,
    seed: int = 0,
    out: str | Path = "run",
    resume: bool = False,
    tbptt: int | None = None,
    qat: int | None = None,
    settings: Mapping[str, str] | None = None,
    diagnose: bool = False,
    progress: Progress = show_nothing,
) -> Trained:
    """Train a network on `data` (a data-set name, a path, Recordings or a DataSet); keep the best on validation people.

    `arch` is one of architectures.py, which has `hidden` and `layers` where none are given.
    `tbptt` = K reads whole recordings in chunks of K samples with carried state (truncated BPTT) instead of windows.
    `qat` = 8 or 4 trains the weights as int8 or int4 will hold them (qat.py); the checkpoint has them so rounded.
    `settings` overrides fields of the data set's Recipe, `epochs` one of them. The folder `out` gets
    checkpoint.pt, metrics.json, learning-curve and confusion-matrix pictures, and resume/ with which `resume` goes on
    where an interrupted run stopped, bit-exactly. `diagnose` records how gradients flow back through time, every epoch,
    into diagnosis.json and .png (diagnosis.py); the weights are the same with and without. One CPU thread: a small
    network gains nothing from more.

    Raises DataError for recordings that cannot be trained on, UsageError for options that do not fit and for a
    training that diverged, Interrupted for Ctrl-C.
    """
    if isinstance(data, DataSet) and settings:
        raise UsageError("settings were given with a DataSet, whose recipe is settled: give them to open_dataset")
    dataset = data if isinstance(data, DataSet) else open_dataset(data, settings)
    if epochs is not None:
        dataset = replace(dataset, recipe=replace(dataset.recipe, epochs=epochs))
    plan = Plan(dataset, arch, hidden, layers, seed, tbptt, qat)
    check_trainable(dataset.train)
    stats = statistics(dataset.train)
    folder = RunFolder(Path(out), plan.to_json())
    with repeatable(seed):
        run = begin(plan, stats)
        rounded = _rounded(plan, run.network, qat, stats["max_abs"]) if qat else None
        if resume:
            folder.restore(run)
        else:
            folder.clear()
        watched = Diagnosis(plan, run.diagnosis) if diagnose else None
        try:
            updates = _fit(plan, run, rounded or run.network, folder, watched, progress)
        except KeyboardInterrupt as stop:
            raise Interrupted(run.epoch, plan.recipe.epochs, folder.path) from stop
        run.network.load_state_dict(run.best)
        if rounded:
            rounded.settle()
        score = _validate(plan, run.network.eval())
        checkpoint = finish(plan, run, score)
    folder.finish(checkpoint, score, run.history, watched.to_json() if watched else None)
    seconds = sum(epoch["seconds"] for epoch in run.history)
    path, kept = folder.path / "checkpoint.pt", run.best_epoch + 1
    told = (*_too_short(run.epoch, updates), *(watched.warnings() if watched else ()))
    return Trained(folder.path, path, score.accuracy, seconds, kept, run.epoch, updates, told, run.network.exact)


def _fit(
    plan: Plan,
    run: Run,
    network: Network | Rounded,
    folder: RunFolder,
    watched: Diagnosis | None,
    progress: Progress,
) -> int:
    """Train the run's parameters as `network` sees them, to the last epoch or until patience is out; the updates."""
    recipe = plan.recipe
    feed = _feed(plan)
    loss_of = stream_loss if plan.tbptt else window_loss
    weight = class_weights(plan.dataset.train) if recipe.class_weights else None
    # Of a crop as long as its window such a network has one full answer, the last.
    steps = LAST if run.network.sees_a_window and not plan.tbptt else EVERY
    if watched and run.epoch == 0:
        watched.epoch(run.network, 0)
    with progress(recipe.epochs, feed.steps) as shown:
        shown.resume(run.epoch)
        while run.epoch < recipe.epochs and not run.exhausted(recipe.patience):
            began = time.perf_counter()
            network.train()
            if isinstance(network, Rounded):
                network.begin_epoch(run.epoch, recipe.epochs)
            losses: list[float] = []
            state = run.network.zero_state(recipe.lanes if plan.tbptt else recipe.batch)
            for step, batch in enumerate(feed.epoch(run.generator)):
                for group in run.optimizer.param_groups:
                    group["lr"] = learning_rate(recipe, feed.steps, run.epoch * feed.steps + step)
                state = tuple(s.detach() * ~batch.restart[:, None] for s in state)
                y, *carried = network(batch.x, *state, steps=steps)
                state = tuple(carried)
                loss = loss_of(y, replace(batch, label=batch.label[:, steps]), recipe, weight)
                if not torch.isfinite(loss):
                    raise UsageError(
                        f"training diverged: the loss became {loss.item()} in epoch {run.epoch + 1}, step {step + 1}; "
                        f"lower the learning rate (now {recipe.learning_rate:g}: --set learning_rate=...)"
                    )
                run.optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                norm = torch.nn.utils.clip_grad_norm_(run.network.parameters(), recipe.clip)
                run.optimizer.step()
                losses.append(loss.item())
                if watched:
                    watched.update(float(norm))
                shown.step(run.epoch, losses[-1])
            score = _validate(plan, network)
            run.keep_best(losses, score, time.perf_counter() - began)
            shown.epoch(run.epoch, score.accuracy)
            if watched:
                watched.epoch(run.network, run.epoch)
            folder.save(run)
    return run.epoch * feed.steps


def _too_short(epochs: int, updates: int) -> list[str]:
    """A sentence where a training can have learnt little, whatever its accuracy is."""
    if updates >= FEW_UPDATES:
        return []
    enough = f"--epochs {math.ceil(LEAST_UPDATES * epochs / max(1, updates))} makes {LEAST_UPDATES:,}"
    return [f"{epochs} epochs were {updates} updates of the weights, few to learn from: {enough}"]


def _rounded(plan: Plan, network: Network, bits: int, max_abs: list[float]) -> Rounded:
    """The network as int8 or int4 will hold it, by the samples that export will look at."""
    data = plan.dataset.train
    samples, starts = calibration_samples(data, plan.recipe.window, plan.seed)
    codes = range_codes(network.to_graph(), Calibration(samples, starts))
    return Rounded(network, bits, max_abs, data.lsb(), codes)


def learning_rate(recipe: Recipe, steps_an_epoch: int, step: int) -> float:
    """Linear warm-up, then half a cosine down to zero at the last step."""
    warmup = max(1, round(recipe.warmup_epochs * steps_an_epoch))
    total = max(warmup + 1, recipe.epochs * steps_an_epoch)
    if step < warmup:
        return recipe.learning_rate * (step + 1) / warmup
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (total - warmup)))


def _feed(plan: Plan) -> Crops | Lanes:
    data = plan.dataset.train
    std = torch.tensor(statistics(data)["std"])
    axes = find_axes(data.channels, data.units)
    return Lanes(data, axes, plan.recipe, std, plan.tbptt) if plan.tbptt else Crops(data, axes, plan.recipe, std)


def _validate(plan: Plan, network: Network | Rounded) -> Scores:
    people = plan.dataset.validation
    if plan.tbptt:
        return score_stream(network, people)
    return score_windows(network, people, plan.recipe.window, plan.recipe.hop)


@contextmanager
def repeatable(seed: int) -> Iterator[None]:
    """One CPU thread and a seeded global generator (dropout draws from it); both given back afterwards."""
    with one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
