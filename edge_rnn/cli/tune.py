"""`edge-rnn tune` and `edge-rnn score`: a detector chosen, or judged, on people the model has not seen."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import UsageError

DATA = "Continuous labelled recordings: .npz or a folder; hapt, hapt-test."
MERGE = "Take the data's classes A, B as the label NEW; default: as the training did."
PEOPLE = "Only these people, separated by commas; unseen: those the bundle was not trained on."
ENOUGH = 0.8
"""Share of events found below which `train --events` is worth a word."""
EARLY = "Seconds before an onset that still count as found."


def tune(
    bundle: Annotated[Path, typer.Argument(metavar="M.ernn", help="The bundle to tune.")],
    data: Annotated[str, typer.Argument(metavar="DATA", help=DATA)],
    false_alarms_per_hour: Annotated[float, typer.Option(help="The budget, shared equally by the labels.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="TUNED.ernn", help="The bundle to write.")] = None,
    in_place: Annotated[bool, typer.Option("--in-place", help="Write over M.ernn; its signature is dropped.")] = False,
    label: Annotated[list[str] | None, typer.Option(help="Tune this label (several times for more).")] = None,
    merge: Annotated[str, typer.Option(metavar="NEW=A,B", help=MERGE)] = "",
    people: Annotated[str, typer.Option(metavar="A,B|unseen", help=PEOPLE)] = "",
    early: Annotated[float, typer.Option(help=EARLY)] = 0.0,
    recall: Annotated[
        float | None, typer.Option(help="Enough recall: among choices that reach it, the shortest latency.")
    ] = None,
    latency: Annotated[float, typer.Option(help="Largest median latency in seconds.")] = 1e9,
    plot: Annotated[Path | None, typer.Option(help="Draw the trade-off curve there (.png).")] = None,
    allow_seen: Annotated[bool, typer.Option("--allow-seen", help="Also with people it was trained on.")] = False,
    engine: Annotated[str, typer.Option(help="auto, native, onnxruntime or numpy.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Choose smoothing, thresholds, duration and refractory time: the most events found within a budget of alarms."""
    from ..model import load
    from ..outside import outside
    from .progress import progress

    if (out is None) == (not in_place):
        raise UsageError("give either -o TUNED.ernn or --in-place")
    if not false_alarms_per_hour >= 0:
        raise UsageError(f"--false-alarms-per-hour is {false_alarms_per_hour}, expected 0 or more")
    tuning: Any = outside("tune")
    model = load(bundle, engine)
    recordings = _read(model, data, merge, people, allow_seen)
    labels = _labels(model, recordings, label)
    if len(labels) > 1:
        share = f"at most {false_alarms_per_hour / len(labels):.3g} each"
        print(
            f"{false_alarms_per_hour:g} false alarms an hour are shared by {len(labels)} labels: {share}",
            file=sys.stderr,
        )
    with progress("tuning", tuning.SMOOTHINGS * len(labels)) as advance:
        found = tuning.tune(
            model,
            recordings,
            labels,
            false_alarms_per_hour,
            early_s=early,
            latency_s=latency,
            recall=recall,
            on_step=advance,
        )
    target = bundle if out is None else out
    whom = list(recordings.subjects) if recordings.rec_subject is not None else []
    about = {
        "data": Path(data).name,
        "subjects": whom,
        "false_alarms_per_hour": false_alarms_per_hour,
        "early_s": early,
    }
    tuning.write_tuned(bundle, target, found, about)
    if in_place:
        Path(f"{bundle}.minisig").unlink(missing_ok=True)
        print(f"{bundle}: written over, a signature is dropped: sign it again", file=sys.stderr)
    if plot is not None:
        tuning.plot_tradeoff(found, plot)
    figures = {t.label: {**t.chosen.to_json(), "params": _params(t)} for t in found}
    if as_json:
        print(json.dumps({"bundle": str(target), "labels": figures}))
        return
    _tell(model, figures)


