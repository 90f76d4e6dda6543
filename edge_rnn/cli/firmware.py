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


@app.command("build")
def build(
    bundle: BundlePath,
    board: Annotated[str, typer.Option(help=f"{BOARDS} (C99 for any project, Arduino, Zephyr).")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="The folder to write.")],
    prefix: Annotated[str, typer.Option(help="The name of the C files, and what their symbols begin with.")] = "model",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Write a readable C99 project: the model, the kernel, board support, a main and a Makefile."""
    from ..bundle import read_bundle
    from ..outside import outside

    texts = outside("firmware").project(read_bundle(bundle), board, prefix, bundle.name)
    outside("firmware").write_project(texts, out)
    flash, ram = _sizes(board, out)
    if as_json:
        print(json.dumps({"board": board, "files": sorted(texts), "flash_bytes": flash, "static_ram_bytes": ram}))
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
    board: Annotated[str, typer.Option(help=f"{BOARDS} (this machine), or aarch64.")],
    steps: Annotated[
        int, typer.Option(min=1, help="Steps: the golden stream, then probe input that saturates.")
    ] = 10_000,
    optimize: Annotated[str, typer.Option(help="speed (-O2) or size (-Os).")] = "speed",
    keep: Annotated[Path | None, typer.Option(metavar="DIR", help="Keep the project and its files here.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Run the firmware on the emulated board and compare every logit and the final state with NumPy.

    int8 must be the same bits; float32 within 1e-4 + 1e-4 |y|. Exit code 4 at the first difference.
    """
    from ..bundle import read_bundle
    from ..errors import ParityError
    from ..outside import outside
    from .progress import progress

    firmware = outside("firmware check")
    model = read_bundle(bundle)
    firmware.require_tools(board)
    with progress("reference", steps) as advance:
        expected = firmware.truth(model, steps, lambda _: advance())
    with progress(board, steps) as advance:
        done = 0

        def follow(now: int) -> None:
            nonlocal done
            for _ in range(now - done):
                advance()
            done = now

        found = firmware.check(model, board, steps, optimize=optimize, folder=keep, expected=expected, progress=follow)
    print(json.dumps(found.to_json()) if as_json else _lines(found))
    if not found.ok:
        raise ParityError(
            f"{board} gives other numbers than {model.manifest.title} promises from step "
            f"{found.first_divergent_step} on: keep the project with --keep and report it"
        )


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
