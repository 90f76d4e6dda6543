"""The wheel as a user gets it: in a fresh environment, used from another folder, with and without a compiler."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import sys

import pytest
from wheels import BUNDLES, ROOT, build_wheel, install, names_in, other_python, tracked_files

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (ROOT / ".git").exists(), reason="needs the git work tree: what is tracked is packed"),
]
needs_cc = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
HOME = {"edge_rnn": "edge_rnn", "export": "edge_rnn/export", "firmware_bridge": "edge_rnn/firmware_bridge"}

LOAD = """
import logging, sys
logging.basicConfig(format="%(message)s")
import edge_rnn
for _ in range(2):
    print(edge_rnn.load(sys.argv[1]).engine.name, edge_rnn.__file__)
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def without_compiler(tmp_path_factory):
    return build_wheel(tmp_path_factory.mktemp("bare"), CC="/bin/false")


def call(folder, program, *arguments):
    """Run it in `folder`, which is neither the tree nor the installation."""
    done = subprocess.run([str(program), *map(str, arguments)], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@needs_cc
def test_one_abi3_wheel_holds_the_extension_and_every_file_of_the_packages(built):
    wheel, _ = built
    assert f"cp311-abi3-linux_{platform.machine()}" in wheel.name
    names = names_in(wheel)
    assert "edge_rnn/_native.abi3.so" in names
    for name in tracked_files():
        folder, _, rest = name.partition("/")
        if folder in HOME and rest.endswith((".py", ".c", ".h", ".pyi", "py.typed", ".toml")):
            assert f"{HOME[folder]}/{rest}" in names
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/", "export/", "tools/"))]


@needs_cc
@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_the_installed_wheel_proves_its_native_engine_from_another_folder(built, tmp_path, version):
    here = ".".join(map(str, sys.version_info[:2]))
    python = sys.executable if version == here else other_python(version)
    if python is None:
        pytest.skip(f"no Python {version} is installed here")
    bin_ = install(built[0], tmp_path / "venv", python)
    for bundle in sorted(BUNDLES.glob("*.ernn")):
        told = json.loads(call(tmp_path, bin_ / "edge-rnn", "verify", bundle, "--json", "--steps", 2000).stdout)
        assert told["ok"]
        assert "native" in told["engines"], told
        assert told["engines"]["native"]["steps"] == 2000
        assert told["engines"]["native"]["bit_exact"] or "float32" in bundle.name
        loaded = call(tmp_path, bin_ / "python", "-c", LOAD, bundle)
        assert loaded.stderr == ""
        assert [line.split()[0] for line in loaded.stdout.splitlines()] == ["native", "native"]
        assert str(tmp_path) in loaded.stdout


def test_without_a_compiler_the_install_succeeds_and_says_once_that_it_runs_on_numpy(without_compiler, tmp_path):
    wheel, log = without_compiler
    assert not [name for name in names_in(wheel) if "_native" in name]
    assert "NumPy will run the models" in log
    bin_ = install(wheel, tmp_path / "venv")
    bundle = next(BUNDLES.glob("*int8.ernn"))
    loaded = call(tmp_path, bin_ / "python", "-c", LOAD, bundle)
    assert [line.split()[0] for line in loaded.stdout.splitlines()] == ["numpy", "numpy"]
    assert loaded.stderr.count("models run on NumPy") == 1
    told = json.loads(call(tmp_path, bin_ / "edge-rnn", "verify", bundle, "--json", "--steps", 500).stdout)
    assert told["ok"]
    assert told["engines"]["numpy"]["bit_exact"]
    assert "not built" in told["engines"]["native"]["skipped"]
