"""`edge-rnn import`: a state dict and a TOML spec of its layers -> a bundle. No code of yours is run.

So there is no forward to compare with: give `expected`, logits that your network gave on the sample, to have them
checked. docs/your-model.md has the spec.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edge_rnn.arrays import Array
from edge_rnn.engine import State
from edge_rnn.engines.numpy import NumpyEngine
from edge_rnn.errors import DataError, UsageError
from edge_rnn.golden import close
from edge_rnn.graph import Activation, Graph, Kind
from edge_rnn.parity import STEPS, Progress

from .exporting import Exported, export_source
from .source import from_graph, normalisation, samples_of
from .torch_weights import Chain, conv, fastgrnn, linear, norm, past, recurrent

RECURRENT: Mapping[str, tuple[Kind, Activation]] = {
    "gru": ("gru", "tanh"),
    "lstm": ("lstm", "tanh"),
    "rnn": ("rnn", "tanh"),
    "rnn-relu": ("rnn", "relu"),
}
OTHERS: Mapping[str, str | None] = {
    "relu": None,
    "linear": None,
    "norm": None,
    "fastgrnn": None,
    "conv": "dilation",
    "window": "window",
    "statistics": "window",
}
"""Kind -> the size that the spec must tell; relu, window and statistics have no parameters and need no key."""
KEYS = {"channels", "labels", "rate_hz", "sample", "layer"}
OPTIONAL = {"units", "mean", "std", "background", "task", "window", "expected", "name", "version"}
WRAPPERS = ("state_dict", "model_state_dict", "model")
"""Keys under which training scripts put the state dict of a network beside other things."""


def import_bundle(
    state: str | Path,
    spec: str | Path,
    path: str | Path,
    *,
    precision: str = "float32",
    bits: int | None = None,
    input_scale: str = "auto",
    steps: int = STEPS,
    progress: Progress | None = None,
) -> Exported:
    """Read both files, check that every parameter has its place, export.

    Raises UsageError for a spec that does not fit, DataError for files that cannot be read.
    """
    path = Path(path)
    told = read_spec(spec)
    chain_mean, chain_std = normalisation(told.get("mean"), told.get("std"), len(told["channels"]))
    chain = Chain(chain_mean, chain_std)
    build(chain, told["layer"], read_state(state))
    graph = chain.graph()
    folder = Path(spec).parent
    x, starts = samples_of(_read_array(folder / told["sample"]), len(told["channels"]))
    if "expected" in told:
        _check_expected(graph, x, starts, _read_array(folder / told["expected"]))
    units = told.get("units", [""] * len(told["channels"]))
    if len(units) != len(told["channels"]):
        raise UsageError(f"{spec} has {len(units)} units for {len(told['channels'])} channels: give one for each")
    source = from_graph(
        graph,
        x,
        starts,
        channels=[{"name": name, "unit": unit} for name, unit in zip(told["channels"], units, strict=True)],
        labels=told["labels"],
        rate_hz=told["rate_hz"],
        background=told.get("background"),
        task=told.get("task", "classify"),
        window=told.get("window"),
    )
    names = {"name": told.get("name", path.name.removesuffix(".ernn")), "version": told.get("version", "1.0.0")}
    source = replace(source, facts=replace(source.facts, **names))
    return export_source(source, path, precision, bits=bits, input_scale=input_scale, steps=steps, progress=progress)


def build(chain: Chain, layers: list[dict[str, Any]], state: Mapping[str, Tensor]) -> None:
    """Put the layers of a spec, with their parameters, into `chain`; raises UsageError where something is left over."""
    left = dict(state)
    for number, layer in enumerate(layers):
        kind, key = str(layer.get("kind")), str(layer.get("key", ""))
        where = f"layer {number} ({kind}, key {key!r})"
        if kind not in RECURRENT and kind not in OTHERS:
            raise UsageError(f"{where}: the kind must be one of {', '.join([*OTHERS, *RECURRENT])}")
        size = OTHERS.get(kind)
        if set(layer) - {"kind", "key"} != ({size} if size else set()) or (size and type(layer[size]) is not int):
            raise UsageError(f"{where} of the spec has {layer}, expected kind, key" + (f" and {size}" if size else ""))
        if kind == "relu":
            chain.relu(where)
            continue
        if kind == "window" or kind == "statistics":
            chain.layers.append(past(kind, chain.units, layer["window"], where))
            continue
        prefix = f"{key}." if key else ""
        mine = [name for name in left if name.startswith(prefix)]
        if not mine:
            rest = ", ".join(sorted(left)) or "nothing"
            raise UsageError(f"{where}: the state dict has nothing under that key, what is left in it: {rest}")
        part = {name.removeprefix(prefix): left.pop(name) for name in mine}
        if kind == "linear":
            chain.layers.append(linear(part, where))
        elif kind == "conv":
            chain.layers.append(conv(part, layer["dilation"], where))
        elif kind == "norm":
            chain.layers.append(norm(part, where))
        elif kind == "fastgrnn":
            chain.layers.append(fastgrnn(part, where))
        else:
            chain.layers += recurrent(*RECURRENT[kind], part, where)
    if left:
        raise UsageError(
            f"the state dict also has {', '.join(sorted(left))}, which no layer of the spec takes: see "
            "docs/your-model.md for the layers a bundle has"
        )


def read_spec(path: str | Path) -> dict[str, Any]:
    """The TOML spec; raises UsageError for a key that is missing, unknown or of another type."""
    try:
        told = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read the spec {path}: {error}") from error
    missing, unknown = sorted(KEYS - set(told)), sorted(set(told) - KEYS - OPTIONAL)
    if missing or unknown:
        raise UsageError(f"{path} lacks {missing} and has unknown {unknown}: expected {sorted(KEYS | OPTIONAL)}")
    for key in ("channels", "labels", "layer"):
        kind: type = dict if key == "layer" else str
        if not isinstance(told[key], list) or not told[key] or not all(isinstance(item, kind) for item in told[key]):
            raise UsageError(f"{path}: {key} is {told[key]!r}, expected a list")
    if isinstance(told["rate_hz"], bool) or not isinstance(told["rate_hz"], int | float):
        raise UsageError(f"{path}: rate_hz is {told['rate_hz']!r}, expected a number")
    return told


def read_state(path: str | Path) -> dict[str, Tensor]:
    """A state dict, read without running code; raises DataError."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds: pickle, zip, runtime, eof
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{path} is not a state dict ({reason}): torch.save(network.state_dict(), path)") from error
    for wrapper in WRAPPERS:
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise DataError(f"{path} holds {type(state).__name__}, expected a state dict: names and tensors")
    return dict(state)


