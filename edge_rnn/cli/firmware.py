"""`edge-rnn firmware build` and `check`: a bundle as C99 for a microcontroller, and the proof of its bits."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(no_args_is_help=True, help="C99 firmware from a bundle, and its proof on an emulated board.")

BundlePath = Annotated[Path, typer.Argument(metavar="M.ernn", help="The bundle.")]
BOARDS = "microbit, mps2-an385, mps2-an386, mps2-an500, mps3-an547 or generic"

ROLES = (
    "What main.c does: inference (steps on a host's samples; default, with int8), node (steps on its own sensor), "
    "sensor (streams it, the model stays on the host), csv (CSV lines in, labels out; default for float32 and generic)."
)


@app.command("build")
def build(
    bundle: BundlePath,
    board: Annotated[str, typer.Option(help=f"{BOARDS} (C99 for any project, Arduino, Zephyr).")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="The folder to write.")],
    role: Annotated[str | None, typer.Option(help=ROLES)] = None,
    store: Annotated[
        bool, typer.Option("--store", help="The board takes another model of this shape over the wire: firmware push.")
    ] = False,
    prefix: Annotated[str, typer.Option(help="The name of the C files, and what their symbols begin with.")] = "model",
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that were edited, too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Write a readable C99 project: the model, the kernel, board support, a main and a Makefile.

    In a folder of an earlier build, files that were edited since stay as they are, and are named.
    """
    from ..bundle import read_bundle
    from ..outside import outside

    texts = outside("firmware").project(read_bundle(bundle), board, prefix, bundle.name, role, store=store)
    folder = outside("firmware build")
    kept = [] if force else folder.edited(texts, out)
    folder.write_project({path: text for path, text in texts.items() if path not in kept}, out)
    flash, ram = _sizes(board, out) if "size.c" in texts else (None, None)
    if kept:
        print(f"kept as you edited them: {', '.join(kept)} (--force overwrites)", file=sys.stderr)
    if as_json:
        sizes = {"flash_bytes": flash, "static_ram_bytes": ram}
        written = sorted([*texts, folder.RECORD])
        print(json.dumps({"board": board, "files": written, "kept": kept, **sizes}))
        return
    print(f"{out}: {len(texts)} files for {board}", file=sys.stderr)
    if flash is not None:
        print(
            f"flash {flash} bytes, static RAM {ram} bytes at -O2; a step's stack: edge-rnn firmware check",
            file=sys.stderr,
        )
    if board != "generic":
        print(f"next: make -C {out}", file=sys.stderr)