def score(
    bundle: Annotated[Path, typer.Argument(metavar="M.ernn", help="The bundle to judge.")],
    data: Annotated[str, typer.Argument(metavar="DATA", help=DATA)],
    label: Annotated[list[str] | None, typer.Option(help="Judge this label (several times for more).")] = None,
    merge: Annotated[str, typer.Option(metavar="NEW=A,B", help=MERGE)] = "",
    people: Annotated[str, typer.Option(metavar="A,B|unseen", help=PEOPLE)] = "",
    early: Annotated[float, typer.Option(help=EARLY)] = 0.0,
    allow_seen: Annotated[bool, typer.Option("--allow-seen", help="Also on people it was trained on.")] = False,
    engine: Annotated[str, typer.Option(help="auto, native, onnxruntime or numpy.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Judge a bundle's detector on recordings: recall, false alarms an hour, latency, with 95 % intervals."""
    from ..model import load
    from ..outside import outside

    model = load(bundle, engine)
    recordings = _read(model, data, merge, people, allow_seen)
    labels = _labels(model, recordings, label)
    undetected = sorted(set(labels) - set(model.manifest.detector))
    if undetected:
        raise UsageError(
            f"the bundle detects no {', '.join(undetected)}: it detects {', '.join(model.manifest.detector)}"
        )
    outcomes = outside("score").score(model, recordings, labels, early)
    figures = {name: outcome.to_json() for name, outcome in zip(labels, outcomes, strict=True)}
    if as_json:
        hours = len(recordings.x) / recordings.rate_hz / 3600
        about = {"bundle": str(bundle), "subjects": list(recordings.subjects), "recorded_hours": round(hours, 3)}
        print(json.dumps({**about, "labels": figures}))
        return
    _tell(model, figures)


def _read(model: Any, data: str, merge: str, people: str, allow_seen: bool) -> Any:
    """Recordings as the model takes them; people it has seen are refused."""
    from ..outside import outside

    scoring: Any = outside("score")
    recordings = scoring.read_for(model, data, merge, people)
    if not allow_seen:
        scoring.check_unseen(model, recordings)
    return recordings


def _labels(model: Any, recordings: Any, given: list[str] | None) -> list[str]:
    labels = given or [name for name in model.manifest.detector if name in recordings.classes]
    strangers = sorted(set(labels) - set(model.manifest.labels))
    if strangers or not labels:
        raise UsageError(f"labels are {strangers or 'none'}, the model has {', '.join(model.manifest.labels)}")
    return labels


def _params(tuned: Any) -> dict[str, float]:
    from dataclasses import asdict

    return asdict(tuned.chosen.params)


def _tell(model: Any, figures: dict[str, dict[str, Any]]) -> None:
    """The figures for people, and what to do where a network that learned windows misses events."""
    for name, figure in figures.items():
        print(_line(name, figure))
    missed = [name for name, figure in figures.items() if figure["recall"] < ENOUGH]
    if missed and not (model.manifest.training or {}).get("events"):
        options = " ".join(f"--events {name}" for name in missed)
        print(
            f"many events were missed: this network learned windows; `edge-rnn train DATA {options}` learns when "
            "something begins (docs/detection.md)",
            file=sys.stderr,
        )


def _line(name: str, f: dict[str, Any]) -> str:
    low, high = (100 * v for v in f["recall_95"])
    a, b = f["false_alarms_per_hour_95"]
    alarms = (
        f"proves < {b:.2g}/h" if f["false_alarms"] == 0 else f"{f['false_alarms_per_hour']:.2g}/h [{a:.2g}-{b:.2g}]"
    )
    latency = f", latency median {f['latency_s']['p50']} s, p90 {f['latency_s']['p90']} s" if f["latency_s"] else ""
    return (
        f"{name}: found {f['found']} of {f['events']} ({100 * f['recall']:.1f} % [{low:.1f}-{high:.1f}]), "
        f"{f['false_alarms']} false alarms in {f['hours']:.2f} h ({alarms}){latency}"
    )
