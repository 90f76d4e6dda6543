"""Weights and states of unknown origin through every variant, and the golden vectors too, under ASan and UBSan.

The suite fuzzes the portable kernel for a second; the slow tests every variant, WEIGHTS_FUZZ_COUNT graphs each.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys

import numpy as np
import pytest

from edge_rnn.engines.integer import quantize_input
from edge_rnn.engines.native import _KINDS

from .float_models import RIVALS, STACKS
from .float_models import float_graph as float_stack
from .int8_models import GOLDEN_NAMES, KINDS, random_graph, random_layers
from .kernel_files import CC, HOST, PORTABLE, ROOT, SANITIZE_SIMD, compile_kernel, model_bytes, replay_file
from .test_kernel import golden_file, hostile_input, own_golden_file, run
from .test_numeric import OWN_GOLDEN

pytestmark = pytest.mark.skipif(CC is None, reason="gcc is not installed: the kernel cannot be compiled")
PROGRAMS = ROOT / "tests" / "c"
COUNT = int(os.environ.get("WEIGHTS_FUZZ_COUNT", 10_000))
MODEL_FILE = b"\1"
"""What a seed begins with that is a model file."""


def int8_stack(kinds, units=9):
    rng = np.random.default_rng(0)
    return random_graph(rng, random_layers(rng, kinds, 3, [units] * len(kinds), 4))


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    """A valid model of each stack and kind: name -> (file, number of arrays)."""
    folder = tmp_path_factory.mktemp("seeds")
    graphs = {name: float_stack(name) for name in [*STACKS, *RIVALS]}
    graphs |= {f"int8 {kind}": int8_stack([kind]) for kind in KINDS}
    graphs["int8 woven"] = int8_stack(["gru", "gru"], 60)
    graphs["int8 window, conv"] = int8_stack(["window", "conv", "fastgrnn", "gru"])
    for name, graph in graphs.items():
        (folder / name).write_bytes(MODEL_FILE + model_bytes(graph))
    return {name: (folder / name, len(graph.arrays)) for name, graph in graphs.items()}


def fuzzed(program, seed, count, seeds):
    """What came of it; every kind of layer ran."""
    files = [str(path) for path, _ in seeds.values()]
    done = subprocess.run([program, str(seed), str(count), *files], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    first, *layers = done.stdout.splitlines()
    taken, refused = map(int, re.match(r"(\d+) graphs run, (\d+) refused", first).groups())
    assert taken + refused == count
    assert taken > 0.4 * count
    assert refused > 0.1 * count
    ran = [dict(zip(_KINDS, map(int, line.split()), strict=True)) for line in layers]
    for precision, counts in zip(("float32", "int8"), ran, strict=True):
        for kind, number in counts.items():
            exact = kind in {layer.kind for layer in int8_stack(KINDS).layers}
            assert number > 0.005 * count or (precision == "int8" and not exact), f"{precision} {kind}"


@pytest.fixture(scope="module")
def portable(tmp_path_factory):
    folder = tmp_path_factory.mktemp("portable")
    return compile_kernel(folder, PORTABLE + HOST, PROGRAMS / "weights_fuzz.c", SANITIZE_SIMD, simd=False)


def test_no_weights_and_no_states_lead_the_portable_kernel_astray(portable, seeds):
    """The rest of the graphs break a rule and are refused."""
    fuzzed(portable, 0, 5000, seeds)


@pytest.mark.parametrize("name", ["transformer", "crossed", "statistics", "int8 window, conv", "int8 lstm"])
def test_an_array_of_any_layer_that_is_one_number_short_is_seen(portable, seeds, name):
    """The negative control: all of every array is read, and the sanitizers would see one item more."""
    path, arrays = seeds[name]
    for number in range(arrays):
        short = {**os.environ, "SHORT_ARRAY": str(number), "ASAN_OPTIONS": "symbolize=0"}
        done = subprocess.run([portable, "0", "0", path], capture_output=True, text=True, env=short)
        assert "heap-buffer-overflow" in done.stderr, f"array {number}"


@pytest.fixture(scope="module")
def fuzz(tmp_path_factory):
    folder, both = tmp_path_factory.mktemp("fuzz"), [PROGRAMS / "weights_fuzz.c", PROGRAMS / "replay.c"]
    return compile_kernel(folder, PORTABLE + HOST, both[0], SANITIZE_SIMD, more=(both[1],))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_no_weights_and_no_states_lead_any_variant_astray(fuzz, seeds, seed):
    """Int8 with the portable kernel's bits."""
    fuzzed(fuzz, seed, COUNT, seeds)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*GOLDEN_NAMES, *OWN_GOLDEN])
def test_every_variant_is_clean_under_sanitizers(fuzz, tmp_path, name):
    make, steps = (golden_file, 3000) if name in GOLDEN_NAMES else (own_golden_file, 600)
    lines = run(fuzz.parent / "replay", make(tmp_path / name, name)).splitlines()
    assert len(lines) >= 2
    assert all(f"{steps} steps agree" in line for line in lines)


@pytest.mark.slow
@pytest.mark.parametrize("stack", [*STACKS, *RIVALS])
def test_every_float_variant_is_clean_under_sanitizers(fuzz, tmp_path, stack):
    """Every kind of layer; the values are test_kernel's."""
    graph = float_stack(stack)
    x = np.random.default_rng(1).normal(0, 3, (600, 3)).astype(np.float32)
    lines = run(fuzz.parent / "replay", replay_file(tmp_path / stack, graph, x)).splitlines()
    assert len(lines) >= 2
    assert all("600 steps agree" in line for line in lines)


@pytest.mark.slow
@pytest.mark.parametrize("widths", [[64], [64, 64], [60, 50, 64], [64, 128]])
def test_woven_grus_are_clean_under_sanitizers(fuzz, tmp_path, widths):
    rng = np.random.default_rng(widths)
    graph = random_graph(rng, random_layers(rng, ["gru"] * len(widths), 3, widths, 20))
    x = hostile_input(rng, 600, 3, graph.arrays["sx"])
    path = replay_file(tmp_path / "woven", graph, x, xq=quantize_input(x, graph.arrays["sx"]))
    lines = run(fuzz.parent / "replay", path).splitlines()
    assert len(lines) >= 2
    assert all("600 steps agree" in line for line in lines)


def test_no_arguments_of_the_binding_end_the_process():
    """By hand also under AddressSanitizer: tests/binding_fuzz.py."""
    program = [sys.executable, "-X", "faulthandler", str(ROOT / "tests" / "binding_fuzz.py"), "0", "1500"]
    done = subprocess.run(program, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    numbers = re.match(r"(\d+) made, (\d+) refused, (\d+) samples came", done.stdout).groups()
    assert all(int(number) > 300 for number in numbers), done.stdout
