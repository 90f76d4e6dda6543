"""The boards that firmware is built for: the table and the sources of `firmware_bridge/device/boards`."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

GENERIC = "generic"
"""Not a board: C99 for any project. Checked on this machine."""


@dataclass(frozen=True, slots=True)
class Board:
    """One row of boards.toml."""

    name: str
    text: str
    machine: str
    """qemu-system-arm -M."""
    cpu: tuple[str, ...]
    """Compiler flags of the core."""
    uart: str
    uart_base: int
    flash: str
    """What writes flash, for a store."""
    tick_hz: int
    """SysTick; with qemu's `-icount shift=0` an instruction takes a nanosecond."""
    linker: str

    def sources(self, *, store: bool = False) -> dict[str, str]:
        """File name -> text of the board support this board needs."""
        names = ["board.h", "cortex_m.c", "clock.c", "semihosting.h", "semihosting.c", "sections.ld"]
        names += [self.uart, self.linker]
        names += [self.flash] if store else []
        return {name: _text(name) for name in names}


@cache
def boards() -> dict[str, Board]:
    """Name -> board, in the table's order."""
    table = tomllib.loads(_text("boards.toml"))
    return {name: Board(name=name, **{**row, "cpu": tuple(row["cpu"])}) for name, row in table.items()}


def _text(name: str) -> str:
    return (files("edge_rnn.firmware_bridge") / "device" / "boards" / name).read_text(encoding="utf-8")
