"""The house: which module may import which, read from the source; both package names resolve."""

import ast
import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LEVELS = [
    {"errors", "events"},
    {"arrays", "nibbles", "obligations", "latency"},
    {"graph"},
    {"manifest"},
    {"bundle", "engine", "onnx_scan"},
    {"engines", "detect", "tracks", "faults", "probe", "golden", "parity"},
    {"gaps"},
    {"stream"},
    {"model"},
    {"endpoints", "recorder", "bench", "tune", "dynamics", "resample", "clock"},
    {"pipeline"},
    {"daemon", "dashboard"},
    {"cli"},
]  # a module imports of its own level and those above it in this list


def named_level(part):
    return next((i for i, names in enumerate(LEVELS) if part in names), None)


def level(part, above=()):
    """A module's level; one that is not in the list stands as high as the highest it imports."""
    named = named_level(part)
    if named is not None:
        return named
    assert part not in above, f"circular imports: {' -> '.join([*above, part])}"
    path = ROOT / "edge_rnn" / f"{part}.py"
    return max((level(other, (*above, part)) for other in ours(path, "edge_rnn")), default=0) if path.exists() else 0


def ours(path, package):
    """First names below edge_rnn that a file imports while it is loaded."""
    return sorted({name.split(".")[1] for name in imports(path, package) if name.startswith("edge_rnn.")})


def imports(path, package):
    """Absolute dotted names of what a file imports while it is loaded (not in functions, not for type checkers)."""

    def visit(node):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                continue
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
                continue
            if isinstance(child, ast.Import):
                yield from (name.name for name in child.names)
            elif isinstance(child, ast.ImportFrom):
                base = package.split(".")[: len(package.split(".")) - child.level + 1] if child.level else []
                module = ".".join([*base, *([child.module] if child.module else [])])
                yield from (f"{module}.{name.name}" for name in child.names)
            else:
                yield from visit(child)

    return list(visit(ast.parse(path.read_text())))


def runtime_files():
    return sorted(p for p in (ROOT / "edge_rnn").rglob("*.py") if p.name != "__init__.py" and "kernel" not in p.parts)


def names_anywhere(path):
    """Every module a file imports, also inside functions."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{'.' * node.level}{node.module or ''}.{name.name}" for name in node.names)


@pytest.mark.parametrize("path", runtime_files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_downward(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    mine = level(parts[1])
    for other in ours(path, ".".join(parts[:-1])):
        assert level(other) <= mine, f"{path} imports {other}, which stands above it"


CORE = [path for path in runtime_files() if path.parent.name != "cli"]  # a command calls the workstation's half


@pytest.mark.parametrize("path", CORE, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_runtime_names_its_neighbours_as_strings_alone(path):
    for name in names_anywhere(path):
        assert not name.lstrip(".").startswith(("edge_rnn.export", "export", "edge_rnn.firmware_bridge", "firmware"))


@pytest.mark.parametrize("folder", ["export", "firmware_bridge"])
def test_siblings_outside_the_runtime_import_relatively(folder):
    for path in sorted((ROOT / folder).rglob("*.py")):
        for name in names_anywhere(path):
            assert not name.startswith(f"edge_rnn.{folder}"), f"{path} imports {name}"


def test_the_firmware_bridge_knows_errors_and_events_alone():
    for path in sorted((ROOT / "firmware_bridge").rglob("*.py")):
        for name in names_anywhere(path):
            if name.startswith("edge_rnn."):
                assert name.split(".")[1] in ("errors", "events"), f"{path} imports {name}"


def test_both_package_names_resolve_to_this_tree():
    for name, folder in (("edge_rnn", "edge_rnn"), ("edge_rnn.export", "export")):
        found = importlib.util.find_spec(name)
        assert found is not None
        assert found.origin is not None
        assert Path(found.origin).parent == ROOT / folder


def test_no_file_has_a_second_idea():
    """Over 300 lines a file is asked what its second idea is."""
    long = {p.name: n for p in runtime_files() if (n := len(p.read_text().splitlines())) > 300}
    assert long == {}


def test_the_rule_itself_sees_an_import_upward(tmp_path):
    """The negative control."""
    path = tmp_path / "graph.py"
    path.write_text("from .stream import Stream\nfrom ..x import y\nimport edge_rnn.cli\n")
    assert imports(path, "edge_rnn") == ["edge_rnn.stream.Stream", "x.y", "edge_rnn.cli"]
