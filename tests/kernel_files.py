"""Compiles the kernel for the C tests and writes the model files that tests/c/model_file.h reads."""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path

import numpy as np

from edge_rnn.engine import State
from edge_rnn.engines.native import _layer
from edge_rnn.graph import Graph

ROOT = Path(__file__).parent.parent
KERNEL = ROOT / "edge_rnn" / "kernel"
CC = shutil.which("gcc")
LAYERS = ["dense.c", "rnn.c", "gru.c", "lstm.c", "fastgrnn.c", "past.c", "attention.c"]
PORTABLE = [*LAYERS, "helium.c", "matrix.c", "network.c", "snapshot.c", "tanh_table.c"]
HOST = ["simd/check.c", "simd/select.c", "simd/portable.c"]
STRICT = ["-Wall", "-Wextra", "-Werror", "-Wshadow", "-Wconversion", "-Wno-sign-conversion"]
# For the SIMD variants: what ASan sees anyway (null, object sizes) and pointer sums would compile for minutes.
SANITIZE_SIMD = [
    "-O1",
    "-fsanitize=address,undefined",
    "-fno-sanitize=null,object-size,pointer-overflow",
    "-fno-sanitize-recover=all",
]
SANITIZE = ["-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


def variants(machine: str = platform.machine()) -> dict[str, list[str]]:
    """Name -> compiler flags of each variant of a machine; what setup.py builds."""
    namespace: dict = {}
    source = (ROOT / "setup.py").read_text()
    exec(compile(source.split("class ")[0], "setup.py", "exec"), namespace)
    return namespace["variants"](machine)


def compile_kernel(
    folder: Path,
    sources: list[str],
    program: Path,
    flags: list[str],
    simd: bool = True,
    cc: str | None = CC,
    machine: str = platform.machine(),
    more: tuple[Path, ...] = (),
) -> Path:
    """Compile the kernel and one test program, with every variant of the machine or the portable form alone.

    `more` programs are linked with the same objects, beside the first.
    """
    assert cc is not None
    base = [cc, "-I", str(KERNEL), "-I", str(ROOT / "tests" / "c"), *flags]
    if not simd:
        base.append("-DERNN_PORTABLE_ONLY")
    jobs = [[*base, "-std=gnu11", *STRICT, "-c", str(KERNEL / name)] for name in sources]
    for name, isa in variants(machine).items() if simd else ():
        fast = [*base, "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-fwrapv", *isa, f"-DERNN_VARIANT={name}"]
        jobs.append([*fast, "-c", str(KERNEL / "simd" / "variant.c")])
    objects = [str(folder / f"{number}.o") for number in range(len(jobs))]
    running = [subprocess.Popen([*job, "-o", o]) for job, o in zip(jobs, objects, strict=True)]
    assert [process.wait() for process in running] == [0] * len(jobs)
    for each in (program, *more):
        link = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", str(each), *objects, "-lm", "-o", str(folder / each.stem)]
        subprocess.run([*base, *link, "-Wl,--wrap=malloc"], check=True)
    return folder / program.stem


def model_bytes(graph: Graph) -> bytes:
    """A graph in the form that tests/c/model_file.h reads."""
    words = [graph.precision == "int8", len(graph.layers)]
    layers = [_layer(graph, index, layer) for index, layer in enumerate(graph.layers)]
    for *form, _ in layers:
        words += form
    parts = [np.array(words, np.int32).tobytes()]
    edge = ["sx"] if graph.precision == "int8" else ["mean", "std"]
    parts += [graph.arrays[name].tobytes() for name in edge]
    parts += [array.tobytes() for *_, arrays in layers for array in arrays]
    return b"".join(parts)


def replay_file(path: Path, graph: Graph, x, every: int = 0, **expected) -> Path:
    """A model file with its input and, if known, the logits (`xq`, `y_q` or `y`) and states that are right."""
    known = "y_q" in expected or "y" in expected
    parts = [model_bytes(graph), np.array([len(x), every, known], np.int32).tobytes()]
    parts.append(np.ascontiguousarray(x, np.float32).tobytes())
    for name, dtype in (("xq", np.int16), ("y_q", np.int32), ("y", np.float64)):
        if name in expected:
            parts.append(np.ascontiguousarray(expected[name], dtype).tobytes())
    parts += [state.to_bytes() for state in expected.get("states", [])]
    path.write_bytes(b"".join(parts))
    return path


def golden_states(graph: Graph, golden) -> list[State]:
    """The states after every 50 steps as the vectors keep them, in the canonical form."""
    states = []
    for row in range(len(golden["h_every_50"])):
        state = State(graph.states)
        offsets = {"h": 0, "s": 0, "c": 0}
        for spec, array in zip(state.specs, state.arrays, strict=True):
            kind = spec.name[0]
            source = golden["h_every_50" if kind == "h" else "s_every_50"][row]
            array[0] = source[offsets[kind] : offsets[kind] + spec.width]
            offsets[kind] += spec.width
        states.append(state)
    return states
