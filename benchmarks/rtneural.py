"""RTNeural: the same network in its compile-time layers over Eigen, compiled here for this machine, called from Python.

Optional: the environment variable RTNEURAL names a checkout of its sources; g++ with C++20 and Eigen (the checkout's
module, or the system's) build rtneural.cpp. It has GRU and LSTM layers, no plain RNN.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from collections.abc import Callable
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from edge_rnn.export.gates import to_onnx_order

from edge_rnn.graph import Graph

Step = Callable[[Any], Any]
LAYERS = {"gru": "GRULayerT", "lstm": "LSTMLayerT"}
NAME = "rtneural_network"
FLAGS = ["-std=c++20", "-O3", "-march=native", "-DNDEBUG", "-fPIC", "-shared", "-DEIGEN_STACK_ALLOCATION_LIMIT=0"]
BACKEND = ["-DRTNEURAL_USE_EIGEN=1", "-DRTNEURAL_DEFAULT_ALIGNMENT=32"]


def installed() -> bool:
    """Whether the sources are named, and a compiler is here."""
    return "RTNEURAL" in os.environ and shutil.which("g++") is not None


def step_of(graph: Graph) -> Step | None:
    """A bound step, or None where RTNeural has no such layer. Raises CalledProcessError when it does not compile."""
    *layers, last = graph.layers
    kind, units = layers[0].kind, layers[0].units
    if kind not in LAYERS:
        return None
    sizes = {"INPUTS": graph.inputs, "UNITS": units, "DEPTH": len(layers), "OUTPUTS": last.units}
    network = _compiled([f"-DRECURRENT={LAYERS[kind]}", *(f"-D{name}={size}" for name, size in sizes.items())])
    for index in range(len(layers)):
        w = graph.layer_arrays(index)
        w_ih, w_hh = (_keras(kind, w[name]).T for name in ("w_ih", "w_hh"))
        b_ih, b_hh = (_keras(kind, w[name]) for name in ("b_ih", "b_hh"))
        bias = np.stack([b_ih, b_hh]) if kind == "gru" else (b_ih + b_hh)[None]
        network.load(index, *(np.ascontiguousarray(array, np.float32) for array in (w_ih, w_hh, bias)))
    head = graph.layer_arrays(len(layers))
    network.finish(head["w"], head["b"], np.zeros(last.units, np.float32))
    step: Step = network.step
    return step


def _keras(kind: str, array: Any) -> Any:
    """Rows by gates in Keras' order: a GRU's z, r, n are ONNX's; an LSTM's i, f, g, o are torch's, as they are here."""
    return to_onnx_order(kind, array) if kind == "gru" else array


def _compiled(sizes: list[str]) -> Any:
    """The module for one network."""
    sources = Path(os.environ["RTNEURAL"])
    eigen = [sources / "modules" / "Eigen", Path("/usr/include/eigen3")]
    folders = [sources, *eigen, Path(sysconfig.get_path("include")), Path(np.get_include())]
    with TemporaryDirectory() as folder:
        target = Path(folder) / f"{NAME}.so"
        source = Path(__file__).with_suffix(".cpp")
        command = ["g++", *FLAGS, *BACKEND, *sizes, *(f"-isystem{path}" for path in folders), source, "-o", target]
        subprocess.run(command, check=True)
        spec = spec_from_file_location(NAME, target, loader=ExtensionFileLoader(NAME, str(target)))
        assert spec is not None
        assert spec.loader is not None
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
    return module
