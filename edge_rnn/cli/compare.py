"""`edge-rnn compare`: architectures side by side on one data set."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer


def compare(
    data: Annotated[str, typer.Argument(metavar="DATA", help="hapt, watch, a .npz file or a folder of recordings.")],
    out: Annotated[Path, typer.Option(help="The report's folder; trainings in it are not made twice.")],
    arch: Annotated[
        str, typer.Option(metavar="A,B,C", help="Names of `train --arch`, or name@units, as mlp@64; default: all.")
    ] = "",
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each.")] = 2,
    budget: Annotated[
        int | None, typer.Option(min=50, help="Parameters of each; default: those of a GRU with 32 units.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Default: the data set's.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Change the recipe, for all of them.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The report as one JSON object on stdout.")] = False,
) -> None:
    """Train architectures at equal parameter budgets, measure them row by row, and write a report with pictures.

    Leaves OUT/report.html, report.md, report.json, pictures and bundles. Interrupted, it goes on where it was when it
    is called again.
    """
    from ..outside import outside
    from .progress import progress
    from .train import pairs

    names = [name.strip() for name in arch.split(",") if name.strip()]
    workshop = outside("compare")
    report = workshop.compare(
        data,
        out,
        arch=names,
        seeds=seeds,
        budget=budget,
        epochs=epochs,
        settings=pairs(settings or []),
        progress=workshop.show_bar,
        stages=progress,
        say=lambda text: print(text, file=sys.stderr, flush=True),
    )
    if as_json:
        print(json.dumps(report))
        return
    for name, row in report["architectures"].items():
        accuracy = row["accuracy"]["windows"]
        print(f"{name:<14}{row['parameters']:>8,} parameters  {accuracy['mean']:>7.1%} of windows", file=sys.stderr)
    print(f"the report: {out / 'report.html'}", file=sys.stderr)
