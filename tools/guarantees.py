"""`make guarantees`: every promise of docs/guarantees.md in full size, with its control; rewrites the rows there.

    python tools/guarantees.py [R1 R2 ...]

Promises live in `tools/promises_*.py`, each a table PROMISES of id -> function. Exit 1 when one does not hold or its
control does not fail.
"""

from __future__ import annotations

import datetime
import importlib
import re
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "guarantees.md"


def main(wanted: list[str]) -> int:
    """Run them, one after the other."""
    sys.path.insert(0, str(HERE))
    promises = {}
    for path in sorted(HERE.glob("promises_*.py")):
        promises |= importlib.import_module(path.stem).PROMISES
    unknown = [name for name in wanted if name not in promises]
    if unknown:
        print(f"unknown: {', '.join(unknown)}, expected some of {', '.join(promises)}", file=sys.stderr)
        return 2
    broken = 0
    for name in wanted or promises:
        began = time.monotonic()
        with TemporaryDirectory() as folder:
            count, figures, control, held = promises[name](Path(folder))
        seconds = time.monotonic() - began
        broken += not held
        today = datetime.datetime.now(datetime.UTC).date()
        cells = [count, figures, control, f"{'held' if held else '**BROKEN**'}, {today}, {seconds:.0f} s"]
        print(name, *cells, sep=" | ", flush=True)
        write_row(name, cells)
    return 1 if broken else 0


def write_row(name: str, cells: list[str]) -> None:
    """Replace the last four cells of a promise's row; the words of the promise stay."""
    text = PAGE.read_text(encoding="utf-8")
    row = re.compile(rf"^(\| {name} \|[^|\n]*\|).*$", re.MULTILINE)
    if not row.search(text):
        raise SystemExit(f"{PAGE.name} has no row for {name}: write what is promised first")
    new = row.sub(lambda found: " ".join([found.group(1), *(f"{cell} |" for cell in cells)]), text)
    PAGE.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
