"""The architectures by name: what `--arch` builds, and its sizes where none are given.

Names and numbers alone; a network is built from the layers by networks.py. `window` is how far back a network looks
that has no recurrence: the training window, so that at a window's end all of it has been seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, gcd
from typing import Any

from edge_rnn.errors import UsageError
from edge_rnn.layer import STATISTICS

KERNEL = 5
HEADS = 4


@dataclass(frozen=True)
class Sizes:
    """Units a layer and hidden layers (blocks, for the Transformer), where nobody asks for others."""

    hidden: int
    layers: int


ARCHITECTURES: Mapping[str, Sizes] = {
    "perceptron": Sizes(0, 0),
    "mlp": Sizes(64, 1),
    "stats-mlp": Sizes(64, 1),
    "rnn": Sizes(32, 1),
    "rnn-relu": Sizes(32, 1),
    "gru": Sizes(32, 1),
    "lstm": Sizes(32, 1),
    "fastgrnn": Sizes(32, 1),
    "cnn": Sizes(16, 5),
    "transformer": Sizes(16, 2),
}
"""The sizes of the published comparison on the inertial recordings (docs/accuracy.md)."""
RECURRENT = {"rnn": "tanh", "rnn-relu": "relu", "gru": "tanh", "lstm": "tanh", "fastgrnn": "tanh"}


def layers_of(
    arch: str, inputs: int, hidden: int | None = None, layers: int | None = None, window: int | None = None
) -> list[dict[str, Any]]:
    """The hidden layers of an architecture, as `Network` takes them; raises UsageError for a name that is not known."""
    if arch not in ARCHITECTURES:
        raise UsageError(f"architecture is {arch!r}, expected one of {', '.join(ARCHITECTURES)}")
    units = hidden or ARCHITECTURES[arch].hidden
    depth = layers or ARCHITECTURES[arch].layers
    if arch in RECURRENT:
        return [{"kind": arch.removesuffix("-relu"), "units": units, "activation": RECURRENT[arch]}] * depth
    if arch == "cnn":
        taps = {"kind": "conv", "units": units, "activation": "relu", "kernel": KERNEL}
        return [{**taps, "dilation": 2**i} for i in range(depth)]
    if window is None and arch in ("stats-mlp", "transformer"):
        raise UsageError(f"architecture {arch} looks back over a window: say how many samples it has")
    if arch == "transformer":
        return _transformer(units, depth, window or 2)
    return _windowed(arch, inputs, units, depth, window)


def _windowed(arch: str, inputs: int, units: int, depth: int, window: int | None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if window is not None:
        found.append({"kind": "window", "units": window * inputs, "activation": "none", "window": window})
    if arch == "stats-mlp":
        found.append({"kind": "statistics", "units": len(STATISTICS) * inputs, "activation": "none", "window": window})
    return found + [{"kind": "dense", "units": units, "activation": "relu"}] * (0 if arch == "perceptron" else depth)


def _transformer(units: int, depth: int, window: int) -> list[dict[str, Any]]:
    """An embedding, pre-norm blocks whose attentions reach over the window together, and a last norm."""
    reach = ceil((window - 1) / depth) + 1
    form = {"units": units, "activation": "none"}
    block: list[dict[str, Any]] = [
        {**form, "kind": "attention", "window": reach, "heads": gcd(HEADS, units)},
        {"kind": "feedforward", "units": units, "activation": "relu", "hidden": 2 * units},
    ]
    return [{**form, "kind": "dense"}, *block * depth, {**form, "kind": "norm"}]
