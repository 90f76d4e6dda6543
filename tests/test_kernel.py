"""The C kernel, portable and SIMD, compiled here with every warning and sanitizer, against vectors others made."""

from __future__ import annotations

import os
import subprocess

import numpy as np
import pytest

from edge_rnn.engine import State
from edge_rnn.engines.integer import quantize_input
from edge_rnn.engines.numpy import NumpyEngine, open_graph, reference_state

from .float_models import RIVALS
from .float_models import float_graph as rivals_graph
from .int8_models import GOLDEN_NAMES, KINDS, float_graph, golden_graph, random_graph, random_layers, read_golden
from .kernel_files import CC, HOST, KERNEL, PORTABLE, ROOT, SANITIZE, compile_kernel, golden_states, replay_file
from .test_numeric import OWN_GOLDEN, own_golden

pytestmark = pytest.mark.skipif(CC is None, reason="gcc is not installed: the kernel cannot be compiled")
REPLAY = ROOT / "tests" / "c" / "replay.c"


@pytest.fixture(scope="session")
def replay(tmp_path_factory):
    """Every variant, at full speed."""
    return compile_kernel(tmp_path_factory.mktemp("replay"), PORTABLE + HOST, REPLAY, ["-O2"])


@pytest.fixture(scope="session")
def checked_replay(tmp_path_factory):
    """The portable kernel and the loaders under AddressSanitizer and UBSan."""
    return compile_kernel(tmp_path_factory.mktemp("checked"), PORTABLE + HOST, REPLAY, SANITIZE, simd=False)


def run(program, *arguments):
    leaks = {"ASAN_OPTIONS": "detect_leaks=0"}  # the test programs free nothing
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, env={**os.environ, **leaks})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def golden_file(path, name):
    golden = read_golden(name)
    graph = golden_graph(golden)
    known = {key: golden[key] for key in ("xq", "y_q")}
    return replay_file(path, graph, golden["x"], every=50, states=golden_states(graph, golden), **known)


@pytest.mark.parametrize("name", GOLDEN_NAMES)
def test_every_variant_gives_every_golden_logit_and_state(replay, tmp_path, name):
    lines = run(replay, golden_file(tmp_path / name, name)).splitlines()
    assert "portable: 3000 steps agree" in lines[-1]


@pytest.mark.parametrize("name", GOLDEN_NAMES)
def test_the_portable_kernel_is_clean_under_sanitizers(checked_replay, tmp_path, name):
    assert "3000 steps agree" in run(checked_replay, golden_file(tmp_path / name, name))


