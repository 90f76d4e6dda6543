"""FW: trained networks on emulated boards, every logit of every step and the last state: `make firmware`.

The steps: FIRMWARE_STEPS, default 100,000. A promise is a function that gives (count, figures, control, ok).
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def fw_bits(folder: Path) -> tuple[str, str, str, bool]:
    """A trained GRU, LSTM and RNN on seven machines; the control is a kernel with one wrong knot."""
    steps = os.environ.get("FIRMWARE_STEPS", "100000")
    environment = {**os.environ, "FIRMWARE_STEPS": steps}
    outcomes = {}
    for what, names in {"bits": "trained_model", "control": "wrong_bit"}.items():
        command = [sys.executable, "-m", "pytest", "tests/test_firmware_boards.py", "-q", "-m", "slow", "-k", names]
        done = subprocess.run(
            [*command, f"--basetemp={folder / what}"], cwd=ROOT, env=environment, capture_output=True, text=True
        )
        passed = re.search(r"(\d+) passed", done.stdout)
        whole = done.returncode == 0 and passed is not None and " skipped" not in done.stdout
        outcomes[what] = int(passed[1]) if whole and passed else 0
    held = outcomes["bits"] == 21 and outcomes["control"] > 0
    machines = "M0, M3, M4F, M7, M55 under qemu, x86, aarch64"
    return (
        f"{outcomes['bits']} of 21 networks x machines ({machines}), {int(steps):,} steps",
        "every logit and the last state are NumPy's" if outcomes["bits"] == 21 else "a difference, or a missing tool",
        "one wrong knot of the tanh table is found" if outcomes["control"] else "a wrong knot is NOT found",
        held,
    )


PROMISES = {"FW": fw_bits}
