"""A disk whose write cache is volatile, as one file in user space (FUSE): the server process of power_rig.py.

volatile_disk.py IMAGE FILE honest|lying: FILE, mounted over, reads as the image and can be written; the image is not
touched. A write is durable after the next fsync, which the loop device makes of a flush; a disk that lies says so and
leaves it in the cache. Each line on stdin orders a cut after so many more writes and flushes, or so many seconds; the
answer on stdout comes when it is done. The disk itself runs on: what the cut left is another file.

Once its file is there it leaves the mount namespace for one of its own. The last process that is killed in a namespace
unmounts on its way out what is mounted there, and a server among that waits for its own answer, for ever.
"""

import ctypes
import json
import os
import random
import stat
import sys
import threading
from pathlib import Path

import mfusepy
from power_cut import tear, write

CLONE_NEWNS = 0x20000


class Order:
    """A cut that is ordered: {operations, within_s, seed, survivor, acknowledged}, the last two being paths."""

    def __init__(self, line: str) -> None:
        self.__dict__.update(json.loads(line))
        self.done = threading.Event()


class VolatileDisk(mfusepy.Operations):
    """What is on the medium, what only the cache holds, and what a reader sees."""

    use_ns = True

    def __init__(self, image: bytes, lies: bool) -> None:
        self._durable, self._seen, self._waiting = bytearray(image), bytearray(image), []
        self._guard, self._order, self._flushes, self._lies = threading.Lock(), None, 0, lies

    def init_with_config(self, connection, config):
        if ctypes.CDLL(None).unshare(CLONE_NEWNS):
            os._exit(1)
        threading.Thread(target=self._listen, daemon=True).start()
        print("ready", flush=True)

    def getattr(self, path, fh=None):
        return {"st_mode": stat.S_IFREG | 0o600, "st_nlink": 1, "st_size": len(self._seen)}

    def open(self, path, flags):
        return 0

    def read(self, path, size, offset, fh):
        return bytes(self._seen[offset : offset + size])

    def write(self, path, data, offset, fh):
        with self._guard:
            write(self._seen, offset, data)
            self._waiting.append((offset, data))
            self._count()
        return len(data)

    def fsync(self, path, datasync, fh):
        with self._guard:
            self._count()
            self._flushes += 1
            if not self._lies:
                for offset, data in self._waiting:
                    write(self._durable, offset, data)
                self._waiting = []
        return 0

    def _listen(self) -> None:
        for line in sys.stdin:
            self._obey(Order(line))

    def _obey(self, order: Order) -> None:
        """Cut when the order says so, and tell what the cut met."""
        with self._guard:
            self._order = order
        if not order.done.wait(order.within_s):
            with self._guard:
                if self._order is order:
                    self._cut()
        told = {"before": order.before, "after": order.after, "torn": order.torn, "flushes": self._flushes}
        print(json.dumps(told), flush=True)

    def _count(self) -> None:
        if self._order is not None:
            self._order.operations -= 1
            if self._order.operations <= 0:
                self._cut()

    def _cut(self) -> None:
        """Leave the medium as it is now, with any part of the cache; two looks at what was acknowledged frame it."""
        order, self._order = self._order, None
        order.before = os.path.getsize(order.acknowledged)
        survivor = bytearray(self._durable)
        tear(random.Random(order.seed), survivor, self._waiting)
        order.after = os.path.getsize(order.acknowledged)
        order.torn = len(self._waiting)
        Path(order.survivor).write_bytes(survivor)
        order.done.set()


def main(image: str, file: str, kind: str) -> None:
    disk = VolatileDisk(Path(image).read_bytes(), lies=kind == "lying")
    mfusepy.FUSE(disk, file, foreground=True, nothreads=True)  # one thread: writes have an order


if __name__ == "__main__":
    main(*sys.argv[1:])
