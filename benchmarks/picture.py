"""The table as a picture: microseconds a step, one group of bars a network, logarithmic."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

SHOWN = ["native float32", "native int8", "onnxruntime bound", "onnxruntime run", "torch"]


def draw(report: dict[str, Any], path: Path) -> None:
    """Write a PNG."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    networks = report["networks"]
    figure, axes = plt.subplots(figsize=(9, 4.2), layout="constrained")
    at, width = np.arange(len(networks)), 0.16
    for number, name in enumerate(SHOWN):
        heights = [found["step"][name]["min_us"] for found in networks.values()]
        bars = axes.bar(at + (number - 2) * width, heights, width, label=name)
        axes.bar_label(bars, [f"{h:.2g}" if h < 10 else f"{h:.0f}" for h in heights], fontsize=7, padding=2)
    axes.set_yscale("log")
    axes.set_xticks(at, list(networks))
    axes.set_ylabel("µs a step (least of a run)")
    axes.set_title("One step called from Python, batch 1, one thread, state carried")
    axes.legend(ncols=5, fontsize=8, loc="upper left")
    axes.set_ylim(0.05, 2000)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)
    plt.close(figure)
