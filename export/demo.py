"""The main job, end to end, on real watch recordings: train, export, prove every engine, stream, report.

Everything after the export goes through the bundle and the runtime, as on a device.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from edge_rnn import Model, load
from edge_rnn.arrays import Array
from edge_rnn.bench import check_same, interleave, table
from edge_rnn.engine import F32, available_engines

from .datasets import Recordings
from .demo_report import write_report
from .demo_stream import stream_recording, write_samples
from .exporting import Exported, export_bundle
from .progress import show_bar
from .recipes import open_dataset
from .train import train

BENCH_ROUNDS = 20
PRECISIONS = ("float32", "int8")


def demo(out: Path, epochs: int | None = None, *, quiet: bool = False) -> dict[str, Any]:
    """Run the whole road, write `out`/report.html, the bundles and samples to run them on, and give the figures."""

    def say(text: str = "") -> None:
        if not quiet:
            print(text, flush=True)

    began = time.perf_counter()
    out.mkdir(parents=True, exist_ok=True)
    data = open_dataset("watch")
    assert data.test is not None
    minutes = len(data.train.x) / data.train.rate_hz / 60
    say(f"1. Train a GRU-32 on {len(data.train)} recordings ({minutes:.0f} minutes) of people {_people(data.train)}")
    run = train(data, arch="gru", hidden=32, epochs=epochs, out=out / "run", progress=show_bar)
    say(f"   validation people {_people(data.validation)}: {run.accuracy:.1%} of windows right, {run.seconds:.0f} s")

    say("\n2. Export, and prove every engine on the bundle")
    exported = {p: export_bundle(run.checkpoint, out / f"watch-{p}.ernn", precision=p) for p in PRECISIONS}
    for one in exported.values():
        _say_proof(one, say)
    bundles = {precision: one.path for precision, one in exported.items()}
    models = {precision: load(path) for precision, path in bundles.items()}

    say(f"\n3. Stream {len(data.test)} recordings of people {_people(data.test)}, never seen, sample by sample (int8)")
    streamed = [stream_recording(models["int8"], data.test, number, say) for number in range(len(data.test))]
    right = sum(one.truth == one.answer for one in streamed)
    say(f"   {right} of {len(streamed)} recordings recognised by the class that was active the longest")

    write_samples(data.test, data.test.subjects[-1], out / "unseen.csv")

    say("\n4. How good, how fast, how large")
    starts, truth = data.test.windows(data.recipe.window, data.recipe.hop)
    answers = {p: _window_answers(m, data.test.values(), starts, data.recipe.window) for p, m in models.items()}
    latency = {precision: _latency(path, data.test.values()) for precision, path in bundles.items()}
    figures = {
        "train": {"seconds": run.seconds, "validation_accuracy": run.accuracy},
        "windows": {p: {"accuracy": float(np.mean(a == truth)), "count": len(truth)} for p, a in answers.items()},
        "agreement": float(np.mean(answers["float32"] == answers["int8"])),
        "recordings": {"right": right, "count": len(streamed)},
        "classes": _class_table(truth, answers, models["int8"].manifest.labels),
        "bundle_bytes": {precision: path.stat().st_size for precision, path in bundles.items()},
        "weight_bytes": {precision: _weight_bytes(model) for precision, model in models.items()},
        "verify": {precision: one.report.to_json() for precision, one in exported.items()},
        "latency": latency,
    }
    _summary(figures, say)
    figures["report"] = str(write_report(out, run.folder, figures, streamed, models["int8"], truth, answers["int8"]))
    figures["seconds"] = round(time.perf_counter() - began, 1)
    (out / "figures.json").write_text(json.dumps(figures, indent=1) + "\n")
    say(f"\nIn {figures['seconds']:.0f} s. Pictures: {figures['report']}")
    say(f"Next: edge-rnn run {bundles['int8']} --source {out / 'unseen.csv'}   # or samples of your own")
    return figures


def _people(data: Recordings) -> str:
    return ", ".join(data.subjects)


def _say_proof(exported: Exported, say: Callable[[str], None]) -> None:
    for name, agreement in exported.report.stream.items():
        how = "bit-exact" if agreement.bit_exact else f"largest error {agreement.max_abs_err:.1e}"
        say(f"   {exported.path.name}: {name} {how} over {agreement.steps} steps")
    for name, reason in exported.report.skipped.items():
        say(f"   {exported.path.name}: {name} skipped, {reason}")


def _window_answers(model: Model, x: F32, starts: Array, window: int) -> Array:
    """The class after the last sample of each window, all windows in lockstep from the zero state."""
    group = model.group(len(starts))
    logits: F32 = np.zeros((len(starts), model.outputs), np.float32)
    for step in range(window):
        logits = group.step(x[starts + step])
    answers: Array = logits.argmax(axis=1)
    return answers


def _latency(path: Path, x: F32) -> dict[str, Any]:
    """Microseconds of one `stream.step` of each engine that is here, interleaved."""
    names = [name for name, why in available_engines().items() if why is None]
    check_same({name: load(path, name).stream().step for name in names}, x[:200])
    return interleave({name: load(path, name).stream().step for name in names}, x, BENCH_ROUNDS)


def _weight_bytes(model: Model) -> int:
    assert model.bundle is not None
    return sum(array.nbytes for array in model.bundle.graph.arrays.values())


def _class_table(truth: Array, answers: dict[str, Array], labels: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    rows = {}
    for k, label in enumerate(labels):
        mine = truth == k
        recall = {precision: float(np.mean(a[mine] == k)) for precision, a in answers.items()}
        rows[label] = {"windows": int(mine.sum()), **{f"recall_{precision}": r for precision, r in recall.items()}}
    return rows


def _summary(figures: dict[str, Any], say: Callable[[str], None]) -> None:
    say(f"   {'':<24}{'float32':>12}{'int8':>12}")
    rows = {"window accuracy": "windows", "bundle, bytes": "bundle_bytes", "weights, bytes": "weight_bytes"}
    for title, key in rows.items():
        cells = [figures[key][p] for p in PRECISIONS]
        texts = [f"{c['accuracy']:.1%}" if isinstance(c, dict) else f"{c}" for c in cells]
        say(f"   {title:<24}{texts[0]:>12}{texts[1]:>12}")
    for label, row in figures["classes"].items():
        say(f"   {'recall ' + label:<24}{row['recall_float32']:>12.1%}{row['recall_int8']:>12.1%}")
    say(f"   the two agree on {figures['agreement']:.2%} of {figures['windows']['int8']['count']} windows")
    for precision in PRECISIONS:
        say(f"\n   one step, {precision}")
        say("   " + table(figures["latency"][precision]).replace("\n", "\n   "))
    sys.stdout.flush()
