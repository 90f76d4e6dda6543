"""One daemon a store: a lock that goes with the process. Two would each undo the other."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import BinaryIO

from ..errors import EdgeRnnError, UsageError


def only_one(folder: Path) -> BinaryIO:
    """The lock, held until the file is closed; raises UsageError when another process has it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / "lock").open("wb")
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise UsageError(f"another daemon runs on {folder}: stop it, or choose another state_dir") from error
    except OSError as error:
        raise EdgeRnnError(f"cannot use the state_dir {folder}: {error.strerror}") from error
    return file
