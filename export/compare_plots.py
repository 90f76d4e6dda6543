"""The pictures of a comparison: numbers in, PNG out. Colours and order of contenders are the same in all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edge_rnn.arrays import Array

from .gradients import EXPLODED, VANISHED
from .plots import INK, colours

FLOOR = 1e-10
SIZE = (10.0, 4.6)


def plot_accuracy(found: dict[str, dict[str, Any]], path: Path) -> None:
    """Accuracy of windows over the bytes of a stream's state and over a step's time, with the spread over seeds."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE, dpi=130, layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    paint = colours(list(found))
    ranked = sorted(found, key=lambda name: -found[name]["accuracy"]["windows"]["mean"])
    titles = {"state_bytes": "bytes of state a stream, float32", "p50_us": "us a step, float32, fastest engine here"}
    for axes, (key, title) in zip(panels, titles.items(), strict=True):
        for number, name in enumerate(ranked):
            accuracy, cost = found[name]["accuracy"]["windows"], found[name]["streaming"]["float32"]
            if key not in cost:
                continue
            x, y = max(cost[key], 1e-2), 100 * accuracy["mean"]
            axes.errorbar(x, y, 100 * (accuracy["sd"] or 0), fmt="o", color=paint[name], ms=8, capsize=3)
            offset = (8, 5) if number % 2 == 0 else (8, -12)  # neighbours in rank are neighbours in height
            axes.annotate(name, (x, y), offset, textcoords="offset points", fontsize=9, color=INK)
        axes.set(xscale="log", xlabel=title)
        axes.grid(alpha=0.25)
        axes.margins(x=0.25)
    panels[0].set_ylabel("windows of unseen people right (%)")
    figure.savefig(path)


def plot_gradients(found: dict[str, dict[str, Any]], path: Path) -> None:
    """Norms of gradients against T - t: states before and after training, and samples after it."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13.0, 4.8), dpi=130, layout="constrained")
    panels = figure.subplots(1, 3)
    paint = colours(list(found))
    views = (
        ("before", "curve", "|d loss_T / d h_t| before training"),
        ("kept", "curve", "|d loss_T / d h_t| after training"),
        ("kept", "sample_curve", "|d loss_T / d x_t| after training"),
    )
    for axes, (when, what, title) in zip(panels, views, strict=True):
        for name, row in found.items():
            curve = np.array(row["gradient"][when][what], float)
            if len(curve):
                style = "-" if row["gradient"]["layers"] else "--"
                axes.plot(np.arange(len(curve)) + (what == "curve"), np.where(curve < FLOOR / 10, np.nan, curve), style,
                          color=paint[name], label=name, lw=1.6)  # fmt: skip
        axes.set_yscale("log")
        axes.set(xlabel="T - t, steps back", ylim=(FLOOR, max(30.0, axes.get_ylim()[1])))
        axes.set_title(title, fontsize=10, color=INK)
        axes.grid(alpha=0.25)
    for axes in panels[:2]:
        axes.axhline(VANISHED, color=INK, lw=0.9, ls=":")
        axes.axhline(EXPLODED, color=INK, lw=0.9, ls=":")
        place = {"ha": "right", "transform": axes.get_yaxis_transform()}  # where curves that vanish are long gone
        axes.text(0.99, VANISHED * 1.3, "vanished below", fontsize=7, color=INK, **place)
    handles, labels = panels[2].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False, fontsize=9)
    figure.savefig(path)


def plot_parallelism(found: dict[str, dict[str, Any]], path: Path) -> None:
    """Training throughput over the length of the sequence: one thread solid; two dashed, if they had two cores."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.0, 4.6), dpi=130, layout="constrained")
    axes = figure.subplots()
    paint = colours(list(found))
    for name, row in found.items():
        speed = row["parallelism"]
        styles = {"1": "-"} if speed["load"] > speed["cores"] else {"1": "-", "2": "--"}
        for threads, style in styles.items():
            label = name if threads == "1" else None
            axes.plot(speed["lengths"], speed["samples_per_s"][threads], style, color=paint[name], marker="o", ms=4,
                      label=label)  # fmt: skip
    lengths = next(iter(found.values()))["parallelism"]["lengths"]
    axes.set(xscale="log", yscale="log", xlabel="samples a sequence", ylabel="samples a second, trained")
    axes.set_xticks(lengths, [str(n) for n in lengths])
    axes.minorticks_off()
    axes.grid(alpha=0.25)
    axes.set_title("solid: one thread, dashed: two", fontsize=10, color=INK)
    axes.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.savefig(path)


def plot_saliency(pictures: dict[str, Any], channels: list[str], rate_hz: float, path: Path) -> None:
    """The window, and for each contender how much each sample of each channel moves its answer."""
    from matplotlib.figure import Figure

    saliency: dict[str, Array] = pictures["saliency"]
    window, names = pictures["window"], list(saliency)
    columns = 2 if len(names) > 3 else 1
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(11.0, 2.0 + 1.25 * rows), dpi=120, layout="constrained")
    grid = figure.add_gridspec(rows + 1, columns, height_ratios=[1.5] + [1] * rows)
    span = (0.0, len(window) / rate_hz)
    top = figure.add_subplot(grid[0, :])
    shown = (window - window.mean(axis=0)) / np.maximum(window.std(axis=0), 1e-9)
    seconds = (np.arange(len(window)) + 0.5) / rate_hz
    top.plot(seconds, shown, lw=0.9, label=channels)
    top.set(xlim=span, ylabel="sensor, sd", xlabel="seconds; the answer is given at the end")
    top.legend(frameon=False, fontsize=8, ncols=1, loc="center left", bbox_to_anchor=(1.0, 0.5))
    for number, name in enumerate(names):
        axes = figure.add_subplot(grid[1 + number // columns, number % columns])
        strength = saliency[name].T / max(float(saliency[name].max()), 1e-30)
        axes.imshow(strength**0.5, aspect="auto", cmap="magma", vmin=0, vmax=1, extent=(*span, len(channels), 0),
                    interpolation="nearest")  # fmt: skip
        axes.set_yticks(np.arange(len(channels)) + 0.5, channels, fontsize=6)
        axes.set_title(f"{name}: {pictures['labels'][name]}", fontsize=9, color=INK)
        axes.tick_params(axis="x", labelsize=7)
    figure.savefig(path)
