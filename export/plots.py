"""Pictures of a training: learning curve and confusion matrix. Numbers in, PNG out; no window is ever opened."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge_rnn.arrays import Array

INK, BLUE, ORANGE = "#333333", "#1f6fb4", "#d9731a"


def colours(names: Sequence[str]) -> dict[str, Any]:
    """Name -> colour, the same for the same names."""
    import matplotlib

    palette = matplotlib.colormaps["tab10" if len(names) <= 10 else "tab20"]
    return {name: palette(k % palette.N) for k, name in enumerate(names)}


def legend_beside(axes: Any) -> None:
    """A legend right of the axes, where it hides no curve."""
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=9)


def legend_below(axes: Any) -> None:
    """A legend below the axes' own label: where panels stand side by side."""
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2, frameon=False, fontsize=8)


def plot_learning_curve(history: Sequence[dict[str, float]], best_epoch: int, path: Path) -> None:
    """Losses (left axis) and validation accuracy (right axis) an epoch; the kept epoch (1-based) is marked."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    epochs = np.arange(1, len(history) + 1)
    figure = Figure(figsize=(7.0, 3.8), dpi=130, layout="constrained")
    left = figure.subplots()
    left.plot(epochs, [row["loss"] for row in history], color=BLUE, label="training loss")
    left.plot(epochs, [row["validation_loss"] for row in history], color=BLUE, ls=":", label="validation loss")
    left.set_xlabel("epoch")
    left.set_ylabel("cross-entropy", color=BLUE)
    left.set_ylim(bottom=0)
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    right = left.twinx()
    accuracy = [100 * row["validation_accuracy"] for row in history]
    right.plot(epochs, accuracy, color=ORANGE, label="validation accuracy")
    right.plot(best_epoch, accuracy[best_epoch - 1], "o", color=ORANGE, ms=7, label=f"kept: epoch {best_epoch}")
    right.set_ylabel("validation accuracy (%)", color=ORANGE)
    right.set_ylim(top=100)
    lines = [*left.get_lines(), *right.get_lines()]
    labels = [str(line.get_label()) for line in lines]
    figure.legend(lines, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    figure.savefig(path)


def plot_loss(losses: Sequence[float], parts: int, path: Path) -> None:
    """The loss of each step, and its mean over each of so many parts of the training."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 3.8), dpi=130, layout="constrained")
    axes = figure.subplots()
    axes.plot(np.arange(1, len(losses) + 1), losses, color=BLUE, alpha=0.25, lw=0.7, label="each step")
    pieces = [piece for piece in np.array_split(np.arange(len(losses)), parts) if len(piece)]
    means = [float(np.mean(np.asarray(losses)[piece])) for piece in pieces]
    axes.plot([piece.mean() + 1 for piece in pieces], means, color=ORANGE, marker="o", ms=4, label="mean")
    axes.set_xlabel("step")
    axes.set_ylabel("training loss")
    axes.set_ylim(bottom=0, top=1.1 * max(means[:1] + list(np.quantile(losses, [0.98]))))
    legend_beside(axes)
    figure.savefig(path)


def plot_confusion(counts: Array, labels: Sequence[str], path: Path, title: str = "") -> None:
    """Rows are true classes, colours the share of a row, numbers the counts."""
    from matplotlib.figure import Figure

    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = 2.6 + 0.55 * len(labels)
    figure = Figure(figsize=(side, side * 0.92), dpi=130, layout="constrained")
    axes = figure.subplots()
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    ticks = range(len(labels))
    axes.set_xticks(ticks, labels, rotation=45, ha="right", rotation_mode="anchor", fontsize=8)
    axes.set_yticks(ticks, labels, fontsize=8)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title(title, fontsize=10, color=INK)
    for row in ticks:
        for column in ticks:
            if counts[row, column]:
                colour = "white" if share[row, column] > 0.55 else INK
                axes.text(column, row, f"{counts[row, column]:,}", ha="center", va="center", color=colour, fontsize=8)
    figure.savefig(path)
