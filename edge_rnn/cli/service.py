"""`edge-rnn service install`: the shipped systemd unit, with this edge-rnn's path in it."""

from __future__ import annotations

import shutil
import sys
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from ..errors import UsageError

app = typer.Typer(help="The daemon under systemd.")

SHIPPED = "/usr/bin/edge-rnn"
HIDDEN = ("/home/", "/root/")


@app.callback()
def service() -> None:
    """The daemon under systemd."""


@app.command("install")
def install(
    to: Annotated[Path, typer.Option(metavar="DIR", help="The folder of units.")] = Path("/etc/systemd/system"),
    show: Annotated[bool, typer.Option("--print", help="Print the unit and write nothing.")] = False,
) -> None:
    """Write edge-rnn.service; an existing one is replaced. systemctl then starts it: this command does not."""
    command = shutil.which("edge-rnn") or str(Path(sys.executable).with_name("edge-rnn"))
    unit = resources.files("edge_rnn.daemon").joinpath("examples/edge-rnn.service").read_text()
    if command.startswith(HIDDEN):
        # the unit's own user sees no home: install edge-rnn where everybody may read it
        print(f"edge-rnn: {command} lies in a home, which the unit hides (ProtectHome): install it in /opt, say",
              file=sys.stderr)  # fmt: skip
    unit = unit.replace(SHIPPED, command)
    if show:
        print(unit, end="")
        return
    path = to / "edge-rnn.service"
    try:
        path.write_text(unit)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}; run it as root, or with --to DIR") from error
    print(f"edge-rnn: wrote {path}; the configuration is /etc/edge-rnn/edge-rnn.toml. Now:", file=sys.stderr)
    print("  systemctl daemon-reload && systemctl enable --now edge-rnn", file=sys.stderr)
