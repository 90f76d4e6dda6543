"""An aarch64 CPython with NumPy under qemu-user: Debian packages unpacked in a folder of their own, none installed.

The folder, .venv-arm64 beside the repository's own environment, is made once (half a minute).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / ".venv-arm64"
DEBIAN = ["python3-minimal", "libpython3-stdlib", "libstdc++6"]
PACKAGES = ["numpy", "typer", "pytest"]
NEEDS = ["qemu-aarch64", "aarch64-linux-gnu-gcc", "apt-get", "dpkg-deb"]
CROSS = {
    "CC": "aarch64-linux-gnu-gcc",
    "LDSHARED": "aarch64-linux-gnu-gcc -shared",
    "_PYTHON_HOST_PLATFORM": "linux-aarch64",
}
"""What makes setuptools build for it; Python's headers are those of this machine, of the same widths."""


def missing() -> list[str]:
    """The programs that are not here."""
    return [name for name in NEEDS if shutil.which(name) is None]


def python() -> list[str]:
    """The command that runs that interpreter."""
    stamp = FOLDER / ".installed"
    if not stamp.exists():
        shutil.rmtree(FOLDER, ignore_errors=True)
        _unpack_debian(FOLDER / "root")
        (interpreter,) = _interpreters()
        version = interpreter.name.removeprefix("python")
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(FOLDER / "site")]
        glibc = [f"--platform={name}_aarch64" for name in ("manylinux_2_28", "manylinux_2_17", "manylinux2014")]
        subprocess.run([*pip, *glibc, "--python-version", version, "--only-binary", ":all:", *PACKAGES], check=True)
        stamp.touch()
    return ["qemu-aarch64", "-cpu", "cortex-a72", "-L", str(FOLDER / "root"), str(*_interpreters())]


def run(arguments: list[str], path: list[Path], cwd: Path) -> subprocess.CompletedProcess:
    """Run it with these folders first on its path."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [*path, FOLDER / "site"]))}
    environment |= {"PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run([*python(), *arguments], cwd=cwd, env=environment, capture_output=True, text=True)


def _interpreters() -> list[Path]:
    return [p for p in (FOLDER / "root" / "usr" / "bin").glob("python3.*") if p.name[8:].isdigit()]


def _unpack_debian(root: Path) -> None:
    """apt with an empty machine of its own: the packages and all they need, downloaded and unpacked."""
    state = FOLDER / "apt"
    for folder in ("lists/partial", "archives/partial"):
        (state / folder).mkdir(parents=True)
    (state / "status").touch()
    options = {
        "APT::Architecture": "arm64", "APT::Architectures": "arm64", "APT::Sandbox::User": "", "Dir::State": state,
        "Dir::State::status": state / "status", "Dir::Cache": state,
    }  # fmt: skip
    apt = ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in options.items())]
    subprocess.run([*apt, "update"], check=True)
    subprocess.run([*apt, "install", "-y", "--download-only", "--no-install-recommends", *DEBIAN], check=True)
    for package in sorted((state / "archives").glob("*.deb")):
        subprocess.run(["dpkg-deb", "-x", str(package), str(root)], check=True)
    shutil.rmtree(state)
