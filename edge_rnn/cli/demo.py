"""`edge-rnn demo`: the main job on real recordings, end to end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the report and the bundles.")] = Path("demo"),
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs of training; default: the recipe's.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The figures as one JSON object on stdout.")] = False,
) -> None:
    """Train a GRU on watch recordings, export it, prove every engine, stream people it never saw.

    Leaves OUT/report.html with the pictures and OUT/*.ernn, float32 and int8. Takes about three minutes.
    """
    from ..outside import outside

    figures = outside("demo").demo(out, epochs, quiet=as_json)
    if as_json:
        print(json.dumps(figures))
