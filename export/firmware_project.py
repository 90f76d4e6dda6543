"""A bundle as a firmware project: the model in C, a copy of the kernel, and what the board or the framework needs.

`project` is pure: a bundle and a board give file names and texts, always the same bytes. It compiles nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

import numpy as np

from edge_rnn.bundle import Bundle
from edge_rnn.errors import UsageError

from .boards import GENERIC, Board, boards
from .c_header import comment, shape_text
from .to_c import Origin, to_c

HOST_ONLY = {"binding.c"}
"""Files beside the kernel that are not part of it."""


def project(bundle: Bundle, board: str, prefix: str = "model", name: str = "M.ernn") -> dict[str, str]:
    """Path -> text of a project for `board`; `name` is the bundle's file name. Raises UsageError."""
    if board != GENERIC and board not in boards():
        raise UsageError(f"board {board!r} is unknown, expected {', '.join([*boards(), GENERIC])}")
    m = bundle.manifest
    origin = Origin(
        title=m.title,
        channels=tuple(f"{c.name} [{c.unit}]" if c.unit else c.name for c in m.channels),
        labels=m.labels,
        rate_hz=m.rate_hz,
        bundle_digest=bundle.digest,
        model_digest=m.model_digest,
        command=f"edge-rnn firmware build {name} --board {board}",
    )
    model = {**to_c(bundle.graph, origin, prefix), **{f"kernel/{path}": text for path, text in kernel().items()}}
    words = _words(bundle, board, prefix, name)
    if board == GENERIC:
        return _generic(model, words)
    return _for_board(model, words, boards()[board])


def write_project(texts: Mapping[str, str], folder: Path) -> None:
    """Write the files; others in the folder stay. Raises UsageError when it cannot be written."""
    try:
        for path, text in texts.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise UsageError(f"cannot write the project into {folder}: {error.strerror or error}") from error


def kernel() -> dict[str, str]:
    """File name -> text of the portable kernel."""
    folder = files("edge_rnn") / "kernel"
    names = sorted(f.name for f in folder.iterdir() if f.name.endswith((".c", ".h")) and f.name not in HOST_ONLY)
    return {name: (folder / name).read_text(encoding="utf-8") for name in names}


def template(path: str, words: Mapping[str, str]) -> str:
    """A file of `templates/` with each @WORD@ replaced."""
    text = (files("edge_rnn.export") / "templates" / path).read_text(encoding="utf-8")
    for word, value in words.items():
        text = text.replace(f"@{word}@", value)
    return text


def _for_board(model: Mapping[str, str], words: Mapping[str, str], board: Board) -> dict[str, str]:
    more = {
        "TEXT": board.text,
        "CPU": " ".join(board.cpu),
        "UART": board.uart,
        "UART_BASE": f"{board.uart_base:#x}",
        "TICK_HZ": str(board.tick_hz),
        "LINKER": board.linker,
        "MACHINE": board.machine,
    }
    texts = {
        path: template(f"board/{path}", {**words, **more}) for path in ("Makefile", "README.md", "main.c", "size.c")
    }
    return {**model, **texts, **{f"board/{path}": text for path, text in board.sources().items()}}


def _generic(model: Mapping[str, str], words: Mapping[str, str]) -> dict[str, str]:
    places = {
        "README.md": "README.md",
        "library.properties": "library.properties",
        f"examples/{words['PREFIX']}/{words['PREFIX']}.ino": "example.ino",
        "zephyr/module.yml": "module.yml",
        "zephyr/Kconfig": "Kconfig",
        "zephyr/CMakeLists.txt": "CMakeLists.txt",
    }
    texts = {path: template(f"generic/{source}", words) for path, source in places.items()}
    return {**{f"src/{path}": text for path, text in model.items()}, **texts}


def _words(bundle: Bundle, board: str, prefix: str, name: str) -> dict[str, str]:
    exact, graph, P = bundle.graph.precision == "int8", bundle.graph, prefix.upper()
    first = np.asarray(bundle.golden["x"][0], np.float64)
    variables = [f"int16_t xq[{P}_INPUTS];", f"int32_t y[{P}_OUTPUTS];"] if exact else [f"float y[{P}_OUTPUTS];"]
    return {
        "PREFIX": prefix,
        "P": P,
        "TITLE": comment(bundle.manifest.title).translate(
            {ord('"'): "'", ord("\\"): "/"}
        ),  # also inside Kconfig's quotes
        "SHAPE": shape_text(graph),
        "PRECISION": graph.precision,
        "BOARD": board,
        "FILE": name,
        "INPUTS": str(graph.inputs),
        "INPUT": "int16_t" if exact else "float",
        "OUTPUT": "int32_t" if exact else "float",
        "X": "xq" if exact else "x",
        "PREPARE": f"{prefix}_quantize(x, xq)" if exact else f"ernn_check_finite(x, {P}_INPUTS)",
        "VARIABLES": "\n".join(f"    {line}" for line in variables),
        "SAMPLE": ",".join(f"{value:.4f}" for value in first),
    }
