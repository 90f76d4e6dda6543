"""What a recurrent network's gates and units do on real samples: how often shut or open, at their stop, or never used.

A gate's mean memory is the time constant of its keeping: with h_t = z h_(t-1) + ..., what was there t steps ago counts
exp(-t / tau), tau = -1 / mean(log z). It looks at a copy of the network, and at recurrent layers alone.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from .networks import Network

SHUT, OPEN = 0.1, 0.9
"""Below and above these a sigmoid gate passes little gradient of its own (its slope there is 36 % of the steepest)."""
STOP = 0.95
STILL = 1e-3

NAMES: Mapping[str, tuple[str, ...]] = {
    "gru": ("reset", "update"),
    "lstm": ("input", "forget", "cell", "output"),
    "fastgrnn": ("update",),
}
"""Blocks of rows of a kind's matrices, as torch has them; a GRU's third, the candidate, is no gate."""
KEEPS: Mapping[str, str] = {"gru": "update", "lstm": "forget", "fastgrnn": "update"}


@torch.no_grad()
def saturation(network: Network, x: Tensor) -> list[dict[str, Any]]:
    """One entry a recurrent layer, on x (B, T, I) physical values from the zero state.

    {"layer", "kind", "units": {"at_stop", "still"}, "gates": {name: {"shut", "open"}}, "memory_steps": {"median",
    "longest"}}: shares of time and units; the last two where the kind has gates. A tanh unit is at its stop above 0.95
    in size, a ReLU unit at 0.
    """
    network = copy.deepcopy(network).eval()
    seen = _sequences(network, x)
    found = []
    for index, (layer, module) in enumerate(zip(network.graph_layers, network.layers, strict=False)):
        if index not in seen:
            continue
        given, h = seen[index]
        moved = h.flatten(0, 1).amax(0) - h.flatten(0, 1).amin(0)
        entry: dict[str, Any] = {"layer": index, "kind": layer.kind}
        at_stop = (h.abs() > STOP).float().mean() if layer.activation == "tanh" else (h == 0).float().mean()
        entry["units"] = {"at_stop": float(at_stop), "still": float((moved < STILL).float().mean())}
        if layer.kind in NAMES:
            entry |= _gates(layer.kind, layer.units, module, given, h)
        found.append(entry)
    return found


def _gates(kind: str, units: int, module: Any, given: Tensor, h: Tensor) -> dict[str, Any]:
    before = torch.cat([torch.zeros_like(h[:, :1]), h[:, :-1]], 1)
    sums = given @ module.weight_ih_l0.T + before @ module.weight_hh_l0.T
    sums = sums + (module.bias_z if kind == "fastgrnn" else module.bias_ih_l0 + module.bias_hh_l0)
    told: dict[str, Any] = {"gates": {}}
    for block, name in enumerate(NAMES[kind]):
        if name == "cell":
            continue
        gate = torch.sigmoid(sums[..., block * units : (block + 1) * units])
        told["gates"][name] = {
            "shut": float((gate < SHUT).float().mean()),
            "open": float((gate > OPEN).float().mean()),
        }
        if name == KEEPS[kind]:
            tau = -1 / gate.clamp(1e-7, 1 - 1e-7).log().flatten(0, 1).mean(0)
            told["memory_steps"] = {"median": float(tau.median()), "longest": float(tau.max())}
    return told


def _sequences(network: Network, x: Tensor) -> dict[int, tuple[Tensor, Tensor]]:
    """Recurrent layer -> its input and output sequences (B, T, width)."""
    seen: dict[int, tuple[Tensor, Tensor]] = {}

    def hook(index: int) -> Any:
        def keep(_: Any, given: tuple[Any, ...], made: Any) -> None:
            seen[index] = (given[0], made[0])

        return keep

    for index, (layer, module) in enumerate(zip(network.graph_layers, network.layers, strict=False)):
        if layer.past is None:  # recurrent
            module.register_forward_hook(hook(index))
    network(x)
    return seen
