"""The Typer application and the one place where errors become exit codes.

Exit codes: 0 ok, 1 a check failed, 2 usage, 3 source lost, 4 parity or signature, 130 interrupted.
"""

from __future__ import annotations

import sys

import typer

from ..errors import EdgeRnnError
from . import bench, compare, config, daemon, demo, devices, export, firmware, record, run, service, sim, train, tune

app = typer.Typer(
    name="edge-rnn",
    help="Streaming inference of small recurrent networks on edge devices.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("demo")(demo.demo)
app.command("train")(train.train)
app.command("compare")(compare.compare)
app.command("export")(export.export)
app.command("import")(export.import_)
app.command("verify")(export.verify)
app.command("inspect")(export.inspect)
app.command("run")(run.run)
app.command("record")(record.record)
app.command("replay")(record.replay)
app.command("tune")(tune.tune)
app.command("score")(tune.score)
app.command("bench")(bench.bench)
app.command("daemon")(daemon.daemon)
app.command("supervise")(daemon.supervise)
app.add_typer(firmware.app, name="firmware")
app.add_typer(config.app, name="config")
app.add_typer(service.app, name="service")
app.command("devices")(devices.devices)
app.command("doctor")(devices.doctor)
app.command("sim")(sim.sim)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and give its exit code; our own errors are one sentence on stderr."""
    try:
        app(arguments, standalone_mode=True)
    except SystemExit as exit_:
        if isinstance(exit_.__context__, BrokenPipeError):
            return 0  # the reader of our pipe left, as `head` does: nothing is wrong
        return exit_.code if isinstance(exit_.code, int) else int(exit_.code is not None)
    except EdgeRnnError as error:
        print(f"edge-rnn: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("edge-rnn: interrupted", file=sys.stderr)
        return 130
    return 0


def script() -> None:
    """The console script."""
    sys.exit(main())
