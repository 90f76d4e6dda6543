"""`edge-rnn daemon` and `edge-rnn supervise`."""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from ..errors import UsageError


def daemon(
    config: Annotated[Path, typer.Option("--config", metavar="FILE", help="The TOML file.")],
    test: Annotated[bool, typer.Option("--test", help="Check the file, load the models, and stop.")] = False,
    once: Annotated[bool, typer.Option("--once", help="Stop when every source has ended.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --test: what was found, on stdout.")] = False,
) -> None:
    """Run sources through models into sinks, and lose nothing that was acknowledged.

    SIGHUP reads the file again; a bad one leaves the old one running. SIGTERM ends it cleanly.
    """
    from ..daemon import run as process
    from ..daemon.config import read_config
    from ..daemon.deliveries import open_delivery
    from ..model import load

    _log_to_stderr()
    if not test:
        raise typer.Exit(process.run(config, once))
    read = read_config(config)
    models = {one.id: load(one.model, one.engine) for one in read.pipeline}
    for sink in read.sink:
        open_delivery(sink, read.device.name).close()
    found = {name: {"model": m.manifest.title, "engine": m.engine.name} for name, m in models.items()}
    if as_json:
        print(json.dumps({"ok": True, "pipelines": found}))
    for name, facts in found.items():
        print(f"edge-rnn: pipeline {name}: {facts['model']} on {facts['engine']}", file=sys.stderr)


def supervise(
    command: Annotated[list[str], typer.Argument(metavar="-- COMMAND...", help="Usually edge-rnn daemon --config X.")],
    watchdog_s: Annotated[float, typer.Option(help="Seconds of silence after which it is killed.")] = 1.5,
) -> None:
    """Run a command and start it again when it ends badly or hangs: the watchdog where there is no systemd."""
    from ..daemon.supervise import Supervisor

    if not 0.5 <= watchdog_s <= 3600:
        raise UsageError(f"--watchdog-s {watchdog_s:g} was given, expected 0.5..3600")
    _log_to_stderr()
    raise typer.Exit(Supervisor(command, watchdog_s).run())


def _log_to_stderr() -> None:
    """A line a message; the journal writes the time itself."""
    when = "" if "JOURNAL_STREAM" in os.environ else "%(asctime)s "
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format=f"{when}%(levelname).1s %(message)s")
