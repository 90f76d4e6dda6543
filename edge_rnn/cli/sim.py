"""`edge-rnn sim`: a board that is not there, on a pty, for trying everything that needs one."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from ..errors import DataError, UsageError
from ..outside import outside

LARGEST = 32_767
SUFFIXES = {"%": 0.01, "ms": 0.001, "s": 1.0, "min": 60.0, "ppm": 1.0, "": 1.0}


def sim(
    bundle: Annotated[str, typer.Argument(metavar="M.ernn", help="The bundle whose channels the board has.")],
    role: Annotated[str, typer.Option(help="sensor (streams), inference or node (runs an int8 model).")] = "sensor",
    at: Annotated[Path, typer.Option("--at", help="The link to the pty.")] = Path("edge-rnn-sim"),
    recording: Annotated[str, typer.Option(help="What it measures: an .npz; default: the bundle's own stream.")] = "",
    lines: Annotated[bool, typer.Option("--csv", help="Print CSV lines, as a simple sketch does.")] = False,
    drop: Annotated[str, typer.Option(help="Share of frames lost, such as 1%.")] = "0%",
    corrupt: Annotated[str, typer.Option(help="Share of frames with a flipped bit.")] = "0%",
    duplicate: Annotated[str, typer.Option(help="Share of frames that come twice.")] = "0%",
    jitter: Annotated[str, typer.Option(help="Samples are late by up to this, such as 5ms.")] = "0ms",
    disconnect: Annotated[str, typer.Option(help="Mean time between pulled cables, such as 30s.")] = "0s",
    reboot: Annotated[str, typer.Option(help="Mean time between reboots.")] = "0s",
    drift: Annotated[str, typer.Option(help="How much its clock runs slow, such as 80ppm.")] = "0ppm",
    rename: Annotated[bool, typer.Option("--rename", help="It comes back under another name.")] = False,
    seed: Annotated[int, typer.Option(help="Of the misbehaviour.")] = 0,
    seconds: Annotated[float | None, typer.Option(min=0.1, help="How long; default: until Ctrl-C.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="What happened as one JSON object on stdout.")] = False,
) -> None:
    """Be a board: `edge-rnn sim M.ernn --at board &`, then `edge-rnn run M.ernn --source serial://$PWD/board`.

    A pty is a simulation: it has no baud rate and loses nothing by itself; the misbehaviour is made on a seed.
    """
    from ..model import load

    simulator_module = outside("sim")
    mischief = simulator_module.Mischief(
        drop=number(drop, "%"),
        corrupt=number(corrupt, "%"),
        duplicate=number(duplicate, "%"),
        jitter_s=number(jitter, "ms"),
        drift_ppm=number(drift, "ppm"),
        disconnect_s=number(disconnect, "s"),
        reboot_s=number(reboot, "s"),
        rename=rename,
        seed=seed,
    )
    model = load(bundle, "numpy")
    values, scale = _values(model.bundle, recording, tuple(c.name for c in model.manifest.channels))
    make_board, rows = _board(model, role, values, scale)
    csv = (lambda row: ",".join(f"{v * scale:.7g}" for v in row)) if lines else None
    period_s = 1 / model.manifest.rate_hz
    path = at.absolute()
    simulator = simulator_module.Simulator(make_board, simulator_module.repeated(rows), period_s, path, mischief, csv)
    print(f"a simulated {role} at serial://{path}, Ctrl-C ends it", file=sys.stderr)
    try:
        simulator.run(seconds)
    except KeyboardInterrupt:
        simulator.unplug()
    print(json.dumps(simulator.counts), file=sys.stdout if as_json else sys.stderr)


def number(text: str, unit: str) -> float:
    """Read "5ms" in its base unit: seconds, shares, millionths; a bare number is in `unit`."""
    for suffix in sorted(SUFFIXES, key=len, reverse=True):
        if text.endswith(suffix):
            break
    try:
        value = float(text.removesuffix(suffix)) * SUFFIXES[suffix or unit]
    except ValueError:
        value = -1.0
    if value < 0 or (suffix and (suffix in ("%", "ppm")) != (unit in ("%", "ppm"))):
        raise UsageError(f"{text!r} was given, expected a number with a unit, such as 5{unit}")
    return value


def _values(bundle: Any, recording: str, channels: tuple[str, ...]) -> tuple[Any, float]:
    """What the board measures (T, I) and the scale of its int16 samples."""
    if recording:
        from ..endpoints.sources import open_source

        x = np.concatenate([chunk.samples for chunk in open_source(recording, channels)])
    else:
        x = bundle.golden["x"]
    if not len(x) or not np.isfinite(x).all():
        raise DataError("a recording without samples, or with NaN in it, was given: the board cannot measure that")
    return x, float(np.float32(max(float(np.abs(x).max()), 1e-6) / LARGEST))


def _board(model: Any, role: str, values: Any, scale: float) -> tuple[Any, list[tuple[int, ...]]]:
    """How to make a freshly booted board, and its samples as int16."""
    board = outside("simulated boards")
    messages = outside("messages of the wire")
    manifest = model.manifest
    width = len(manifest.channels)
    common = {"rate_mhz": round(manifest.rate_hz * 1000), "channels": width, "max_payload": 240}
    if role == "sensor":
        info = messages.Info(role=1, scale=scale, **common)
        per_frame = max(1, min(int(manifest.rate_hz / 50), 230 // (2 * width)))
        rows = np.clip(np.rint(values / scale), -LARGEST, LARGEST).astype(int)
        return lambda: board.Board(info, slots=16, rows_per_frame=per_frame), [tuple(row) for row in rows.tolist()]
    if role not in ("inference", "node"):
        raise UsageError(f"--role {role} was given, expected sensor, inference or node")
    if manifest.precision != "int8":
        raise UsageError(f"--role {role} needs an int8 bundle, this one is {manifest.precision}: export it as int8")
    boards_model = Stepping(model)
    digest = int.from_bytes(bytes.fromhex(manifest.model_digest)[:4], "little")
    fields = {"inputs": width, "outputs": model.outputs, "state_bytes": len(boards_model.get_state())}
    kinds = {"rnn": 1, "gru": 2, "lstm": 3}
    recurrent = [layer for layer in model.bundle.graph.layers if layer.kind in kinds]
    fields |= {"model_hash": digest, "model_kind": kinds[recurrent[0].kind] if recurrent else 4}
    fields["hidden"] = recurrent[0].units if recurrent else 0
    node = role == "node"
    info = messages.Info(role=3 if node else 2, credits=1 if node else 8, **common, **fields)
    ring = {"slots": 16, "answers": 1} if node else {"slots": 0, "answers": 8}
    rows = [tuple(row) for row in model.quantize(np.ascontiguousarray(values, np.float32)).tolist()]
    return lambda: board.Board(info, model=Stepping(model), **ring), rows


class Stepping:
    """A model with one state, as a board holds it."""

    def __init__(self, model: Any) -> None:
        from ..engine import State

        self._model = model
        self._state = State(model.manifest.states)
        self._y = np.zeros((1, model.outputs), np.int32)

    def step(self, x: tuple[int, ...]) -> tuple[int, ...]:
        """One exact step."""
        self._model.engine.step_int(np.array([x], np.int16), self._state, self._y)
        return tuple(self._y[0].tolist())

    def zero(self) -> None:
        """The initial state."""
        self._state.zero()

    def get_state(self) -> bytes:
        """In the manifest's order, little-endian."""
        return self._state.to_bytes()

    def set_state(self, state: bytes) -> None:
        """Go on from it."""
        self._state.from_bytes(state)
