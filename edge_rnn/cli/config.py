"""`edge-rnn config check|init|schema`: the daemon's configuration, without starting it."""

from __future__ import annotations

import json
import sys
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from ..errors import UsageError

app = typer.Typer(help="The daemon's configuration: check a file, write an example, print the schema.")


@app.command("check")
def check(
    config: Annotated[Path, typer.Argument(metavar="FILE", help="The TOML file.")],
    as_json: Annotated[bool, typer.Option("--json", help="The configuration, defaults filled in, on stdout.")] = False,
) -> None:
    """Say what is wrong with a file; nothing is opened but the file itself."""
    from ..daemon.config import read_config

    read = read_config(config)
    if as_json:
        print(json.dumps({"ok": True, "config": read.model_dump()}))
    else:
        counts = f"{len(read.source)} sources, {len(read.pipeline)} pipelines, {len(read.sink)} sinks"
        print(f"edge-rnn: {config} is fine: {counts}", file=sys.stderr)


@app.command("init")
def init(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write it.")] = Path("edge-rnn.toml"),
) -> None:
    """Write a commented example; a file that is there stays."""
    text = resources.files("edge_rnn.daemon").joinpath("examples/edge-rnn.toml").read_text()
    try:
        with path.open("x") as file:
            file.write(text)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
    print(f"edge-rnn: wrote {path}", file=sys.stderr)


@app.command("schema")
def schema() -> None:
    """Print the JSON schema, for an editor."""
    from ..daemon.config import Config

    print(json.dumps(Config.model_json_schema(), indent=2))
