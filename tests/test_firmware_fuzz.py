"""What a board reads from outside: states over the wire and, with a store, weights. No bytes lead its steps astray."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from edge_rnn.export.firmware_project import kernel
from edge_rnn.export.to_c import Origin, to_c

from .float_models import float_graph
from .int8_models import random_graph, random_layers

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="cc is not installed: the C cannot be compiled")
HERE = Path(__file__).parent
ROUNDS = int(os.environ.get("FIRMWARE_FUZZ_ROUNDS", 1000))
ORIGIN = Origin("test", ("a", "b", "c"), ("k0", "k1", "k2", "k3"), 50.0, "00", "00", "test")
INT8 = {
    "recurrent": ["gru", "lstm", "rnn", "relu", "dense"],
    "past": ["conv", "window", "linear", "fastgrnn", "conv_linear"],
}
STATES = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
WEIGHTS = ["-fsanitize=address,bounds", "-fno-sanitize-recover=all", "-fwrapv", "-DREPLACEABLE"]
"""With weights that keep no obligation sums may wrap; nothing may be read or written that is not the model's."""


def int8_graph(name):
    rng = np.random.default_rng(5)
    kinds = INT8[name]
    return random_graph(rng, random_layers(rng, kinds, 3, [9, 7, 6, 5, 9], 4))


COMPILE = ["cc", "-std=c99", "-O1", "-Wall", "-Wextra", "-Werror"]


@pytest.fixture(scope="module")
def built_kernel(tmp_path_factory):
    """The kernel's objects with given flags, compiled once: flags -> folder and objects."""

    @functools.cache
    def build(*flags):
        folder = tmp_path_factory.mktemp("kernel")
        (folder / "kernel").mkdir()
        for path, text in kernel().items():
            (folder / "kernel" / path).write_text(text)
        sources = sorted((folder / "kernel").glob("*.c"))
        subprocess.run([*COMPILE, *flags, "-c", *map(str, sources)], cwd=folder, check=True)
        return folder, [str(folder / f"{source.stem}.o") for source in sources]

    return build


@pytest.fixture
def fuzzed(built_kernel, tmp_path):
    """Compile a model and fuzz it; `broken`: a text of its C, and what stands there instead."""

    def run(graph, flags, *, replaceable=False, broken=("", ""), rounds=ROUNDS):
        folder, objects = built_kernel(*flags)
        texts = to_c(graph, ORIGIN, replaceable=replaceable)
        assert broken[0] in texts["model.c"]
        texts["model.c"] = texts["model.c"].replace(*broken)
        for path, text in texts.items():
            (tmp_path / path).write_text(text)
        exact = ["-DEXACT"] if graph.precision == "int8" else []
        sources = [str(HERE / "c" / "firmware_fuzz.c"), str(tmp_path / "model.c"), *objects]
        includes = [f"-I{tmp_path}", f"-I{folder}"]
        subprocess.run([*COMPILE, *flags, *includes, *exact, *sources, "-o", str(tmp_path / "fuzz")], check=True)
        quick = {**os.environ, "ASAN_OPTIONS": "symbolize=0"}
        return subprocess.run([tmp_path / "fuzz", "1", str(rounds)], capture_output=True, text=True, env=quick)

    return run


@pytest.mark.parametrize("stack", ["mixed", "crossed", "transformer", "statistics"])
def test_no_state_leads_a_float_models_steps_astray(fuzzed, stack):
    done = fuzzed(float_graph(stack), STATES)
    assert done.stdout == "clean\n", done.stderr[-2000:]


@pytest.mark.parametrize("name", INT8)
def test_no_state_leads_an_int8_models_steps_astray(fuzzed, name):
    done = fuzzed(int8_graph(name), STATES)
    assert done.stdout == "clean\n", done.stderr[-2000:]


@pytest.mark.parametrize("name", INT8)
def test_no_weights_of_a_store_lead_the_steps_out_of_memory(fuzzed, name):
    done = fuzzed(int8_graph(name), WEIGHTS, replaceable=True)
    assert done.stdout == "clean\n", done.stderr[-2000:]


def test_a_load_that_takes_too_much_is_seen(fuzzed):
    """The negative control: one number more than the state has."""
    broken = ("ernn_load_h(bytes, state->h1[state->now], 7)", "ernn_load_h(bytes, state->h1[state->now], 7 + 512)")
    done = fuzzed(int8_graph("recurrent"), STATES, broken=broken, rounds=5)
    assert "heap-buffer-overflow" in done.stderr or "runtime error" in done.stderr
