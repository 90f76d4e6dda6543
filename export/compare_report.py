"""report.md and report.html of a comparison: its table row by row, its pictures, and what was not measured."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from .compare_plots import plot_accuracy, plot_gradients, plot_parallelism, plot_saliency
from .compare_words import caveats, findings
from .page import Picture, Section, Table, to_html, to_markdown

Row = dict[str, Any]


def write_report(report: dict[str, Any], pictures: dict[str, Any], out: Path) -> None:
    """Draw the pictures into `out` and write both pages beside them."""
    found, data = report["architectures"], report["data"]
    pictures = {**pictures, "labels": {name: row["saliency"]["answer"] for name, row in found.items()}}
    channels = list(next(iter(found.values()))["saliency"]["channels"])
    plot_accuracy(found, out / "accuracy.png")
    plot_gradients(found, out / "gradients.png")
    plot_parallelism(found, out / "parallelism.png")
    plot_saliency(pictures, channels, data["rate_hz"], out / "saliency.png")
    title = f"{len(found)} architectures on {data['name']}, measured side by side"
    sections = _sections(report, out)
    (out / "report.md").write_text(to_markdown(title, sections), encoding="utf-8")
    (out / "report.html").write_text(to_html(title, sections), encoding="utf-8")


def _sections(report: dict[str, Any], out: Path) -> list[Section]:
    found, data, recipe = report["architectures"], report["data"], report["recipe"]
    seeds, parallel = report["seeds"], PARALLEL.format(batch=next(iter(found.values()))["parallelism"]["batch"])
    intro = (
        f"Trained on the same people with the same recipe ({recipe['epochs']} epochs, windows of {recipe['window']} "
        f"samples at {data['rate_hz']:g} Hz), as near to **{report['budget']:,} parameters** as each comes, "
        f"{seeds} seed{'s' if seeds > 1 else ''} each. Scored on {data['windows']:,} windows and {data['samples']:,} "
        f"samples of {data['scored_on']} people {', '.join(data['people'])}, who chose nothing."
    )
    if data["scored_on"] == "validation":
        intro = intro.replace(", who chose nothing", "; **they also chose the epoch, so figures are too good**")
    table = Table(["", *found], [[title, *(cell(row) for row in found.values())] for title, cell in ROWS])
    return [
        Section("", [intro], findings(found, data["windows"])),
        Section("The table", tables=[table], points=caveats(report)),
        Section(
            "Accuracy and cost",
            pictures=[Picture(out / "accuracy.png", "Up is better, left is cheaper; bars are one sd over seeds.")],
        ),
        Section("Gradients back through time", [GRADIENTS], pictures=[Picture(out / "gradients.png", FLOW)]),
        Section(
            "Parallelism in training",
            [parallel],
            pictures=[Picture(out / "parallelism.png", THROUGHPUT)],
        ),
        Section("What an answer rests on", [SALIENCY], pictures=[Picture(out / "saliency.png", SALIENT)]),
    ]


GRADIENTS = (
    "The norm of d loss_T / d h_t: the loss at the last step of a window against the state T - t steps before, as a "
    "share of that one step back; median of 32 training windows. h_t is all a network carries: an LSTM's h and c, a "
    "convolution's ring buffers. Dashed: networks without recurrence, which end at their receptive field by design."
)
FLOW = "A falling line is a vanishing gradient: what lies where it is below 1e-6 cannot be learned."
PARALLEL = (
    "Forward and back through every step, {batch} sequences at once, on the machine of this report, idle or not. A "
    "line that rises does the steps of a sequence together; one that falls outgrows a cache."
)
THROUGHPUT = "Samples a second against the length of a sequence: higher is faster."
SALIENCY = (
    "|d logit / d x| of the class answered at the end of one window of an unseen person, in standard deviations of the "
    "normalised input (plain gradients; colours are square roots, each panel to its own largest)."
)
SALIENT = "Bright is what the answer rests on: which channels, and how far back."


def _percent(row: Row, *keys: str) -> str:
    value: Any = row
    for key in keys:
        value = value[key]
    return (
        "-" if value is None else f"{100 * value['mean']:.1f}" + (f" ± {100 * value['sd']:.1f}" if value["sd"] else "")
    )


def _number(value: float | None, form: str = ",.0f") -> str:
    return "-" if value is None else format(value, form)


def _spread(value: dict[str, Any] | None, form: str) -> str:
    return "-" if value is None else format(value["mean"], form) + (f" ± {value['sd']:{form}}" if value["sd"] else "")


def _step(row: Row, precision: str, key: str) -> str:
    cost = row["streaming"][precision]
    if key not in cost:
        return "float only" if precision == "int8" else "-"
    return f"{cost[key]:.2f}" + (f" ({cost['engine']})" if key == "p50_us" else "")


def _cost(row: Row, precision: str, key: str) -> str:
    cost = row["streaming"][precision]
    return f"{cost[key]:,}" if key in cost else ("float only" if precision == "int8" else "-")


def _reach(row: Row, key: str) -> str:
    steps = row["memory"][key]
    return f"> {row['memory']['looked_back']}" if steps is None else f"{steps}"


def _forgets(row: Row) -> str:
    span = row["memory"]["forgets_s"]
    worst = f"> {span['looked']:g}" if span["worst"] >= span["looked"] else f"{span['worst']:.2g}"
    return f"{span['median']:.2g} (worst {worst})"


def _flow(row: Row, when: str) -> str:
    state, recurrent = row["gradient"][when]["state"], row["gradient"]["layers"]
    if not state:
        return "no state"
    if not recurrent:
        return "by design"
    if state["largest"] is None or state["largest"] > 100:
        return "explodes"
    gone = state["vanished_steps"]
    return f"vanishes at {gone + 1}" if gone is not None else f"{state['last']:.0e} left"


def _speed(row: Row, threads: str) -> str:
    speed = row["parallelism"]
    if threads != "1" and speed["load"] > speed["cores"]:
        return "machine busy"
    first, last = (speed["samples_per_s"][threads][k] / 1e3 for k in (0, -1))
    return f"{first:,.0f}k → {last:,.0f}k"


def _salient(row: Row) -> str:
    channels = row["saliency"]["channels"]
    most = max(channels, key=lambda name: channels[name])
    return f"{most} {channels[most]:.0%}, half in last {row['saliency']['half_in_last']}"


def _int8(row: Row) -> str:
    loss = row["int8"]
    return "float only" if "not_measured" in loss else f"{100 * loss['loss']:+.1f} ({loss['agreement']:.2%} alike)"


def _firmware(key: str) -> Callable[[Row], str]:
    def cell(row: Row) -> str:
        board = row["firmware"]
        if "not_measured" in board:
            return "not measured"
        note = " (float)" if board["precision"] == "float32" else ""
        return _number(board[key]) + note

    return cell


ROWS: list[tuple[str, Callable[[Row], str]]] = [
    ("units", lambda row: "-" if row["arch"] == "perceptron" else str(row["hidden"])),
    ("parameters", lambda row: f"{row['parameters']:,}"),
    ("windows right, %", lambda row: _percent(row, "accuracy", "windows")),
    ("samples of whole recordings right, %", lambda row: _percent(row, "accuracy", "samples")),
    ("events found, %", lambda row: _percent(row, "events", "recall")),
    ("false alarms an hour", lambda row: _spread(row["events"]["false_alarms_per_hour"], ".0f")),
    ("latency of an event, s", lambda row: _spread(row["events"]["latency_s"], ".2f")),
    ("training, s on one thread", lambda row: _spread(row["training"]["seconds"], ".0f")),
    ("receptive field, samples", lambda row: _reach(row, "receptive_field")),
    ("samples back with 1 % influence", lambda row: _reach(row, "one_percent_steps")),
    ("forgets a foreign second after, s", _forgets),
    ("gradient over a window, before training", lambda row: _flow(row, "before")),
    ("gradient over a window, after", lambda row: _flow(row, "kept")),
    ("updates clipped", lambda row: "-" if row["gradient"]["clipped"] is None else f"{row['gradient']['clipped']:.0%}"),
    ("trained samples/s, short → long sequences", lambda row: _speed(row, "1")),
    ("the same with two threads", lambda row: _speed(row, "2")),
    ("answer rests on", _salient),
    ("multiply-accumulates a step", lambda row: _cost(row, "float32", "macs")),
    ("weights, bytes float32", lambda row: _cost(row, "float32", "weight_bytes")),
    ("weights, bytes int8", lambda row: _cost(row, "int8", "weight_bytes")),
    ("state a stream, bytes float32", lambda row: _cost(row, "float32", "state_bytes")),
    ("state a stream, bytes int8", lambda row: _cost(row, "int8", "state_bytes")),
    ("step float32, us (engine)", lambda row: _step(row, "float32", "p50_us")),
    ("step float32, cold, us", lambda row: _step(row, "float32", "cold_us")),
    ("step int8, us (engine)", lambda row: _step(row, "int8", "p50_us")),
    ("step int8, cold, us", lambda row: _step(row, "int8", "cold_us")),
    ("lost by int8, points", _int8),
    ("Cortex-M4 flash, bytes", _firmware("flash_bytes")),
    ("Cortex-M4 RAM, bytes", _firmware("ram_bytes")),
    ("Cortex-M4 instructions a step", _firmware("instructions_per_step")),
]
