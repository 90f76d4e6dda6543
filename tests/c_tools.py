"""Compiles the programs of tests/c against the device's end; a test without a compiler is skipped by name."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
DEVICE = HERE.parent / "firmware_bridge" / "device"
LINK = ["ernn_frame", "ernn_crc", "ernn_link", "ernn_link_model", "ernn_link_stream"]
"""The device's end without BLOB."""
STRICT = ["-std=c99", "-O2", "-Wall", "-Wextra", "-Werror"]
SANITIZE = ["-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


def compile_c(target: Path, sources: list[Path], *flags: str) -> Path:
    """Build one program on this machine."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler: install gcc to test the device's end")
    command = [compiler, *STRICT, f"-I{DEVICE}", *flags, *map(str, sources), "-o", str(target)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return target


def frame_sources(crc: str = "ernn_crc.c") -> list[Path]:
    """The decoder with its CRC, or with the control's."""
    return [DEVICE / "ernn_frame.c", (DEVICE if crc == "ernn_crc.c" else HERE / "c") / crc]


def run(program: Path, *arguments: object, **more) -> subprocess.CompletedProcess:
    """Run it; a crash or a sanitizer's word fails the test."""
    done = subprocess.run([str(program), *map(str, arguments)], capture_output=True, **more)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return done
