"""What a power cut leaves of writes that were not flushed, and what must be true of the store it leaves.

Shared by both power-cut rigs: recorded system calls (test_daemon_power.py) and a disk (volatile_disk.py).
"""

import json
import random
import sqlite3
from pathlib import Path

from edge_rnn.daemon.store import Store

SECTOR = 512


def write(file: bytearray, offset: int, data: bytes) -> None:
    """Write into a file, which grows where it must."""
    if len(file) < offset + len(data):
        file.extend(bytes(offset + len(data) - len(file)))
    file[offset : offset + len(data)] = data


def truncate(file: bytearray, size: int) -> None:
    del file[size:]
    file.extend(bytes(size - len(file)))


def tear(rng: random.Random, file: bytearray, waiting: list[tuple[int, bytes | None]]) -> None:
    """Any part of what waits gets into the file, by sectors and in any order; (offset, None) cuts the file off."""
    keep = rng.choice([0.0, 0.2, 0.5, 0.8, 1.0])
    waiting = list(waiting)
    if rng.random() < 0.5:
        rng.shuffle(waiting)
    for offset, data in waiting:
        if data is None:
            if rng.random() < keep:
                truncate(file, offset)
            continue
        for start in range(0, len(data), SECTOR):
            if rng.random() < keep:
                write(file, offset + start, data[start : start + SECTOR])


def what_is_wrong(folder: Path, acknowledged: int, begun: int) -> tuple[int, str | None]:
    """Open the store of daemon_writer.py that a cut left: its cursor, and the complaint.

    `acknowledged` commits had returned before the cut, and `begun` had begun.
    """
    try:
        store = Store(folder)
    except Exception as error:  # whatever it is, a device with it does not start
        return 0, f"does not open: {error}"
    try:
        place = store.place("p")
        cursor = place.cursor if place else 0
        return cursor, _complaint(store, place, cursor, acknowledged, begun)
    except sqlite3.Error as error:
        return 0, f"unreadable: {error}"
    finally:
        store.close()


def _complaint(store, place, cursor, acknowledged, begun):
    if list(store.folder.glob("*damaged*")):
        return "damaged"
    if store._db.execute("PRAGMA integrity_check").fetchone() != ("ok",):
        return "not whole"
    if cursor < acknowledged:
        return "acknowledged commits lost"
    if cursor > begun:
        return "commits that nobody made"
    if place and place.state != cursor.to_bytes(4, "little") * 150:
        return "a state that is not the cursor's"
    told = [json.loads(one.line)["i"] for one in store.waiting("a", 0, 1 << 20)] if cursor else []
    if told != list(range(store.acked("a") + 1, cursor + 1)):
        return "events that are not the cursor's"
    return None
