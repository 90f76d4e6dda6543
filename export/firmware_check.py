"""Runs a bundle's firmware and compares every output with the bundle's own arithmetic; measures size and speed.

The board is emulated by qemu-system-arm, so no hardware is needed; `generic` and `aarch64` run the same C as a program
of this or an emulated Linux machine. Numbers that a machine cannot give are None, never guessed.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from edge_rnn.arrays import Array
from edge_rnn.bundle import Bundle
from edge_rnn.engine import F32, State
from edge_rnn.engines.integer import IntegerEngine, quantize_input
from edge_rnn.engines.numpy import NumpyEngine, reference_state
from edge_rnn.errors import UsageError
from edge_rnn.golden import close
from edge_rnn.graph import Graph
from edge_rnn.parity import RESTART
from edge_rnn.probe import probe

from .boards import GENERIC, boards
from .firmware_folder import edited, named, write_project
from .firmware_project import project, template
from .firmware_roles import CSV

AARCH64 = "aarch64"
HOSTS = {GENERIC: ("cc", []), AARCH64: ("aarch64-linux-gnu-gcc", ["qemu-aarch64", "-cpu", "cortex-a72"])}
"""Pseudo-boards: compiler, and what runs its programs."""
PACKAGES = {
    "arm-none-eabi-gcc": "gcc-arm-none-eabi libnewlib-arm-none-eabi",
    "qemu-system-arm": "qemu-system-arm",
    "aarch64-linux-gnu-gcc": "gcc-aarch64-linux-gnu libc6-dev-arm64-cross",
    "qemu-aarch64": "qemu-user",
    "cc": "gcc",
    "make": "make",
}
LEVELS = {"speed": "-O2", "size": "-Os"}
STALL_S = 120.0
"""An emulated board that writes nothing for so long has crashed."""

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Truth:
    """What a model must give on a stream of samples."""

    x: F32
    y: Array
    """(T, C): int32 Q16 logits of an int8 model, float64 of a float32 one."""
    state: bytes
    """After the last step; int8 alone."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found on one board. Flash is text + rodata + data's image, RAM is data + bss + a step's stack."""

    board: str
    optimize: str
    steps: int
    ok: bool
    bit_exact: bool
    first_divergent_step: int | None
    max_abs_err: float
    instructions_per_step: float | None
    flash_bytes: int | None
    ram_bytes: int | None
    stack_bytes: int | None

    def to_json(self) -> dict[str, Any]:
        """The promised form."""
        return asdict(self)


def truth(bundle: Bundle, steps: int, progress: Progress | None = None) -> Truth:
    """Golden input, then probe input, and what NumPy gives: exact integers, or float64 restarted every 1,000 steps."""
    graph, golden = bundle.graph, bundle.golden["x"][:steps]
    x = (
        np.concatenate([golden, probe(bundle.manifest.channels, steps - len(golden))])
        if steps > len(golden)
        else golden
    )
    if graph.precision == "int8":
        return _integers(graph, x, progress)
    y: Array = np.zeros((steps, graph.outputs))
    engine = NumpyEngine(graph, np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, steps, RESTART):
            engine.run(x[start : start + RESTART], reference_state(graph), y[start : start + RESTART])
    return Truth(x, y, b"")


def check(
    bundle: Bundle,
    board: str,
    steps: int,
    *,
    optimize: str = "speed",
    folder: Path | None = None,
    expected: Truth | None = None,
    progress: Progress | None = None,
) -> Checked:
    """Build, run and compare. `folder` keeps the project; `expected` is `truth` of so many steps, made here if None.

    `progress` is called with the number of steps done. Raises UsageError when a tool is missing.
    """
    if optimize not in LEVELS:
        raise UsageError(f"optimize is {optimize!r}, expected speed or size")
    require_tools(board)
    with TemporaryDirectory(prefix="edge-rnn-") as scratch:
        place = folder or Path(scratch)
        expected = expected or truth(bundle, steps)
        _write(bundle, board, place, expected.x)
        program = _build(bundle, board, place, steps, LEVELS[optimize])
        _run(_command(board, program), place, steps * 4 * bundle.graph.outputs, steps, progress)
        return _judge(bundle.graph, board, optimize, expected, place)


def require_tools(board: str) -> None:
    """Raises UsageError naming the packages when a tool for this board is not installed."""
    if board not in boards() and board not in HOSTS:
        raise UsageError(f"board {board!r} is unknown, expected {', '.join([*boards(), *HOSTS])}")
    needed = ["make", "arm-none-eabi-gcc", "qemu-system-arm"]
    if board in HOSTS:
        compiler, runner = HOSTS[board]
        needed = [compiler, *runner[:1]]
    missing = [tool for tool in needed if shutil.which(tool) is None]
    if missing:
        packages = " ".join(PACKAGES[tool] for tool in missing)
        raise UsageError(f"board {board} needs {', '.join(missing)}: apt-get install {packages}")


def sizes(folder: Path, program: str = "size.elf", level: str = "-O2") -> tuple[int, int]:
    """(flash, data + bss) in bytes of a project's smallest program; needs arm-none-eabi-gcc and make."""
    _call(["make", f"OPT={level}", program], folder)
    text, data, bss = _call(["arm-none-eabi-size", program], folder).splitlines()[1].split()[:3]
    return int(text) + int(data), int(data) + int(bss)


