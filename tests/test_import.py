"""A base install: `import edge_rnn` loads numpy and nothing else of weight."""

import subprocess
import sys

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
