"""The table as a picture: microseconds a step, one group of bars a network, logarithmic; and the start beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

SHOWN = ["native float32", "native int8", "litert", "onnxruntime bound", "onnxruntime run", "torch"]


def draw(report: dict[str, Any], path: Path) -> None:
    """Write a PNG."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    networks = report["networks"]
    figure, (steps, starts) = plt.subplots(1, 2, figsize=(12, 4.4), layout="constrained", width_ratios=[3, 1])
    timed = [name for name in SHOWN if all(name in found["step"] for found in networks.values())]
    at, width = np.arange(len(networks)), 0.84 / len(timed)
    for number, name in enumerate(timed):
        heights = [found["step"][name]["min_us"] for found in networks.values()]
        bars = steps.bar(at + (number - (len(timed) - 1) / 2) * width, heights, width, label=name)
        steps.bar_label(bars, [f"{h:.2g}" if h < 10 else f"{h:.0f}" for h in heights], fontsize=6.5, padding=2)
    steps.set_yscale("log")
    steps.set_xticks(at, list(networks))
    steps.set_ylabel("µs a step (least of a run)")
    steps.set_title("One step called from Python, batch 1, one thread, state carried")
    steps.legend(ncols=3, fontsize=8, loc="upper left")
    steps.set_ylim(0.05, 3000)
    _draw_starts(starts, next(iter(networks.values()))["start"])
    for axes in (steps, starts):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _draw_starts(axes: Any, start: dict[str, dict[str, float]]) -> None:
    """Import, load and first step stacked, with the memory taken over NumPy's."""
    bottom = np.zeros(len(start))
    for part in ("import_ms", "load_ms", "first_step_ms"):
        heights = [figures[part] for figures in start.values()]
        axes.bar(list(start), heights, 0.6, bottom, label=part.removesuffix("_ms").replace("_", " "))
        bottom += heights
    for place, (top, figures) in enumerate(zip(bottom, start.values(), strict=True)):
        axes.annotate(f"+{figures['memory_mib']:.0f} MiB", (place, top), ha="center", va="bottom", fontsize=8)
    axes.set_ylabel("ms in a new process, NumPy imported")
    axes.set_title("From import to the first step")
    axes.legend(fontsize=8)
    axes.margins(y=0.35)