def own_golden_file(path, name):
    """The vectors of tests/golden/make.py, which come from plain Python numbers."""
    graph, golden = own_golden(name)
    states = []
    for row in range(len(golden["x"]) // 50):
        state = State(graph.states)
        for spec, array in zip(state.specs, state.arrays, strict=True):
            array[0] = golden[f"state.{spec.name}"][row]
        states.append(state)
    return replay_file(path, graph, golden["x"], every=50, states=states, xq=golden["xq"], y_q=golden["y_q"])


@pytest.mark.parametrize("name", OWN_GOLDEN)
def test_the_vectors_of_the_plain_numbers_come_out_of_every_variant(replay, checked_replay, tmp_path, name):
    path = own_golden_file(tmp_path / name, name)
    assert "portable: 600 steps agree" in run(replay, path).splitlines()[-1]
    assert "600 steps agree" in run(checked_replay, path)


@pytest.mark.parametrize("stack", RIVALS)
def test_the_other_layers_in_float_stay_within_5e_5_of_float64(replay, checked_replay, tmp_path, stack):
    rng = np.random.default_rng(1)
    graph = rivals_graph(stack)
    x = (rng.standard_normal((600, 3)) * graph.arrays["std"] + graph.arrays["mean"]).astype(np.float32)
    engine, state, y = NumpyEngine(graph, np.float64), reference_state(graph), np.empty((len(x), 4))
    for t in range(len(x)):
        engine.step(x[t : t + 1], state, y[t : t + 1])
    path = replay_file(tmp_path / stack, graph, x, y=y)
    run(replay, path)
    run(checked_replay, path)


@pytest.mark.parametrize("name", ["GRU", "LSTM"])
def test_one_wrong_bit_in_a_weight_is_seen(replay, tmp_path, name):
    golden = read_golden(name)
    graph = golden_graph(golden)
    graph.arrays["l0.hh_w"][3, 5] ^= 1
    path = replay_file(tmp_path / name, graph, golden["x"], xq=golden["xq"], y_q=golden["y_q"])
    assert subprocess.run([replay, path], capture_output=True).returncode == 1


def hostile_input(rng, steps, inputs, sx):
    """A quarter quiet, a quarter bursts, half saturating, each channel in its own units."""
    x = rng.standard_normal((steps, inputs)) * 2000
    quarter = steps // 4
    x[quarter : 2 * quarter] *= np.exp(rng.uniform(0, 6, (quarter, 1)))
    x[2 * quarter :] = rng.choice([-1e6, 1e6, -32768, 32767, 0], (steps - 2 * quarter, inputs))
    return (x * sx).astype(np.float32)


@pytest.mark.parametrize("seed", range(12))
def test_variants_agree_to_the_bit_on_random_networks_and_hostile_input(replay, tmp_path, seed):
    rng = np.random.default_rng(seed)
    kinds = [str(k) for k in rng.choice(KINDS, rng.integers(1, 4))]
    widths = [int(w) for w in rng.choice([1, 3, 5, 8, 15, 16, 17, 24, 31, 32, 33, 48, 64, 65, 100], len(kinds))]
    agree_over_hostile_input(replay, tmp_path, rng, kinds, int(rng.integers(1, 40)), widths, int(rng.integers(1, 20)))


@pytest.mark.parametrize("widths", [[64], [128], [64, 64], [49, 64], [60, 50, 64], [64, 64, 48], [64, 128], [70, 64]])
@pytest.mark.parametrize(("inputs", "classes"), [(1, 6), (6, 40), (70, 17)])
def test_grus_whose_products_are_woven_agree_to_the_bit(replay, tmp_path, widths, inputs, classes):
    rng = np.random.default_rng([*widths, inputs])
    agree_over_hostile_input(replay, tmp_path, rng, ["gru"] * len(widths), inputs, widths, classes)


def agree_over_hostile_input(replay, tmp_path, rng, kinds, inputs, widths, classes):
    """600 steps of a random network on every variant, against NumPy's integers."""
    graph = random_graph(rng, random_layers(rng, kinds, inputs, widths, classes))
    x = hostile_input(rng, 600, graph.inputs, graph.arrays["sx"])
    xq = quantize_input(x, graph.arrays["sx"])
    y_q = np.empty((len(x), graph.outputs), np.int32)
    engine, state = open_graph(graph), State(graph.states)
    for t in range(len(x)):
        engine.step_int(xq[t : t + 1], state, y_q[t : t + 1])
    run(replay, replay_file(tmp_path / "net", graph, x, xq=xq, y_q=y_q))


@pytest.mark.parametrize("kind", ["gru", "lstm", "rnn", "fastgrnn", "window", "conv", "statistics"])
@pytest.mark.parametrize("width", [32, 256])
def test_variants_agree_over_20000_saturating_steps(replay, tmp_path, kind, width):
    rng = np.random.default_rng(width)
    graph = random_graph(rng, random_layers(rng, [kind], 6, [width], 8), gain_bits=(16, 24))
    x = hostile_input(rng, 20_000 if width == 32 else 2_000, graph.inputs, graph.arrays["sx"])
    run(replay, replay_file(tmp_path / kind, graph, x, xq=quantize_input(x, graph.arrays["sx"])))


@pytest.mark.parametrize("kinds", [["gru"], ["lstm"], ["rnn"], ["relu"], ["dense", "gru", "lstm"], ["gru", "gru"]])
@pytest.mark.parametrize("width", [7, 32, 100])
def test_float_stays_within_5e_5_of_float64_over_1000_steps(replay, tmp_path, kinds, width):
    rng = np.random.default_rng(width)
    graph = float_graph(rng, kinds, 6, 8, units=width)
    x = (rng.standard_normal((1000, 6)) * graph.arrays["std"] + graph.arrays["mean"]).astype(np.float32)
    engine, state = NumpyEngine(graph, np.float64), reference_state(graph)
    y = np.empty((1000, 8))
    for t in range(1000):
        engine.step(x[t : t + 1], state, y[t : t + 1])
    run(replay, replay_file(tmp_path / "net", graph, x, y=y))


def test_the_portable_files_use_no_libc_but_string_h():
    for name in [*PORTABLE, "ernn.h", "ernn_fixed.h", "ernn_real.h", "ernn_tanh.h"]:
        text = (KERNEL / name).read_text()
        included = {line.split("<")[1].split(">")[0] for line in text.splitlines() if line.startswith("#include <")}
        assert included <= {"stdint.h", "stddef.h", "string.h"}, name
        assert "malloc" not in text.replace("no malloc", ""), name


def test_the_portable_files_are_strict_c99(tmp_path):
    for name in PORTABLE:
        flags = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-Wconversion"]
        subprocess.run([CC, *flags, "-c", str(KERNEL / name), "-o", str(tmp_path / "x.o")], check=True)
