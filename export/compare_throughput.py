"""How fast networks train, against the length of the sequence, with one thread and with two: the parallelism row.

A sample's cost is what it takes to run it forward and to back-propagate through it. Recurrent cells do the steps of a
sequence one after the other, whatever the threads; convolutions and attention do them together. Best of several
repeats: the least disturbed one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch

from .networks import Network

LENGTHS = (32, 128, 512)
THREADS = (1, 2)
BATCH = 32
LEAST_S = 0.4
REPEATS = 5


def throughput(
    network: Network, lengths: tuple[int, ...] = LENGTHS, on_step: Callable[[], None] = lambda: None
) -> dict[str, Any]:
    """Samples a second of training: {"lengths", "batch", "samples_per_s": {"1": [...], "2": [...]}}."""
    before = torch.get_num_threads()
    rates: dict[str, list[float]] = {}
    try:
        for threads in THREADS:
            torch.set_num_threads(threads)
            rates[str(threads)] = []
            for length in lengths:
                rates[str(threads)].append(round(_rate(network, length), 1))
                on_step()
    finally:
        torch.set_num_threads(before)
    return {"lengths": list(lengths), "batch": BATCH, "samples_per_s": rates}


def _rate(network: Network, length: int) -> float:
    x = torch.randn(BATCH, length, len(network.mean), generator=torch.Generator().manual_seed(1))
    best, spent, done = float("inf"), 0.0, 0
    _once(network, x)
    while done < REPEATS or spent < LEAST_S:
        began = time.perf_counter()
        _once(network, x)
        took = time.perf_counter() - began
        best, spent, done = min(best, took), spent + took, done + 1
    return x.shape[0] * length / best


def _once(network: Network, x: torch.Tensor) -> None:
    """Forward, and back from the last logits through every step."""
    network.zero_grad(set_to_none=True)
    network(x)[0][:, -1].square().mean().backward()
