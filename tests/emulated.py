"""Real firmware on emulated boards: the device's end, the kernel and a model under qemu, and a wire that damages."""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import subprocess
import threading
import time
import tty
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from ports import free_port

TOOLS = {
    "arm-none-eabi-gcc": "gcc-arm-none-eabi libnewlib-arm-none-eabi",
    "qemu-system-arm": "qemu-system-arm",
}


def require_tools() -> None:
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"no {', '.join(missing)}: apt-get install {' '.join(TOOLS[tool] for tool in missing)}")


def build(bundle, board: str, folder: Path, role: str = "inference", plays=None, store: bool = False) -> Path:
    """What `edge-rnn firmware build --role` writes, made."""
    from edge_rnn.export.firmware_folder import write_project
    from edge_rnn.export.firmware_project import project

    write_project(project(bundle, board, role=role, plays=plays, store=store), folder)
    return make(folder)


def make(folder: Path, **variables: str) -> Path:
    """Always all of it: variables may have changed."""
    command = ["make", "-B", "-C", str(folder), *(f"{name}={value}" for name, value in variables.items())]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "firmware.elf"


class Emulator:
    """qemu with the UART on a TCP port or a pseudo-terminal, and a monitor to push the reset button."""

    def __init__(self, machine: str, program: Path, line: str = "socket") -> None:
        self.port, self._monitor_port = free_port(), free_port()
        serial = "pty" if line == "pty" else f"tcp:127.0.0.1:{self.port},server=on,wait=on,nodelay=on"
        self._process = subprocess.Popen(
            [
                *("qemu-system-arm", "-M", machine, "-display", "none", "-kernel", str(program), "-serial", serial),
                *("-monitor", "none", "-qmp", f"tcp:127.0.0.1:{self._monitor_port},server=on,wait=off"),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def press_reset(self) -> None:
        self._ask("system_reset")

    def pty(self) -> str:
        """The pseudo-terminal that is the UART."""
        (name,) = [d["filename"] for d in self._ask("query-chardev") if d["filename"].startswith("pty:")]
        return name.removeprefix("pty:")

    def _ask(self, command: str):
        """By QMP, which answers when it is done."""
        with connected(self._monitor_port) as monitor, monitor.makefile("rw") as lines:
            assert "QMP" in json.loads(lines.readline())
            for one in ("qmp_capabilities", command):
                lines.write(json.dumps({"execute": one}) + "\n")
                lines.flush()
                while "return" not in (answer := json.loads(lines.readline())):
                    pass
        return answer["return"]

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


DAMAGE = ("lost", "repeated", "corrupted")


def connected(port: int) -> socket.socket:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with suppress(ConnectionRefusedError):
            return socket.create_connection(("127.0.0.1", port), 60)
        time.sleep(0.05)
    raise AssertionError("the emulator does not listen")


def mangle(frames: bytes, rng: random.Random, share: float, counts: dict[str, int]) -> bytes:
    """Of whole frames, so many are lost, repeated or corrupted, by turns: so a slow machine's few see all of it."""
    out = b""
    for code in frames.split(b"\0")[:-1]:
        frame = code + b"\0"
        if rng.random() < share:
            kind = DAMAGE[sum(counts.values()) % len(DAMAGE)]
            counts[kind] = counts.get(kind, 0) + 1
            at = rng.randrange(len(frame))
            flipped = frame[:at] + bytes([frame[at] ^ (1 << rng.randrange(8))]) + frame[at + 1 :]
            frame = {"lost": b"", "repeated": frame * 2, "corrupted": flipped}[kind]
        out += frame
    return out


class DamagingWire:
    """What lies between the host, who opens `url`, and the emulator's UART: a share of all frames is damaged.

    Each pump has descriptors of its own: a number that another closed may be a file of the next test by now.
    """

    def __init__(self, emulator: Emulator, line: str, share: float, seed: int) -> None:
        self.counts: dict[str, dict[str, int]] = {"down": {}, "up": {}}
        self._share, self._rng, self._emulator = share, random.Random(seed), emulator
        self._fds: list[int] = []
        self._sockets: list[socket.socket] = []
        if line == "pty":
            board = os.open(emulator.pty(), os.O_RDWR | os.O_NOCTTY)
            tty.setraw(board)
            host, slave = os.openpty()
            tty.setraw(slave)
            self.url = f"serial://{os.ttyname(slave)}"
            self._fds += [host, slave, board]
            self._join(host, board)
        else:
            server = socket.create_server(("127.0.0.1", 0))
            self.url = f"socket://127.0.0.1:{server.getsockname()[1]}"
            self._sockets.append(server)
            threading.Thread(target=self._serve, args=(server,), daemon=True).start()

    def _serve(self, server: socket.socket) -> None:
        """One host after the other; the board waits for the first."""
        board = None
        with suppress(OSError):
            while True:
                host, _ = server.accept()
                board = board or connected(self._emulator.port)
                for one in (host, board):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    one.settimeout(None)
                self._sockets += [host, board]
                self._join(host.fileno(), board.fileno())

    def _join(self, host: int, board: int) -> None:
        for source, target, way in ((host, board, "down"), (board, host, "up")):
            own = os.dup(source), os.dup(target)
            threading.Thread(target=self._pump, args=(*own, way), daemon=True).start()

    def _pump(self, source: int, target: int, way: str) -> None:
        rest, rng = b"", random.Random(self._rng.random())
        with suppress(OSError), os.fdopen(source, "rb", 0), os.fdopen(target, "wb", 0):
            while data := os.read(source, 4096):
                whole, zero, rest = (rest + data).rpartition(b"\0")
                out = mangle(whole + zero, rng, self._share, self.counts[way])
                while out:
                    out = out[os.write(target, out) :]

    def close(self) -> None:
        """Hang up: who reads or accepts ends."""
        for one in self._sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        for fd in self._fds:
            os.close(fd)


@contextmanager
def emulated(machine: str, program: Path, share: float = 0.05, seed: int = 1, line: str = "socket"):
    """(emulator, wire). On a socket the board is held until the host opens the wire's url; on a pty it runs at once."""
    with (
        closing(Emulator(machine, program, line)) as emulator,
        closing(DamagingWire(emulator, line, share, seed)) as wire,
    ):
        yield emulator, wire
