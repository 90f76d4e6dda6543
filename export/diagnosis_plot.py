"""The picture of `train --diagnose`: gradients back through time, the updates, gates, units. Record in, PNG out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .plots import BLUE, INK, ORANGE, legend_below

GREY = "#9a9a9a"
FLOOR = 1e-12
"""Where the vertical axis ends; a curve that goes below has long vanished."""


def plot_diagnosis(diagnosis: dict[str, Any], kept: int, path: Path) -> None:
    """Three panels: norm of d loss_T / d h_t against T - t, norms of updates, shares of saturated gates and units."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(13.0, 4.8), dpi=120, layout="constrained")
    flow, updates, gates = figure.subplots(1, 3, width_ratios=(1.3, 1, 1))
    _flow(flow, diagnosis, kept)
    records = [record for record in diagnosis["epochs"] if record["update"]]
    epochs = [record["epoch"] for record in records]
    for key, style in (("median", "-"), ("largest", ":")):
        updates.plot(epochs, [record["update"][key] for record in records], BLUE, ls=style, label=f"{key} norm")
    updates.axhline(diagnosis["clip"], color=INK, lw=0.8, ls="--", label="clipped above")
    updates.set(yscale="log", xlabel="epoch", ylabel="norm of the gradient of an update")
    clipped = [record["update"]["clipped"] for record in records]
    if clipped:
        updates.set_title(f"{np.mean(clipped):.0%} of the updates were clipped", fontsize=9, color=INK)
    _gates(gates, diagnosis["epochs"])
    for axes in (updates, gates):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if axes.get_legend_handles_labels()[0]:
            legend_below(axes)
    figure.suptitle(
        "; ".join(diagnosis["warnings"] + diagnosis["notes"]) or "no warning", fontsize=9, color=INK, wrap=True
    )
    figure.savefig(path)


def _flow(axes: Any, diagnosis: dict[str, Any], kept: int) -> None:
    records = [record for record in diagnosis["epochs"] if record["curve"]]
    marked = {0: (GREY, "before training"), kept: (ORANGE, f"kept: epoch {kept}")}
    for record in records:
        curve = np.array(record["curve"], float)
        curve[curve < FLOOR] = np.nan
        colour, label = marked.get(record["epoch"], (BLUE, None))
        named = label is not None
        axes.plot(np.arange(1, len(curve) + 1), curve, color=colour, lw=2 if named else 0.6, alpha=1 if named else 0.25,
                  label=label, zorder=3 if named else 2)  # fmt: skip
    for level in ("vanished_below", "exploded_above"):
        axes.axhline(diagnosis[level], color=INK, lw=0.8, ls=":")
        end = (0.99, diagnosis[level] * 1.5)
        axes.text(
            *end, level.replace("_", " "), fontsize=7, color=INK, ha="right", transform=axes.get_yaxis_transform()
        )
    if diagnosis["tbptt"]:
        axes.axvline(diagnosis["tbptt"], color=INK, lw=0.8, ls="--", label=f"truncated at {diagnosis['tbptt']}")
    axes.set(yscale="log", xlabel="T - t, steps back", ylabel="|d loss_T / d h_t|, relative to one step back")
    if records:
        axes.set_ylim(bottom=max(FLOOR, axes.get_ylim()[0]))
        legend_below(axes)
    else:
        axes.text(0.5, 0.5, "this network carries no state", ha="center", transform=axes.transAxes, color=INK)


def _gates(axes: Any, records: list[dict[str, Any]]) -> None:
    series: dict[tuple[str, str], list[float]] = {}
    for record in records:
        for layer in record["layers"]:
            where = f"{layer['layer']}: " if len(record["layers"]) > 1 else ""
            for name, gate in layer.get("gates", {}).items():
                for way in ("shut", "open"):
                    series.setdefault((f"{where}{name} {way}", "--" if way == "shut" else "-"), []).append(gate[way])
            series.setdefault((f"{where}units at their stop", ":"), []).append(layer["units"]["at_stop"])
    epochs = [record["epoch"] for record in records]
    for (label, style), values in series.items():
        axes.plot(epochs[-len(values) :], values, ls=style, label=label)
    axes.set(xlabel="epoch", ylabel="share of time and units", ylim=(-0.02, 1.02))
    spans = [layer["memory_steps"] for layer in records[-1]["layers"] if "memory_steps" in layer] if records else []
    if spans:
        told = "; ".join(f"{span['median']:.2g} to {span['longest']:.2g}" for span in spans)
        axes.set_title(f"memory of a unit, median to longest: {told} steps", fontsize=9, color=INK)