def _integers(graph: Graph, x: F32, progress: Progress | None) -> Truth:
    engine, state = IntegerEngine(graph), State(graph.states)
    y, codes = np.zeros((len(x), graph.outputs), np.int32), quantize_input(x, graph.arrays["sx"])
    for t in range(len(x)):
        engine.step_int(codes[t : t + 1], state, y[t : t + 1])
        if progress:
            progress(t + 1)
    return Truth(x, y, state.to_bytes())


def _write(bundle: Bundle, board: str, place: Path, x: F32) -> None:
    texts = project(bundle, GENERIC if board in HOSTS else board, role=CSV)
    words = {"PREFIX": "model", "P": "MODEL"}
    if board in HOSTS:
        texts = {path.removeprefix("src/"): text for path, text in texts.items() if path.startswith("src/")}
        some = next(iter(boards().values())).sources()
        texts |= {f"board/{name}": some[name] for name in ("board.h", "semihosting.h")}
        texts["board/host.c"] = template("board/host.c", {})
    texts["check.c"] = template("board/check.c", words)
    if changed := edited(texts, place):
        raise UsageError(
            f"{named(changed)} in {place} was edited, a check proves what the bundle makes: keep it elsewhere"
        )
    write_project(texts, place)
    x.astype("<f4").tofile(place / "input.bin")


def _build(bundle: Bundle, board: str, place: Path, steps: int, level: str) -> str:
    each = 6 * bundle.graph.inputs + 4 * bundle.graph.outputs
    chunk = max(n for n in (1, 2, 4, 5, 10, 20) if n == 1 or n * each <= 2500)  # divides RESTART, fits 16 KB of RAM
    if board not in HOSTS:
        _call(["make", f"OPT={level}", f"STEPS={steps}", f"CHUNK={chunk}", "check.elf"], place)
        return "check.elf"
    flags = [
        "-std=c99",
        level,
        "-Wall",
        "-Wextra",
        "-Werror",
        "-I.",
        "-Iboard",
        f"-DSTEPS={steps}u",
        f"-DCHUNK={chunk}u",
    ]
    sources = [
        "check.c",
        "model.c",
        "board/host.c",
        *sorted(f"kernel/{p.name}" for p in (place / "kernel").glob("*.c")),
    ]
    _call([HOSTS[board][0], *flags, *(["-static"] if board == AARCH64 else []), *sources, "-o", "check"], place)
    return "./check"


def _command(board: str, program: str) -> list[str]:
    if board in HOSTS:
        return [*HOSTS[board][1], program]
    machine = ["-M", boards()[board].machine, "-display", "none", "-monitor", "none", "-serial", "null"]
    return [
        "qemu-system-arm",
        *machine,
        *("-semihosting-config", "enable=on,target=native", "-icount", "shift=0", "-kernel", program),
    ]


def _run(command: Sequence[str], place: Path, size: int, steps: int, progress: Progress | None) -> None:
    """Run to the end; the output file's growth is the progress and the sign of life."""
    output = place / "output.bin"
    output.unlink(missing_ok=True)
    process = subprocess.Popen(command, cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        seen, alive = -1, time.monotonic()
        while True:
            try:
                _, errors = process.communicate(timeout=0.2)
                break
            except subprocess.TimeoutExpired:
                done = output.stat().st_size if output.exists() else 0
                if done != seen:
                    seen, alive = done, time.monotonic()
                    if progress:
                        progress(min(steps, steps * done // size))
                elif time.monotonic() - alive > STALL_S:
                    raise UsageError(f"{command[0]} has written nothing for {STALL_S:.0f} s: it crashed") from None
    finally:
        process.kill()
        process.wait()
    if process.returncode:
        raise UsageError(f"{command[0]} ended with {process.returncode}: {errors.decode(errors='replace').strip()}")


def _judge(graph: Graph, board: str, optimize: str, expected: Truth, place: Path) -> Checked:
    steps, exact = len(expected.x), graph.precision == "int8"
    raw = (place / "output.bin").read_bytes()
    logits = np.frombuffer(raw, "<i4" if exact else "<f4", steps * graph.outputs).reshape(steps, graph.outputs)
    ticks, stack = struct.unpack("<QI", raw[-12:])
    error = np.abs(logits.astype(np.float64) - expected.y)
    if exact:
        within = ~np.any(error, axis=1)
        within[-1] &= raw[logits.nbytes : -12] == expected.state
        error = error / 65536
    else:
        within = close(logits, expected.y)
    diverged = np.flatnonzero(~within)
    flash = ram = instructions = None
    if board not in HOSTS:
        flash, static = sizes(place, level=LEVELS[optimize])
        ram, instructions = static + stack, ticks * 1e9 / boards()[board].tick_hz / steps
    return Checked(
        board=board,
        optimize=optimize,
        steps=steps,
        ok=not len(diverged),
        bit_exact=bool(within.all()) if exact else bool(np.array_equal(logits, expected.y.astype(np.float32))),
        first_divergent_step=int(diverged[0]) if len(diverged) else None,
        max_abs_err=float(error.max(initial=0.0)),
        instructions_per_step=instructions,
        flash_bytes=flash,
        ram_bytes=ram,
        stack_bytes=None if board in HOSTS else stack,
    )


def _call(command: Sequence[str], place: Path) -> str:
    done = subprocess.run(command, cwd=place, capture_output=True, text=True)
    if done.returncode:
        raise UsageError(f"{' '.join(command)} failed: {done.stderr.strip()[-2000:] or done.stdout.strip()[-2000:]}")
    return done.stdout
