"""How fast networks train, against the length of the sequence, with one thread and with two: the parallelism row.

A sample's cost is what it takes to run it forward and to back-propagate through it. Recurrent cells do the steps of a
sequence one after the other, whatever the threads; convolutions and attention do them together. The best of several
turns counts, the least disturbed one; two threads need two idle cores, so how busy the machine was is told beside it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import torch

from .networks import Network

LENGTHS = (32, 128, 512)
THREADS = (1, 2)
BATCH = 16
TURNS = (3, 20)
"""At least, at most."""
LEAST_S = 0.5


def throughput(
    network: Network, lengths: tuple[int, ...] = LENGTHS, on_step: Callable[[], None] = lambda: None
) -> dict[str, Any]:
    """Samples a second: {"lengths", "batch", "samples_per_s": {"1": [...], "2": [...]}, "load", "cores"}."""
    before = torch.get_num_threads()
    rates: dict[str, list[float]] = {}
    try:
        for threads in THREADS:
            torch.set_num_threads(threads)
            rates[str(threads)] = [round(BATCH * length / _best(network, length, threads), 1) for length in lengths]
            on_step()
    finally:
        torch.set_num_threads(before)
    busy = {"load": round(os.getloadavg()[0], 1), "cores": os.cpu_count()}
    return {"lengths": list(lengths), "batch": BATCH, "samples_per_s": rates, **busy}


def _best(network: Network, length: int, threads: int) -> float:
    """Seconds of the best turn. One thread is timed by its own CPU clock, which others on the machine cannot stop."""
    clock = time.thread_time if threads == 1 else time.perf_counter
    x = torch.randn(BATCH, length, len(network.mean), generator=torch.Generator().manual_seed(1))
    best, began, done = float("inf"), time.perf_counter(), 0
    _once(network, x)
    least, most = TURNS
    while done < least or (time.perf_counter() - began < LEAST_S and done < most):
        before = clock()
        _once(network, x)
        best, done = min(best, clock() - before), done + 1
    return best


def _once(network: Network, x: torch.Tensor) -> None:
    """Forward, and back from the last logits through every step."""
    network.zero_grad(set_to_none=True)
    network(x)[0][:, -1].square().mean().backward()
