"""Graph to C, compiled here: the bits, the text, what a hostile name can do. Boards: test_firmware_boards."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from edge_rnn.export.c_arrays import float_literal, tile_matrix, tile_rows
from edge_rnn.export.firmware_check import check, truth
from edge_rnn.export.firmware_folder import write_project
from edge_rnn.export.firmware_project import kernel, project

from edge_rnn.engine import State
from edge_rnn.engines.integer import IntegerEngine
from edge_rnn.errors import UsageError

from .firmware_models import bundle_of, golden_truth
from .float_models import RIVALS, STACKS, float_graph
from .int8_models import GOLDEN_NAMES, golden_graph, random_graph, random_layers, read_golden

needs_cc = pytest.mark.skipif(shutil.which("cc") is None, reason="cc is not installed: the C cannot be compiled")
HERE = Path(__file__).parent


def small_bundle(labels=None, name="test", kind="gru", seed=0):
    rng = np.random.default_rng(seed)
    return bundle_of(random_graph(rng, random_layers(rng, [kind], 3, [5], 3)), labels=labels, name=name)


@needs_cc
@pytest.mark.parametrize("name", GOLDEN_NAMES)
def test_the_c_gives_the_golden_vectors_and_their_final_state(name):
    golden = read_golden(name)
    graph = golden_graph(golden)
    found = check(bundle_of(graph), "generic", 3000, expected=golden_truth(golden, graph))
    assert found.ok
    assert found.bit_exact
    assert found.first_divergent_step is None
    assert (found.flash_bytes, found.instructions_per_step) == (None, None), "this machine has no such figures"


@needs_cc
@pytest.mark.parametrize(
    ("kinds", "inputs", "widths"),
    [
        (["dense", "gru", "linear", "lstm"], 9, [7, 5, 4, 6]),
        (["relu", "rnn"], 1, [13, 8]),
        ([], 17, []),
        (["fastgrnn", "fastgrnn"], 5, [7, 10]),
        (["window", "dense", "window", "linear"], 3, [33, 9, 27, 5]),
        (["conv", "conv_linear", "conv"], 5, [9, 6, 7]),
        (["conv", "fastgrnn", "window", "gru"], 6, [5, 3, 9, 7]),
        (["statistics", "dense", "statistics", "gru"], 5, [45, 9, 27, 4]),
    ],
)
def test_every_kind_of_layer_and_odd_widths_are_bit_exact(kinds, inputs, widths):
    rng = np.random.default_rng(len(kinds))
    graph = random_graph(rng, random_layers(rng, kinds, inputs, widths, 5))
    peak = float(32767 * graph.arrays["sx"].max())
    assert check(bundle_of(graph, peak), "generic", 1500, optimize="size").bit_exact


@needs_cc
@pytest.mark.parametrize("stack", [*STACKS, *RIVALS])
def test_float_models_stay_within_tolerance(stack):
    found = check(bundle_of(float_graph(stack)), "generic", 2500)
    assert found.ok, found


@needs_cc
def test_the_first_different_bit_is_found():
    bundle = small_bundle()
    expected = truth(bundle, 100)
    y = expected.y.copy()
    y[41, 2] += 1
    found = check(bundle, "generic", 100, expected=replace(expected, y=y))
    assert (found.ok, found.bit_exact, found.first_divergent_step) == (False, False, 41)
    state = bytes([expected.state[0] ^ 1]) + expected.state[1:]
    assert check(bundle, "generic", 100, expected=replace(expected, state=state)).first_divergent_step == 99


@needs_cc
@pytest.mark.parametrize("kind", ["gru", "lstm", "rnn", "fastgrnn", "window", "conv", "statistics"])
def test_saved_bytes_are_the_engines_state_and_labels_survive(kind, tmp_path):
    labels = ('*/ "quoted" \\ ??/', "zwei\nZeilen %s", "Müll")
    bundle = small_bundle(labels, name='a */ "b"\n#error', kind=kind)
    texts = project(bundle, "generic")
    write_project(
        {path.removeprefix("src/"): text for path, text in texts.items() if path.startswith("src/")}, tmp_path
    )
    sources = [HERE / "c" / "firmware_snapshot.c", tmp_path / "model.c", *sorted((tmp_path / "kernel").glob("*.c"))]
    flags = ["-std=c99", "-O1", "-Wall", "-Wextra", "-Werror", "-Wpedantic", f"-I{tmp_path}"]
    sanitize = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    subprocess.run(["cc", *flags, *sanitize, *map(str, sources), "-o", str(tmp_path / "run")], check=True)
    out = subprocess.run([str(tmp_path / "run")], check=True, capture_output=True).stdout
    assert out.split(b"\0")[:3] == [label.encode() for label in labels]
    engine, state = IntegerEngine(bundle.graph), State(bundle.graph.states)
    for t in range(100):
        xq = np.array([[(t * 7919 + j * 104729) % 65536 - 32768 for j in range(3)]], np.int16)
        engine.step_int(xq, state, np.zeros((1, 3), np.int32))
    assert out[sum(len(label.encode()) + 1 for label in labels) :] == state.to_bytes()


def test_the_same_bundle_gives_the_same_text_and_says_where_it_came_from():
    bundle = small_bundle()
    texts = project(bundle, "mps2-an386", name="wave.ernn")
    assert texts == project(bundle, "mps2-an386", name="wave.ernn")
    for path in ("model.h", "model.c"):
        assert bundle.digest in texts[path]
    assert "edge-rnn firmware build wave.ernn --board mps2-an386 --role inference" in texts["model.h"]
    assert "int16_t xq[MODEL_INPUTS];" in project(bundle, "mps2-an386", role="csv")["main.c"]
    assert not any("@" in line and "@PREFIX@" in line for text in texts.values() for line in text.splitlines())


def test_a_project_holds_the_kernel_as_it_stands_in_the_package():
    texts = project(small_bundle(), "generic", prefix="wave")
    assert {path for path in texts if "/kernel/" in path} == {f"src/kernel/{name}" for name in kernel()}
    assert not [name for name in kernel() if "binding" in name or name.startswith("csv")], "these are the host's"
    folder = HERE.parent / "edge_rnn" / "kernel"
    assert all(text == (folder / name).read_text() for name, text in kernel().items())
    assert {"src/wave.h", "library.properties", "examples/wave/wave.ino", "zephyr/module.yml"} <= set(texts)


@pytest.mark.parametrize("role", ["csv", "sensor", "inference", "node"])
def test_the_c_of_no_project_allocates_or_needs_more_of_libc_than_string_h(role):
    for path, text in project(small_bundle(), "microbit", role=role, store=role == "node").items():
        assert not re.search("@[A-Z_]+@", text), path
        if path.endswith((".c", ".h")):
            included = {line.split("<")[1].split(">")[0] for line in text.splitlines() if line.startswith("#include <")}
            assert included <= {"stdint.h", "stddef.h", "string.h", "arm_acle.h", "arm_mve.h"}, path
            assert "malloc(" not in text, path


def test_a_role_that_cannot_be_is_refused_by_name():
    small, real = small_bundle(), bundle_of(float_graph("gru"))
    assert "main_csv" not in project(real, "microbit")
    assert "samples from the serial line" in project(real, "microbit")["main.c"], "csv: the wire carries int8 models"
    with pytest.raises(UsageError, match="expected csv, sensor, inference, node"):
        project(small, "microbit", role="mqtt")
    with pytest.raises(UsageError, match="needs an int8 bundle"):
        project(real, "microbit", role="inference")
    with pytest.raises(UsageError, match="role node is for a board"):
        project(small, "generic", role="node")
    with pytest.raises(UsageError, match="a store is for"):
        project(small, "microbit", role="sensor", store=True)
    wide = bundle_of(
        random_graph(np.random.default_rng(0), random_layers(np.random.default_rng(0), ["gru"], 3, [5], 60))
    )
    assert "samples from the serial line" in project(wide, "microbit")["main.c"], "60 logits do not fit a frame"
    with pytest.raises(UsageError, match="a frame of the wire holds 240 bytes, role inference needs 252"):
        project(wide, "microbit", role="inference")


def test_rows_go_by_four_units_and_in_them_gate_by_gate():
    rows = np.arange(10)  # two gates of five units
    assert tile_rows(rows, 2, missing=-1).tolist() == [0, 1, 2, 3, 5, 6, 7, 8, 4, -1, -1, -1, 9, -1, -1, -1]
    w = np.arange(5 * 9).reshape(5, 9)
    tiles = tile_matrix(w, 1)
    assert tiles.shape == (4, 32)
    assert tiles[0, 8:16].tolist() == w[1, :8].tolist()
    assert tiles[1, :8].tolist() == [8, 0, 0, 0, 0, 0, 0, 0]


def test_float_literals_read_back_as_the_same_float32():
    rng = np.random.default_rng(0)
    values = rng.integers(0, 2**32, 2000, dtype=np.uint64).astype(np.uint32).view(np.float32)
    for value in values[np.isfinite(values)]:
        text = float_literal(value)
        assert text.endswith("f")
        assert "." in text
        assert np.float32(text[:-1]) == value


@pytest.mark.parametrize("prefix", ["", "Model", "2x", "a-b", "a b", "ü"])
def test_a_prefix_that_names_no_c_symbol_is_refused(prefix):
    with pytest.raises(UsageError, match="prefix"):
        project(small_bundle(), "generic", prefix=prefix)


def test_an_unknown_board_is_refused_by_name():
    with pytest.raises(UsageError, match="mps2-an386"):
        project(small_bundle(), "uno")


def test_a_missing_tool_is_named_with_its_package(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UsageError, match="gcc-arm-none-eabi"):
        check(small_bundle(), "microbit", 10)


@pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed: the sketch cannot be compiled")
@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_the_arduino_sketch_compiles_and_prints_a_label(precision, tmp_path):
    bundle = small_bundle() if precision == "int8" else bundle_of(float_graph("gru"))
    write_project(project(bundle, "generic", prefix="wave"), tmp_path)
    core = """#include <cstdio>
