"""The picture of `inspect --dynamics`: settling and memory in seconds, the idle hour, in one PNG."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edge_rnn.dynamics import AGREE, Dynamics

from .plots import BLUE, INK, ORANGE, legend_below, legend_beside


def plot_dynamics(found: Dynamics, title: str, path: Path) -> None:
    """Left: how far apart probabilities are, logarithmic; right: probabilities over an idle hour."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.0, 4.4), dpi=130, layout="constrained")
    left, right = figure.subplots(1, 2)
    seconds = (np.arange(len(found.settle_curve)) + 1) / found.rate_hz
    for curve, colour, name in (
        (found.settle_curve, BLUE, f"settle: median {found.settle_s[0]:.3g} s"),
        (found.memory_curve, ORANGE, f"memory of a loud second: median {found.memory_s[0]:.3g} s"),
    ):
        left.plot(seconds, np.maximum(curve, 1e-7), color=colour, label=name)
    left.axhline(AGREE, color=INK, lw=0.8, ls=":", label=f"taken as the same: {AGREE:g}")
    left.axvline(found.warmup_s, color=INK, lw=0.8, ls="--", label=f"warm-up {found.warmup_s:.3g} s")
    left.set(
        xscale="log", yscale="log", xlabel="seconds", ylabel="largest difference of a probability", ylim=(1e-6, 1.5)
    )
    legend_below(left)
    minutes = np.linspace(0, 60 * found.idle_hours, len(found.idle_curve) + 1)[1:]
    for label, p in zip(found.labels, found.idle_curve.T, strict=True):
        right.plot(minutes, p, label=label)
    right.set(xlabel="minutes of mean input", ylabel="probability", ylim=(-0.02, 1.02))
    legend_beside(right)
    figure.suptitle(title, fontsize=10, color=INK)
    figure.savefig(path)
