"""R4 for the store: it writes to a volatile disk whose power is cut again and again; started by power_rig.run.

power_store.py FOLDER SYNCHRONOUS honest|lying CUTS SEED prints what was found, as JSON; what was wrong goes to stderr.
"""

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

from power_cut import what_is_wrong
from power_rig import HERE, Disk, call, make_file_system, mounted
from waiting import until

LIFE = 20
"""So many cuts of one boot: what the last one left is the disk of the next."""


class Rig:
    """One store on one disk, and what was found."""

    def __init__(self, folder: Path, synchronous: str, kind: str, seed: int) -> None:
        call("mount", "-t", "tmpfs", "-o", "size=512m", "tmpfs", folder)
        self.folder, self.synchronous, self.kind, self.rng = folder, synchronous, kind, random.Random(seed)
        self.image, self.acknowledged, self.live, self.dead = (
            folder / name for name in ("image", "acknowledged", "live", "dead")
        )
        self.live.mkdir()
        self.dead.mkdir()
        self.wrong: dict[str, int] = {}
        self.cuts = self.torn = self.flushes = self.commits = 0
        self.begin_anew()

    def begin_anew(self) -> None:
        self.cursor = 0
        make_file_system(self.image)

    def boot(self, cuts: int) -> None:
        """Go on from the image under so many cuts, of which the first may come while the journal is replayed."""
        self.acknowledged.write_bytes(b"")
        disk, begin = Disk(self.image, self.folder / f"disk{self.cuts}", self.kind), self.cursor
        survivor = self._order(disk)
        with mounted(disk.file, self.live):
            command = [sys.executable, HERE / "daemon_writer.py", self.live / "state", self.synchronous]
            writer = subprocess.Popen([*command, str(1 << 30), self.acknowledged])
            try:
                for left in reversed(range(cuts)):
                    told = disk.await_cut()
                    if not left:
                        shutil.copyfile(survivor, self.image)
                    whole = self._look(survivor, begin + told["before"], begin + told["after"] + 1)
                    self.cuts, self.torn = self.cuts + 1, self.torn + (told["torn"] > 0)
                    self._await_commits(writer, told["after"])
                    if left:
                        survivor = self._order(disk)
            finally:
                writer.kill()
                writer.wait()
        disk.close()
        self.flushes, self.commits = self.flushes + told["flushes"], self.commits + told["after"]
        if not whole:
            self.begin_anew()

    def _await_commits(self, writer: subprocess.Popen, size: int) -> None:
        """No two cuts see the same, however slow this machine is."""
        assert until(lambda: writer.poll() is not None or self.acknowledged.stat().st_size > size, 120), "it goes on"
        assert writer.poll() is None, "the writer writes until it is killed"

    def _order(self, disk: Disk) -> Path:
        survivor = self.folder / f"survivor{self.cuts}"  # a name of its own: loop devices of one file are one
        disk.order_cut(self.rng, survivor, self.acknowledged, operations=300, seconds=0.2)
        return survivor

    def _look(self, survivor: Path, acknowledged: int, begun: int) -> bool:
        """Mount what the cut left, which replays the journal; look into the store and at the file system."""
        try:
            with mounted(survivor, self.dead):
                self.cursor, wrong = what_is_wrong(self.dead / "state", acknowledged, begun)
            call("e2fsck", "-fn", survivor)
        except OSError as error:
            wrong = f"not a whole file system: {error}"
        survivor.unlink()
        if wrong:
            print(f"cut {self.cuts}, {acknowledged} acknowledged, cursor {self.cursor}: {wrong}", file=sys.stderr)
            kind = wrong.split(":")[0]
            self.wrong[kind] = self.wrong.get(kind, 0) + 1
        return not wrong


def main(folder: str, synchronous: str, kind: str, cuts: str, seed: str) -> None:
    rig = Rig(Path(folder), synchronous, kind, int(seed))
    while rig.cuts < int(cuts):
        rig.boot(min(LIFE, int(cuts) - rig.cuts))
    print(json.dumps({name: getattr(rig, name) for name in ("cuts", "torn", "flushes", "commits", "wrong")}))


if __name__ == "__main__":
    main(*sys.argv[1:])
