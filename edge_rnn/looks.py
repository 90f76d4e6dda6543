"""What a file seems to be, from its first bytes: for messages about a wrong file, and for a choice between two.

It must never decide that a file is sound: a reader proves its own format.
"""

from __future__ import annotations

import os

BUNDLE = "a bundle (.ernn)"
RECORDING = "a recording (.ernrec)"
ARRAYS = "arrays (.npz)"
ONE_ARRAY = "one array (.npy)"
TORCH = "a PyTorch file (.pt)"
ZIP = "a zip"
TEXT, EMPTY, UNKNOWN = "text", "empty", "of an unknown kind"

_LOCAL_FILE = b"PK\x03\x04"
_NAME_AT = 30
"""Where a zip's first member has its name; the name's length stands 4 bytes before."""
_TEXT_BYTES = 512


def looks_like(head: bytes) -> str:
    """Words for a file that begins with `head` (at least 512 bytes of it, where it has them)."""
    if not head:
        return EMPTY
    if head.startswith(_LOCAL_FILE):
        return _zip(head)
    if head.startswith(b"ERNB"):
        return RECORDING
    if head.startswith(b"\x93NUMPY"):
        return ONE_ARRAY
    # Text may be cut inside a character; a control character is in none.
    text = head[:_TEXT_BYTES].decode("utf-8", "ignore")
    written = len(text.encode()) >= min(len(head), _TEXT_BYTES) - 3
    return TEXT if written and all(c.isprintable() or c.isspace() for c in text) else UNKNOWN


def kind_of(path: str | os.PathLike[str]) -> str:
    """`looks_like` of a file; raises OSError."""
    with open(path, "rb") as file:
        return looks_like(file.read(_TEXT_BYTES))


def _zip(head: bytes) -> str:
    length = int.from_bytes(head[26:28], "little")
    first = head[_NAME_AT : _NAME_AT + length]
    if first == b"manifest.json":
        return BUNDLE
    if first.endswith(b".npy"):
        return ARRAYS
    return TORCH if first.endswith(b"/data.pkl") else ZIP
