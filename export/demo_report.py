"""demo/report.html: the pictures a person wants to see, in one file that needs no network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure
from matplotlib.patches import Patch
from sklearn.metrics import confusion_matrix

from edge_rnn.arrays import Array

from .page import Picture, Section, Table, to_html
from .plots import colours, legend_beside, plot_confusion

if TYPE_CHECKING:
    from edge_rnn import Model

    from .demo_stream import Streamed

QUIET, SILENT = "#dddddd", "#555555"


def write_report(
    out: Path,
    run_folder: Path,
    figures: dict[str, Any],
    streamed: Sequence[Streamed],
    model: Model,
    truth: Array,
    answers: Array,
) -> Path:
    """Write the page and the pictures beside it; gives the page's path."""
    labels, rate_hz = model.manifest.labels, model.manifest.rate_hz
    shown = max(streamed, key=lambda one: (one.truth == one.answer, len({e.label for e in one.episodes}), one.name))
    _timeline(shown, model).savefig(out / "timeline.png")
    _overview(streamed, labels, rate_hz).savefig(out / "overview.png")
    plot_confusion(confusion_matrix(truth, answers, labels=list(range(len(labels)))), labels, out / "confusion.png")
    curve = run_folder / "learning_curve.png"
    told = f"{shown.name}, doing {shown.truth}: the sensor, the model's probabilities, and the events told (shaded)."
    pictures = [
        Picture(out / "timeline.png", told),
        Picture(
            out / "overview.png", "Every recording of the unseen people: what was done (left), what was told (bars)."
        ),
        Picture(out / "confusion.png", "Windows of unseen people, int8: truth down, answer across."),
        Picture(curve, "The training: loss and accuracy by epoch, on training and validation people."),
    ]
    sections = [
        Section("", [_intro(figures)], pictures=pictures),
        Section("How good, and how large", tables=[_quality_table(figures)]),
        *(
            Section(f"One step, {precision}, microseconds from Python", tables=[_latency_table(figures, precision)])
            for precision in ("float32", "int8")
        ),
    ]
    path = out / "report.html"
    path.write_text(to_html("edge-rnn: from real recordings to a stream of events", sections), encoding="utf-8")
    return path


def _intro(figures: dict[str, Any]) -> str:
    windows, recordings = figures["windows"]["int8"], figures["recordings"]
    return (
        "A GRU with 32 units learned seven arm exercises from a watch, was exported as float32 and as exact int8, "
        "and listened, sample by sample, to people it never met: "
        f"**{windows['accuracy']:.1%}** of {windows['count']} windows right (int8), "
        f"{recordings['right']} of {recordings['count']} recordings recognised."
    )


def _timeline(one: Streamed, model: Model) -> Figure:
    manifest = model.manifest
    seconds = [t / manifest.rate_hz for t in range(len(one.samples))]
    figure = Figure(figsize=(10, 5.5), dpi=110, layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True)
    for k, channel in enumerate(manifest.channels[:3]):
        top.plot(seconds, one.samples[:, k], lw=0.8, label=channel.name)
    top.set_ylabel("acceleration, g")
    paint = colours(manifest.labels)
    for k, label in enumerate(manifest.labels):
        bottom.plot(seconds, one.probabilities[:, k], lw=1.2, color=paint[label], label=label)
    spans = [(event.t0_ns / 1e9, event.t1_ns / 1e9, paint[event.label], event.label) for event in one.episodes]
    warm_s = manifest.warmup_samples / manifest.rate_hz
    for start, end, colour, name in [(0.0, warm_s, SILENT, "warm-up"), *spans]:
        for axes in (top, bottom):
            axes.axvspan(start, end, color=colour, alpha=0.15, lw=0)
        middle, above = (start + end) / 2, top.get_xaxis_transform()
        top.text(middle, 1.01, name, color=colour, fontsize="small", ha="center", va="bottom", transform=above)
    bottom.set(ylim=(-0.02, 1.02), ylabel="probability", xlabel="seconds")
    for axes in (top, bottom):
        axes.margins(x=0.0)
        legend_beside(axes)
    figure.suptitle(f"{one.name}, doing {one.truth}; shaded: the events told")
    return figure


def _overview(streamed: Sequence[Streamed], labels: Sequence[str], rate_hz: float) -> Figure:
    paint = colours(labels)
    ordered = sorted(streamed, key=lambda one: (labels.index(one.truth), one.name))
    figure = Figure(figsize=(10, 0.19 * len(ordered) + 1.2), dpi=110, layout="constrained")
    axes = figure.subplots()
    for row, one in enumerate(ordered):
        axes.barh(row, len(one.samples) / rate_hz, color=QUIET, height=0.9)
        for event in one.episodes:
            start, end = event.t0_ns / 1e9, event.t1_ns / 1e9
            axes.barh(row, end - start, left=start, color=paint[event.label], height=0.9)
    axes.set_yticks(range(len(ordered)), [one.truth for one in ordered], fontsize=7)
    axes.set(xlabel="seconds", ylabel="what the person did", ylim=(len(ordered) - 0.5, -0.5))
    axes.margins(x=0.0)
    patches = [*(Patch(color=paint[label]) for label in labels), Patch(color=QUIET)]
    told = [*labels, "no event (at first: warm-up)"]
    figure.legend(patches, told, loc="outside upper center", ncols=len(told), frameon=False)
    return figure


def _quality_table(figures: dict[str, Any]) -> Table:
    rows = [["window accuracy", *(f"{figures['windows'][p]['accuracy']:.1%}" for p in ("float32", "int8"))]]
    for label, row in figures["classes"].items():
        rows.append([f"recall {label} ({row['windows']})", f"{row['recall_float32']:.1%}", f"{row['recall_int8']:.1%}"])
    for title, key in (("bundle, bytes", "bundle_bytes"), ("weights, bytes", "weight_bytes")):
        rows.append([title, *(f"{figures[key][p]:,}" for p in ("float32", "int8"))])
    rows.append(["windows on which both agree", "", f"{figures['agreement']:.2%}"])
    return Table(["", "float32", "int8"], rows)


def _latency_table(figures: dict[str, Any], precision: str) -> Table:
    rows = [
        [name, *(f"{f[key]:.2f}" for key in ("p50_us", "p99_us", "max_us"))]
        for name, f in figures["latency"][precision].items()
    ]
    return Table(["engine", "p50", "p99", "max"], rows)