def _read_array(path: Path) -> Array:
    """.npy, .npz with one array or `x`, or .csv without a header; no pickle."""
    try:
        if path.suffix == ".csv":
            return np.loadtxt(path, delimiter=",", dtype=np.float64, ndmin=2)
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded:
            name = "x" if "x" in loaded.files else loaded.files[0]
            return np.asarray(loaded[name])
    except (OSError, ValueError, IndexError) as error:
        raise DataError(f"cannot read {path}: {error}: expected numbers as .npy, .npz or .csv") from error


def _check_expected(graph: Graph, x: Array, starts: tuple[int, ...], expected: Array) -> None:
    y = np.zeros((len(x), graph.outputs), np.float32)
    for start, stop in zip(starts, [*starts[1:], len(x)], strict=True):
        NumpyEngine(graph).run(x[start:stop], State(graph.states), y[start:stop])
    last = np.array([*starts[1:], len(x)]) - 1
    ours = y[last] if expected.size == len(starts) * graph.outputs else y
    if expected.size != ours.size:
        raise UsageError(f"expected is {expected.shape}, the network gives {y.shape}, or {y[last].shape} at the ends")
    came = np.asarray(expected, np.float64).reshape(ours.shape)
    bad = ~close(ours, came)
    if bad.any():
        raise UsageError(f"the layers of the spec do not give the expected logits, first at row {int(bad.argmax())}")
