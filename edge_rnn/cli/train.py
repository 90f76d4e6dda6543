"""`edge-rnn train`: recordings to one checkpoint."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import UsageError

ARCHITECTURES = (
    "rnn, rnn-relu, gru, lstm, fastgrnn; perceptron or mlp on a window, stats-mlp on its statistics, cnn, transformer."
)


def train(
    data: Annotated[str, typer.Argument(metavar="DATA", help="hapt, watch, a .npz file or a folder of recordings.")],
    arch: Annotated[str, typer.Option(help=ARCHITECTURES)] = "gru",
    hidden: Annotated[
        int | None, typer.Option(min=1, help="Units a layer. Default: 32; mlp 64; cnn and transformer 16.")
    ] = None,
    layers: Annotated[
        int | None, typer.Option(min=1, help="Hidden layers or blocks. Default: 1; cnn 5; transformer 2.")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Default: the data set's; your own: 30, or 1,000 updates.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same weights.")] = 0,
    out: Annotated[Path, typer.Option(help="The run's folder.")] = Path("run"),
    resume: Annotated[bool, typer.Option("--resume", help="Go on where an interrupted run stopped.")] = False,
    tbptt: Annotated[
        int | None, typer.Option(min=2, metavar="K", help="Whole recordings, K samples a step, state carried.")
    ] = None,
    qat: Annotated[
        int | None, typer.Option(metavar="8|4", help="Train the weights as int8 or int4 will hold them.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Change the recipe, as learning_rate=0.004.")
    ] = None,
    events: Annotated[
        list[str] | None,
        typer.Option(metavar="CLASS", help="Train to find this class in a running stream (several times for more)."),
    ] = None,
    merge: Annotated[
        str, typer.Option(metavar="NEW=A,B", help="With --events: take the classes A, B as one, NEW.")
    ] = "",
    diagnose: Annotated[
        bool, typer.Option("--diagnose", help="Record how gradients flow back through time, and warn.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The result as one JSON object on stdout.")] = False,
) -> None:
    """Train a network and keep the epoch that is best on people it did not learn from.

    Leaves OUT/checkpoint.pt for `edge-rnn export`, metrics.json, learning_curve.png and confusion.png; with --diagnose
    also diagnosis.json and .png. Ctrl-C leaves a run that --resume finishes with the very same weights.

    With --events the network learns when something begins and ends, on whole recordings with its state carried: then
    `edge-rnn export`, `edge-rnn tune` on the people it held out, and `edge-rnn run`. Such a run is not resumed.
    """
    common: dict[str, Any] = {"arch": arch, "hidden": hidden, "layers": layers, "seed": seed, "out": out}
    common["settings"] = pairs(settings or [])
    if events:
        windows = {"--epochs": epochs, "--tbptt": tbptt, "--qat": qat, "--resume": resume, "--diagnose": diagnose}
        misplaced = [name for name, value in windows.items() if value]
        if misplaced:
            raise UsageError(f"{', '.join(misplaced)} cannot be given with --events: --set steps=2000 is its length")
        _train_events(data, events, merge, as_json, common)
        return
    if merge:
        raise UsageError("--merge goes with --events")
    from ..outside import outside

    workshop = outside("train")
    result = workshop.train(
        data,
        **common,
        epochs=epochs,
        resume=resume,
        tbptt=tbptt,
        qat=qat,
        diagnose=diagnose,
        progress=workshop.show_bar,
    )
    figures = {
        "checkpoint": str(result.checkpoint),
        "validation_accuracy": result.accuracy,
        "best_epoch": result.best_epoch,
        "epochs": result.epochs,
        "updates": result.updates,
        "seconds": round(result.seconds, 1),
        "warnings": list(result.warnings),
        **({"diagnosis": str(result.folder / "diagnosis.json")} if diagnose else {}),
    }
    if as_json:
        print(json.dumps(figures))
        return
    for warning in result.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if diagnose:
        print(f"how its gradients flow: {result.folder / 'diagnosis.png'}", file=sys.stderr)
    precision = "int8" if result.int8 else "float32"
    print(
        f"{result.accuracy:.1%} right on validation people (epoch {result.best_epoch} of {result.epochs}, "
        f"{result.updates:,} updates, {result.seconds:.0f} s)\n"
        f"next: edge-rnn export {result.checkpoint} --precision {precision} -o model.ernn",
        file=sys.stderr,
    )


def _train_events(data: str, events: list[str], merge: str, as_json: bool, common: dict[str, Any]) -> None:
    from ..outside import outside

    workshop = outside("train --events")
    result = workshop.train_for_events(
        data, events, merges=workshop.parse_merge(merge), progress=workshop.show_bar, **common
    )
    figures = {
        "checkpoint": str(result.checkpoint),
        "held_out_subjects": list(result.held_out),
        "held_out_accuracy": result.accuracy,
        "seconds": round(result.seconds, 1),
    }
    if as_json:
        print(json.dumps(figures))
        return
    precision = "int8" if result.int8 else "float32"
    print(
        f"{result.accuracy:.1%} of the samples right on people held out: {', '.join(result.held_out)} "
        f"({result.seconds:.0f} s)\nnext: edge-rnn export {result.checkpoint} --precision {precision} -o model.ernn\n"
        f"then: edge-rnn tune model.ernn {data} --people unseen --false-alarms-per-hour 1 -o tuned.ernn",
        file=sys.stderr,
    )


def pairs(settings: list[str]) -> dict[str, str]:
    """NAME=VALUE texts as a mapping; raises UsageError for one without =."""
    pairs = dict(text.partition("=")[::2] for text in settings)
    if any("=" not in text for text in settings):
        raise UsageError(f"--set {' '.join(settings)} was given, expected NAME=VALUE, as learning_rate=0.004")
    return pairs