struct { void begin(long) {} int available() { return 1; } float parseFloat() { return 1; }
         void println(const char *s) { std::puts(s); } } Serial;
#include "examples/wave/wave.ino"
"""
    (tmp_path / "core.cpp").write_text(core + "int main() { setup(); loop(); }\n")
    flags = ["-Wall", "-Wextra", "-Werror", f"-I{tmp_path}/src", f"-I{tmp_path}"]
    subprocess.run(["g++", *flags, "-c", "core.cpp", "-o", "core.o"], cwd=tmp_path, check=True)
    sources = sorted(str(path) for path in (tmp_path / "src").rglob("*.c"))
    subprocess.run(["gcc", "-std=c99", "-O1", *sources, "core.o", "-lstdc++", "-o", "sketch"], cwd=tmp_path, check=True)
    out = subprocess.run([str(tmp_path / "sketch")], check=True, capture_output=True, text=True).stdout
    assert out.strip() in bundle.manifest.labels


@pytest.mark.skipif(shutil.which("cmake") is None, reason="cmake is not installed: the Zephyr module cannot be read")
def test_the_zephyr_module_builds_a_library_where_it_is_configured(tmp_path):
    write_project(project(small_bundle(), "generic"), tmp_path / "module")
    stand_in = """cmake_minimum_required(VERSION 3.20)
project(app C)
macro(zephyr_library_named name)
  add_library(${name} STATIC)
  set(library ${name})
endmacro()
macro(zephyr_library_sources)
  target_sources(${library} PRIVATE ${ARGN})
endmacro()
macro(zephyr_include_directories)
  include_directories(${ARGN})
endmacro()
set(CONFIG_MODEL y)
add_subdirectory(module/zephyr)
"""
    (tmp_path / "CMakeLists.txt").write_text(stand_in)
    for command in (["cmake", "-S", ".", "-B", "build"], ["cmake", "--build", "build"]):
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    assert list((tmp_path / "build").rglob("libmodel.a"))
