"""A base install: `import edge_rnn` loads numpy and nothing else of weight."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

BLOCKED = ["torch", "onnx", "onnxruntime", "pydantic", "serial", "typer", "rich", "matplotlib", "paho", "sklearn"]
CHECK = f"""
import sys

class Wall:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {BLOCKED}:
            raise ImportError("blocked: " + name)

sys.meta_path.insert(0, Wall())
"""


def run(code):
    return subprocess.run(
        [sys.executable, "-c", CHECK + code], capture_output=True, text=True, timeout=120, check=False
    )


def test_the_runtime_imports_and_runs_where_everything_optional_is_blocked():
    modules = "stream, pipeline, endpoints.sources, endpoints.sinks, engines.integer, engines.numpy, export"
    done = run("import edge_rnn\n" + "\n".join(f"import edge_rnn.{m}" for m in modules.split(", ")) + "\nprint('ok')")
    assert (done.returncode, done.stdout) == (0, "ok\n"), done.stderr


def test_the_wall_does_block():
    """The negative control."""
    done = run("import typer")
    assert "blocked: typer" in done.stderr


def test_import_loads_no_package_but_numpy():
    code = "import edge_rnn\nprint(*sorted({m.partition('.')[0] for m in sys.modules}))"
    loaded = set(run(code).stdout.split())
    allowed = {*sys.stdlib_module_names, "numpy", "edge_rnn", "__main__"}
    strangers = {m for m in loaded - allowed if not m.startswith(("_", "__editable__", "distutils", "sitecustomize"))}
    assert strangers == set()


START = """
import numpy
import sys
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 2**20
before, rss = set(sys.modules), resident() if sys.platform == "linux" else 0.0
import edge_rnn
stream = edge_rnn.load(r"PATH").stream()
stream.step(numpy.zeros(stream.model.inputs, numpy.float32))
MORE
print(resident() - rss if rss else 0.0, *sorted(set(sys.modules) - before))
"""
HEAVY = {
    "dataclasses",
    "hashlib",
    "_hashlib",
    "zipfile",
    "shutil",
    "logging",
    "numpy.typing",
    "pathlib",
    "socket",
    "subprocess",
}
FORMS = ["float32", "int8"]


def start(form, more, folder):
    """MiB over NumPy's and modules that the first step took, in a process that finds its modules compiled."""
    bundle = Path(__file__).parent / "bundles" / f"format1_{form}.ernn"
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(folder)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, "-c", START.replace("PATH", str(bundle)).replace("MORE", more)]
    for _ in range(2):  # the first compiles
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=120)
    mib, *modules = done.stdout.split()
    return float(mib), set(modules)


@pytest.mark.parametrize("form", FORMS)
def test_the_way_to_the_first_step_takes_none_of_the_heavy_modules_and_little_memory(form, tmp_path):
    mib, modules = start(form, "", tmp_path)
    assert modules & HEAVY == set()
    assert mib < 3.5  # 2.4 here; another NumPy touches more pages of its own


def test_a_heavy_module_on_the_way_is_seen(tmp_path):
    """The negative control."""
    mib, modules = start("float32", "import hashlib, dataclasses, zipfile", tmp_path)
    assert {"hashlib", "dataclasses", "zipfile"} <= modules & HEAVY
    assert mib > 3.5 or sys.platform != "linux"
