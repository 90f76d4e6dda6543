"""What int8 loses, and what a contender takes on a Cortex-M4: flash, RAM and instructions on an emulated board.

What a machine or an architecture cannot give is {"not_measured": why}.
"""

from __future__ import annotations

from typing import Any

from edge_rnn.bundle import Bundle
from edge_rnn.errors import EdgeRnnError

from .agreement import compare
from .checkpoint import Checkpoint
from .datasets import Recordings
from .firmware_check import check

BOARD = "mps2-an386"
STEPS = 500


def int8_loss(checkpoint: Checkpoint, int8: Bundle, data: Recordings, window: int, hop: int) -> dict[str, Any]:
    """Accuracy of the float network and of its exact integers on the same recordings, and how often they agree."""
    found = compare(checkpoint.build(), int8.graph, data, window, hop)
    return {
        "windows_float32": found.float_windows,
        "windows_int8": found.int8_windows,
        "loss": found.float_windows - found.int8_windows,
        "agreement": found.agreement,
    }


def firmware(bundle: Bundle, steps: int = STEPS) -> dict[str, Any]:
    """Build, run and prove the bundle on an emulated Cortex-M4."""
    try:
        found = check(bundle, BOARD, steps)
    except EdgeRnnError as error:
        return {"not_measured": str(error)}
    if not found.ok:
        return {"not_measured": f"the board gives other numbers from step {found.first_divergent_step} on"}
    return {
        "precision": bundle.graph.precision,
        "board": BOARD,
        "flash_bytes": found.flash_bytes,
        "ram_bytes": found.ram_bytes,
        "instructions_per_step": found.instructions_per_step,
        "bit_exact": found.bit_exact,
    }
