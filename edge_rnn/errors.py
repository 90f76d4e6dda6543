"""What can go wrong, told by whose fault it is.

    EdgeRnnError
    ├── UsageError         your call: a wrong shape, an unknown option, a missing extra     exit 2
    │   └── MissingExtra   a package is not installed; the message holds the pip line
    ├── DataError          your recordings: ragged rows, NaN, unknown labels                exit 2
    ├── BundleError        the bundle: truncated, hostile, of another format                exit 1
    │   └── SnapshotError  a saved state that belongs to another model
    ├── SourceError        the peer: a source that is lost or sends nonsense                exit 3
    ├── SinkError          the peer: a sink that takes no more lines                        exit 3
    │   └── LinkError      a board that speaks another protocol or refuses what it is asked
    └── ParityError        the machine: an engine that does not give the bundle's numbers   exit 4

Each message is one sentence: what was expected, what came, what to do.
"""

from __future__ import annotations


class EdgeRnnError(Exception):
    """Root of every error this package raises on purpose; `exit_code` is what the command line returns."""

    exit_code = 1


class UsageError(EdgeRnnError, ValueError):
    """The caller asked for something that cannot be."""

    exit_code = 2


class MissingExtra(UsageError):
    """An optional dependency is not installed."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs {package}, which is not installed: pip install 'edge-rnn[{extra}]'")


class DataError(EdgeRnnError, ValueError):
    """Recordings that cannot be trained on or read."""

    exit_code = 2


class BundleError(EdgeRnnError):
    """A file that is not a bundle we can trust."""


class SnapshotError(BundleError):
    """A saved state that does not belong to this model."""


class SourceError(EdgeRnnError):
    """A source ended, vanished or sent something that is not samples."""

    exit_code = 3


class LinkError(SourceError):
    """A board on the wire that does not speak our protocol, runs another model or refuses a request."""


class SinkError(EdgeRnnError):
    """A sink is gone, full or does not answer."""

    exit_code = 3


class ParityError(EdgeRnnError):
    """An engine gave other numbers than the bundle promises."""

    exit_code = 4
