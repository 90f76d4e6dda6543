"""What rigs need that cut a disk's power: namespaces of their own, and ext4 over a loop device over volatile_disk.py.

A rig mounts, so `run` starts it in process and mount namespaces of its own, which the kernel takes down with everything
in them when the rig ends, is killed, or the process that started it dies: nothing is left over for another run to trip
over. The first process there is only `unshare`, so that a kill reaches all others at once, a server that hangs too.
"""

import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
from ctypes.util import find_library
from pathlib import Path

HERE = Path(__file__).parent
TOOLS = ("setpriv", "unshare", "mount", "umount", "mkfs.ext4", "e2fsck")
GUARD = (
    *("setpriv", "--pdeathsig", "KILL", "unshare", "--pid", "--fork", "--kill-child"),
    *("unshare", "--mount", "--fork", "--mount-proc"),
)
DISK_BYTES = 16 << 20


def what_is_missing() -> str | None:
    """Why this machine cannot run a rig."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        return "root on Linux"
    for device in ("/dev/fuse", "/dev/loop-control"):
        try:
            os.close(os.open(device, os.O_RDWR))
        except OSError as error:
            return f"{device} ({error.strerror})"
    for tool in TOOLS:
        if shutil.which(tool) is None:
            return tool
    if find_library("fuse3") is None:
        return "libfuse3"
    if subprocess.run([*GUARD, "true"], capture_output=True).returncode:
        return "the right to make namespaces"
    return None


def run(script: str, folder: Path, *arguments: object, timeout_s: float) -> dict:
    """Run a rig in its own namespaces, and what it found; it is killed when it takes too long or this process dies."""
    command = [*GUARD, sys.executable, HERE / script, folder, *map(str, arguments)]
    with (folder / "found").open("w+") as found, (folder / "errors").open("w+") as errors:
        process = subprocess.Popen(command, stdout=found, stderr=errors, stdin=subprocess.DEVNULL)
        try:
            code = process.wait(timeout_s)
        finally:
            process.kill()  # and not waited for: whatever the kernel does with the rest, this process goes on
    told = (folder / "errors").read_text()[-3000:]
    assert code == 0, f"the rig failed ({code}): {told}"
    return {**json.loads((folder / "found").read_text()), "told": told}


def call(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise OSError(f"{' '.join(map(str, command))}: {done.returncode}: {done.stdout}{done.stderr}")


@contextlib.contextmanager
def mounted(image: Path, at: Path):
    """An ext4 image through a loop device, which goes with the mount; OSError when it is no file system any more."""
    call("mount", "-o", "loop", image, at)
    try:
        yield
    finally:
        call("umount", at)


def make_file_system(image: Path) -> None:
    with image.open("wb") as file:
        file.truncate(DISK_BYTES)
    call("mkfs.ext4", "-q", "-b", "4096", "-E", "lazy_itable_init=0,lazy_journal_init=0", image)


class Disk:
    """A volatile disk that begins as an image; `file` is the disk. `kind` is honest, or lying about its flushes."""

    def __init__(self, image: Path, file: Path, kind: str = "honest") -> None:
        self.file = file
        file.touch()
        command = [sys.executable, HERE / "volatile_disk.py", image, file, kind]
        self._server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._server.stdout.readline() == "ready\n"

    def order_cut(
        self, rng: random.Random, survivor: Path, acknowledged: Path, operations: int, seconds: float
    ) -> None:
        """Cut soon, and leave `survivor`. How large the file `acknowledged` is then is part of the answer.

        Half of the cuts hit the disk at work, within so many writes and flushes (or a second), the others come when
        they come, within so many seconds.
        """
        at_work = rng.random() < 0.5
        order = {
            "operations": rng.randint(1, operations) if at_work else 1 << 30,
            "within_s": 1.0 if at_work else rng.uniform(0, seconds),
            "seed": rng.getrandbits(32),
            "survivor": str(survivor),
            "acknowledged": str(acknowledged),
        }
        self._server.stdin.write(json.dumps(order) + "\n")
        self._server.stdin.flush()

    def await_cut(self) -> dict:
        """What the cut that was ordered met: `before` and `after` (sizes of `acknowledged`), `torn`, `flushes`."""
        return json.loads(self._server.stdout.readline())

    def close(self) -> None:
        """Nothing on this disk is of use any more, whoever in the kernel still holds it for a moment."""
        self._server.kill()
        self._server.wait()
        call("umount", "--lazy", self.file)
