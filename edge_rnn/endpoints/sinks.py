"""Where lines go, by URL: `-`, the standard output, or a file that is appended to."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol, TextIO
from urllib.parse import unquote, urlsplit

from ..errors import UsageError


class Sink(Protocol):
    """Takes lines; what `write` has taken is out when it returns."""

    def write(self, lines: Iterable[str]) -> None:
        """Write whole lines."""
        ...

    def close(self) -> None:
        """No more lines."""
        ...


def open_sink(url: str) -> Sink:
    """Open a sink by URL; raises UsageError for one that cannot be opened."""
    parts = urlsplit(url)
    if url == "-":
        return TextSink(sys.stdout)
    if parts.scheme not in ("", "file"):
        raise UsageError(f"sink {url!r} is of kind {parts.scheme}://, expected a file or - for standard output")
    path = Path(unquote(parts.path) if parts.scheme == "file" else url)
    try:
        return TextSink(path.open("a", encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot write to {path}: {error.strerror}") from error


class TextSink:
    """Lines to a text file."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, lines: Iterable[str]) -> None:
        """Write and flush, so that a reader of the pipe sees an event when it happens."""
        text = "".join(f"{line}\n" for line in lines)
        if text:
            self._file.write(text)
            self._file.flush()

    def close(self) -> None:
        """Close a file; the standard output stays open."""
        if self._file is not sys.stdout:
            self._file.close()
