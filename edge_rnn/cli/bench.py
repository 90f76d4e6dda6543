"""`edge-rnn bench`: microseconds a step of every engine on the user's own model."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer


def bench(
    bundle: Annotated[str, typer.Argument(metavar="M.ernn", help="The bundle to time.")],
    against: Annotated[str, typer.Option(help="Engines, separated by commas; default: all that are here.")] = "",
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of 200 steps of each engine.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Time one step of every engine, interleaved in one process, after they were found to agree."""
    from .. import bench as timing
    from ..bundle import read_bundle
    from ..engine import ENGINES, engines_for
    from ..errors import UsageError
    from ..model import load
    from .progress import progress

    opened, absent = engines_for(read_bundle(bundle))
    names = [name.strip() for name in against.split(",")] if against else list(opened)
    unknown = [name for name in names if name not in ENGINES]
    if unknown:
        raise UsageError(f"--against names {', '.join(unknown)}, expected engines of: {', '.join(ENGINES)}")
    models = {name: load(bundle, name) for name in names}
    manifest = next(iter(models.values())).manifest
    x = timing.walk([c.mean for c in manifest.channels], [c.std for c in manifest.channels], timing.CHUNK)
    timing.check_same({name: model.stream().step for name, model in models.items()}, x)
    steps = {name: model.stream().step for name, model in models.items()}
    with progress("timing", rounds + max(1, rounds // 10)) as advance:
        figures = timing.interleave(steps, x, rounds, on_round=advance)
    report = {"model": manifest.title, "engines": figures, "ratios": timing.ratios(figures, names[0])}
    if as_json:
        print(json.dumps(report))
        return
    for name, why in absent.items():
        if name not in names:
            print(f"{name}: skipped, {why}", file=sys.stderr)
    print(timing.table(figures))
