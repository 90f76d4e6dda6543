"""What a line carries: frames of ours, lines of text with numbers, or something else. Bytes in, a word out."""

from __future__ import annotations

import json
from typing import Literal

Format = Literal["unknown", "lines"]
HELD = 4096
_TEXT = frozenset(b"\t\r\n") | frozenset(range(32, 127))


class Sniffer:
    """Looks at what the frame decoder did not take. `held` are the bytes so far, for whoever then decodes the lines."""

    def __init__(self) -> None:
        self.held = b""
        self.seen = 0

    @property
    def text(self) -> bool:
        """Whether all of it could be text."""
        return bool(self.held) and _TEXT.issuperset(self.held)

    def feed(self, data: bytes) -> Format:
        """Say "lines" as soon as one whole line of numbers was seen and nothing that is not text."""
        self.seen += len(data)
        self.held = (self.held + data)[-HELD:]
        *whole, _ = self.held.split(b"\n")
        return "lines" if self.text and any(is_row(line) for line in whole) else "unknown"


def is_row(line: bytes) -> bool:
    """Whether a line is numbers between commas, or a JSON object with `v`."""
    text = line.decode("ascii", "replace").strip()
    if text.startswith("{"):
        try:
            return isinstance(json.loads(text).get("v"), list)
        except (ValueError, RecursionError):
            return False
    try:
        return bool([float(cell or "nan") for cell in text.split(",")]) if text else False
    except ValueError:
        return False
