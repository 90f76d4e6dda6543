"""A bundle as a firmware project: the model in C, a copy of the kernel, and what the board or the framework needs.

`project` is pure: a bundle and a board give file names and texts, always the same bytes. It compiles nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files

import numpy as np

from edge_rnn.arrays import Array
from edge_rnn.bundle import Bundle
from edge_rnn.errors import UsageError

from . import firmware_roles as roles
from .boards import GENERIC, Board, boards
from .c_arrays import pad
from .c_header import comment, shape_text
from .c_image import image
from .to_c import Origin, to_c

PAGE = 1024
"""BOARD_FLASH_PAGE of board.h."""
HOST_ONLY = ("binding", "csv", "frames")
"""What the names of files hold that lie beside the kernel for the host's extension alone."""


def project(
    bundle: Bundle,
    board: str,
    prefix: str = "model",
    name: str = "M.ernn",
    role: str | None = None,
    plays: Array | None = None,
    *,
    store: bool = False,
) -> dict[str, str]:
    """Path -> text of a project for `board`; `name` is the bundle's file name. Raises UsageError.

    `role`: csv, inference, node or sensor; None chooses (firmware_roles). `plays`: samples (T, I) in physical units for
    the stand-in of the roles with a sensor; default: the bundle's golden stream. `store`: the model can be
    replaced over the wire.
    """
    if board != GENERIC and board not in boards():
        raise UsageError(f"board {board!r} is unknown, expected {', '.join([*boards(), GENERIC])}")
    role = roles.choose(bundle, board, role)
    if store and (board == GENERIC or role not in ("inference", "node")):
        raise UsageError("a store is for a board's role inference or node: flash is written by its board support")
    m = bundle.manifest
    origin = Origin(
        title=m.title,
        channels=tuple(f"{c.name} [{c.unit}]" if c.unit else c.name for c in m.channels),
        labels=m.labels,
        rate_hz=m.rate_hz,
        bundle_digest=bundle.digest,
        model_digest=m.model_digest,
        command=f"edge-rnn firmware build {name} --board {board} --role {role}{' --store' if store else ''}",
    )
    model = {
        **to_c(bundle.graph, origin, prefix, replaceable=store),
        **{f"kernel/{path}": text for path, text in kernel().items()},
    }
    words = _words(bundle, board, prefix, name)
    if board == GENERIC:
        return _generic(bundle, model, words, role)
    return _for_board(bundle, model, words, boards()[board], role, plays, store=store)


def kernel() -> dict[str, str]:
    """File name -> text of the portable kernel."""
    folder = files("edge_rnn") / "kernel"
    names = sorted(f.name for f in folder.iterdir() if f.name.endswith((".c", ".h")))
    ours = [name for name in names if not any(word in name for word in HOST_ONLY)]
    return {name: (folder / name).read_text(encoding="utf-8") for name in ours}


def template(path: str, words: Mapping[str, str]) -> str:
    """A file of `templates/` with each @WORD@ replaced."""
    text = (files("edge_rnn.export") / "templates" / path).read_text(encoding="utf-8")
    for word, value in words.items():
        text = text.replace(f"@{word}@", value)
    return text


def _for_board(
    bundle: Bundle,
    model: Mapping[str, str],
    words: Mapping[str, str],
    board: Board,
    role: str,
    plays: Array | None,
    *,
    store: bool,
) -> dict[str, str]:
    texts, scale, source = {}, 1.0, "the bundle's golden stream" if plays is None else "a recording"
    if role in ("sensor", "node"):
        texts["sensor.c"], scale = roles.sensor(bundle.golden["x"] if plays is None else plays, source)
    words = {"PLAYS": source, **roles.words(bundle, role, scale, store=store), **_board_words(board), **words}
    words = {**_role_words(role, words), **words}
    if store:
        size = 2 * pad(len(image(bundle.graph)) + 4, PAGE)  # two places, each a model and a CRC
        words |= {
            "MORE": words["MORE"] + f" store.c board/{board.flash}",
            "STORE": f" -Wl,--defsym=link_store_size={size}",
        }
        words["BUILT_IN"] = f"&{words['PREFIX']}_built_in, "
        texts |= {name: template(f"board/{name}", words) for name in ("store.c", "store.h")}
    if role != roles.CSV:
        texts |= {f"wire/{path}": text for path, text in roles.wire(bundle, role, store=store).items()}
    if "sensor.c" in texts:
        texts["sensor.h"] = template("board/sensor.h", words)
    main = {roles.CSV: "main_csv.c", "sensor": "main_sensor.c"}.get(role, "main_model.c")
    places = {"Makefile": "Makefile", "README.md": f"README_{role}.md", "main.c": main}
    texts |= {path: template(f"board/{source}", words) for path, source in places.items()}
    if role != "sensor":  # whose model runs on the host
        texts |= {**model, "size.c": template("board/size.c", words)}
        texts["Makefile"] += template("board/Makefile_size", words)
    return {**texts, **{f"board/{path}": text for path, text in board.sources(store=store).items()}}


def _board_words(board: Board) -> dict[str, str]:
    return {
        "TEXT": board.text,
        "CPU": " ".join(board.cpu),
        "UART": board.uart,
        "UART_BASE": f"{board.uart_base:#x}",
        "TICK_HZ": str(board.tick_hz),
        "LINKER": board.linker,
        "MACHINE": board.machine,
    }


def _role_words(role: str, words: Mapping[str, str]) -> dict[str, str]:
    """Makefile and README of a role."""
    wire = role != roles.CSV
    p = words["PREFIX"]
    return {
        "INCLUDES": " -Iwire" if wire else "",
        "MODEL": "" if role == "sensor" else f"{p}.c $(wildcard kernel/*.c)",
        "MORE": (" sensor.c" if role in ("sensor", "node") else "") + (" $(wildcard wire/*.c)" if wire else ""),
        "RUN": "its serial line on TCP port $(PORT)" if wire else "its serial line on this terminal",
        "SERIAL": "tcp:127.0.0.1:$(PORT),server=on,wait=on,nodelay=on" if wire else "stdio",
        "STORE": "",
        "BUILT_IN": "",
        "SAMPLING": template("board/sampling_node.c", words) if role == "node" else "",
    }


def _generic(bundle: Bundle, model: Mapping[str, str], words: Mapping[str, str], role: str) -> dict[str, str]:
    if role in ("sensor", "node"):
        raise UsageError(
            f"role {role} is for a board: generic has --role inference, whose sketch shows the wire, and csv"
        )
    wire = roles.wire(bundle, role) if role != roles.CSV else {}
    words = {**roles.words(bundle, role, 1.0), **words}
    places = {
        "README.md": "README.md",
        "library.properties": "library.properties",
        f"examples/{words['PREFIX']}/{words['PREFIX']}.ino": f"example_{role}.ino",
        "zephyr/module.yml": "module.yml",
        "zephyr/Kconfig": "Kconfig",
        "zephyr/CMakeLists.txt": "CMakeLists.txt",
    }
    texts = {path: template(f"generic/{source}", words) for path, source in places.items()}
    return {**{f"src/{path}": text for path, text in {**model, **wire}.items()}, **texts}


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