@app.command("check")
def check(
    bundle: BundlePath,
    board: Annotated[str | None, typer.Option(help=f"Emulated: {BOARDS} (this machine), or aarch64.")] = None,
    serial: Annotated[
        str | None,
        typer.Option(metavar="PORT", help="Your board, built with --role inference: /dev/ttyACM0 or a URL."),
    ] = None,
    steps: Annotated[
        int, typer.Option(min=1, help="Steps: the golden stream, then probe input that saturates.")
    ] = 10_000,
    optimize: Annotated[str, typer.Option(help="With --board: speed (-O2) or size (-Os).")] = "speed",
    keep: Annotated[
        Path | None, typer.Option(metavar="DIR", help="With --board: keep the project and its files here.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Run the firmware, emulated or on your board, and compare every logit and the final state with NumPy.

    int8 must be the same bits; float32 within 1e-4 + 1e-4 max |y|. Exit code 4 at the first difference.
    """
    from ..bundle import read_bundle
    from ..errors import ParityError, UsageError
    from ..outside import outside
    from .progress import progress

    if (board is None) == (serial is None):
        raise UsageError("expected either --board, to emulate one, or --serial, where yours is")
    firmware = outside("firmware check")
    model = read_bundle(bundle)
    if board is not None:
        firmware.require_tools(board)
    elif model.graph.precision != "int8":
        raise UsageError("the wire carries int8 models, this bundle is float32: export it with --precision int8")
    with progress("reference", steps) as advance:
        expected = firmware.truth(model, steps, lambda _: advance())
    if board is None:
        from .firmware_serial import check_serial

        found, text = check_serial(model, str(serial), expected)
    else:
        with progress(board, steps) as advance:
            done = 0

            def follow(now: int) -> None:
                nonlocal done
                for _ in range(now - done):
                    advance()
                done = now

            checked = firmware.check(
                model, board, steps, optimize=optimize, folder=keep, expected=expected, progress=follow
            )
            found, text = checked.to_json(), _lines(checked)
    print(json.dumps(found) if as_json else text)
    if not found["ok"]:
        raise ParityError(
            f"{board or serial} gives other numbers than {model.manifest.title} promises from step "
            f"{found['first_divergent_step']} on: "
            + (
                "keep the project with --keep and report it"
                if board
                else "is it built from this very bundle's project?"
            )
        )


@app.command("push")
def push(
    bundle: BundlePath,
    serial: Annotated[str, typer.Option(metavar="PORT", help="The board's port; its firmware built with --store.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Give a board another model of the same shape: in verified chunks, applied when whole, kept over a reset.

    The model in use stays untouched until the new one is whole; a pulled cable or a reset on the way changes nothing.
    """
    from ..bundle import read_bundle
    from .firmware_serial import push_model

    found = push_model(read_bundle(bundle), serial)
    done = f"sent {found['sent_bytes']} bytes in {found['seconds']:.1f} s" if found["sent_bytes"] else "had it already"
    print(json.dumps(found) if as_json else f"{serial} runs {found['model']}: {done}")


@app.command("watch")
def watch(
    bundle: BundlePath,
    serial: Annotated[str, typer.Option(metavar="PORT", help="The board's port; its firmware built with --role node.")],
    steps: Annotated[int | None, typer.Option(min=1, help="How many; default: until Ctrl-C.")] = None,
    scores: Annotated[str, typer.Option(help="Score lines: every step (all), every N-th (every=N) or none.")] = "all",
) -> None:
    """Show what a board infers on its own sensor, and what the bundle's detector makes of it: JSON lines.

    {"type":"score","t":1.2,"step":61,"label":"wave","scores":{...},"quality":"ok","logits":[...]}, logits as Q16
    integers; start, event and gap as `edge-rnn run` prints them.
    """
    import signal

    from ..bundle import read_bundle
    from .firmware_serial import results
    from .run import every_nth

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a service is stopped as cleanly as by Ctrl-C
    every = every_nth("" if scores == "none" else scores, "all, every=N with N of 1 or more, or none")
    for record in results(read_bundle(bundle), serial, steps, every):
        print(json.dumps(record), flush=True)


def _sizes(board: str, folder: Path) -> tuple[int | None, int | None]:
    """Flash and static RAM of the smallest program, in a copy of the project; None where no compiler is."""
    import shutil
    from tempfile import TemporaryDirectory

    from ..outside import outside

    if board == "generic" or not (shutil.which("arm-none-eabi-gcc") and shutil.which("make")):
        return None, None
    with TemporaryDirectory(prefix="edge-rnn-") as scratch:
        shutil.copytree(folder, scratch, dirs_exist_ok=True)
        flash, ram = outside("firmware check").sizes(Path(scratch))
        return flash, ram


def _lines(found: Any) -> str:
    kind = "bit-exact" if found.bit_exact else f"largest error {found.max_abs_err:.3g}"
    lines = [f"{found.board} ({found.optimize}): {found.steps} steps, {'ok' if found.ok else 'DIFFERENT'}, {kind}"]
    if found.flash_bytes is not None:
        lines.append(
            f"flash {found.flash_bytes} bytes, RAM {found.ram_bytes} bytes ({found.stack_bytes} of them stack)"
        )
        lines.append(f"{found.instructions_per_step:.0f} instructions a step")
    return "\n".join(lines)
