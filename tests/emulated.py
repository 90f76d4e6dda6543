"""Real firmware on emulated boards: the device's end, the kernel and a model under qemu, and a wire that damages."""

from __future__ import annotations

import json
import random
import shutil
import socket
import subprocess
import threading
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from c_tools import DEVICE

TOOLS = {
    "arm-none-eabi-gcc": "gcc-arm-none-eabi libnewlib-arm-none-eabi",
    "qemu-system-arm": "qemu-system-arm",
}
WIRE = ["ernn_frame.c", "ernn_crc.c", "ernn_link.c", "ernn_frame.h", "ernn_link.h"]


def require_tools() -> None:
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"no {', '.join(missing)}: apt-get install {' '.join(TOOLS[tool] for tool in missing)}")


def build(bundle, board: str, folder: Path, *flags: str) -> Path:
    """The inference node of the examples with this bundle's model, for a board of boards.toml."""
    from edge_rnn.export.boards import boards
    from edge_rnn.export.firmware_project import project, write_project

    write_project(project(bundle, board), folder)
    for name in WIRE:
        shutil.copy(DEVICE / name, folder)
    shutil.copy(DEVICE / "examples" / "inference_node.c", folder / "node.c")
    row = boards()[board]
    command = [
        *("arm-none-eabi-gcc", *row.cpu, "-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", "-ffunction-sections"),
        *("-fdata-sections", "-I.", "-Iboard", f"-DBOARD_UART={row.uart_base:#x}u", f"-DBOARD_TICK_HZ={row.tick_hz}u"),
        *flags,
        *("-nostartfiles", "--specs=nano.specs", "-Wl,--gc-sections", "-Lboard", "-T", row.linker, "node.c", "model.c"),
        *(name for name in WIRE if name.endswith(".c")),
        *(f"kernel/{p.name}" for p in sorted((folder / "kernel").glob("*.c"))),
        *("board/cortex_m.c", f"board/{row.uart}", "-o", "node.elf"),
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "node.elf"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Emulator:
    """qemu with the UART on a TCP port, and a monitor to push the reset button."""

    def __init__(self, machine: str, program: Path) -> None:
        self.port, monitor = free_port(), free_port()
        self._process = subprocess.Popen(
            [
                *("qemu-system-arm", "-M", machine, "-display", "none", "-kernel", str(program)),
                *("-serial", f"tcp:127.0.0.1:{self.port},server=on,wait=on,nodelay=on"),
                *("-monitor", "none", "-qmp", f"tcp:127.0.0.1:{monitor},server=on,wait=off"),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        self._monitor_port = monitor

    def press_reset(self) -> None:
        """By QMP, which answers when it is done."""
        with socket.create_connection(("127.0.0.1", self._monitor_port), 5) as monitor, monitor.makefile("rw") as lines:
            assert "QMP" in json.loads(lines.readline())
            for command in ("qmp_capabilities", "system_reset"):
                lines.write(json.dumps({"execute": command}) + "\n")
                lines.flush()
                while "return" not in json.loads(lines.readline()):
                    pass

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


def mangle(frames: bytes, rng: random.Random, share: float, counts: dict[str, int]) -> bytes:
    """Of whole frames, so many are lost, repeated or corrupted, a third each."""
    out = b""
    for code in frames.split(b"\0")[:-1]:
        frame = code + b"\0"
        if rng.random() < share:
            kind = rng.choice(["lost", "repeated", "corrupted"])
            counts[kind] = counts.get(kind, 0) + 1
            at = rng.randrange(len(frame))
            flipped = frame[:at] + bytes([frame[at] ^ (1 << rng.randrange(8))]) + frame[at + 1 :]
            frame = {"lost": b"", "repeated": frame * 2, "corrupted": flipped}[kind]
        out += frame
    return out


class DamagingWire:
    """A TCP proxy between the host and the emulator."""

    def __init__(self, target: int, share: float, seed: int) -> None:
        self.counts: dict[str, dict[str, int]] = {"down": {}, "up": {}}
        self._share, self._rng, self._target = share, random.Random(seed), target
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._open: list[socket.socket] = [self._server]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            host, _ = self._server.accept()
            board = self._dial()
            for one in (host, board):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open += [host, board]
            threading.Thread(target=self._pump, args=(host, board, "down"), daemon=True).start()
            self._pump(board, host, "up")

    def _dial(self) -> socket.socket:
        for _ in range(200):
            with suppress(ConnectionRefusedError):
                return socket.create_connection(("127.0.0.1", self._target))
            threading.Event().wait(0.05)
        raise AssertionError("the emulator does not listen")

    def _pump(self, source: socket.socket, target: socket.socket, way: str) -> None:
        rest = b""
        rng = random.Random(self._rng.random())
        with suppress(OSError):
            while data := source.recv(4096):
                whole, zero, rest = (rest + data).rpartition(b"\0")
                target.sendall(mangle(whole + zero, rng, self._share, self.counts[way]))

    def close(self) -> None:
        for one in self._open:
            one.close()


@contextmanager
def emulated(machine: str, program: Path, share: float = 0.05, seed: int = 1):
    """(emulator, wire): the board is held until the host connects to the wire's port."""
    emulator = Emulator(machine, program)
    wire = DamagingWire(emulator.port, share, seed)
    try:
        yield emulator, wire
    finally:
        wire.close()
        emulator.stop()
