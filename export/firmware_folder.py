"""A project's folder, which its owner changes: a build writes what is its own and never what somebody has edited.

Beside the files lies `edge-rnn.sha256`: what they were when they were written, in the form of `sha256sum -c`. So a file
that is as it was made can be told from one that was edited, whatever bundle made it.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from edge_rnn.errors import UsageError

RECORD = "edge-rnn.sha256"
NAMED = 5
"""Files that a message names at most."""


def edited(texts: Mapping[str, str], folder: Path) -> list[str]:
    """Files that were changed since a build wrote them; `write_project` is to leave them out.

    Raises UsageError for files that differ and that no build has written, and when the folder cannot be read.
    """
    try:
        record = _record(folder)
        found = {path: (folder / path).read_bytes() for path in sorted(texts) if (folder / path).exists()}
    except OSError as error:
        raise UsageError(f"cannot read the project in {folder}: {error.strerror or error}") from error
    changed = [path for path, data in found.items() if data != texts[path].encode()]
    foreign = [path for path in changed if path not in record]
    if foreign:
        raise UsageError(
            f"{folder} has files of a project that edge-rnn did not write there ({named(foreign)}): take another "
            "folder, or --force to overwrite them"
        )
    return [path for path in changed if sha256(found[path]).hexdigest() != record[path]]


def write_project(texts: Mapping[str, str], folder: Path) -> None:
    """Write the files and the record; others in the folder stay. Raises UsageError when it cannot be written."""
    try:
        made = {path: sha256(text.encode()).hexdigest() for path, text in texts.items()}
        record = _record(folder) | made if folder.is_dir() else made
        lines = "".join(f"{digest}  {path}\n" for path, digest in sorted(record.items()))
        for path, text in {**texts, RECORD: lines}.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise UsageError(f"cannot write the project into {folder}: {error.strerror or error}") from error


def named(paths: list[str]) -> str:
    """The first of them, for a message."""
    more = len(paths) - NAMED
    return ", ".join(paths[:NAMED]) + (f" and {more} more" if more > 0 else "")


def _record(folder: Path) -> dict[str, str]:
    """Path -> SHA-256 as it was written."""
    path = folder / RECORD
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
