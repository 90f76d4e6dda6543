"""What quantization-aware training costs a step, beside plain training in the same run.

    python -m benchmarks.qat

Interleaved, one thread, batches of 128 windows of 128 samples.
"""

from __future__ import annotations

import time

import numpy as np
import torch
from edge_rnn.export.networks import Network
from edge_rnn.export.qat import Rounded

STEPS = 60


def seconds_a_step(arch: str) -> dict[str, list[float]]:
    """`plain` and `rounded` -> the time of each training step."""
    made = Network.of(arch, 6, 6)
    contestants = {"plain": made, "rounded": Rounded(made, 8, [1.0] * 6).train()}
    optimizer = torch.optim.AdamW(made.parameters(), lr=1e-4, fused=True)
    x, target = torch.randn(128, 128, 6), torch.randint(6, (128,))
    spent: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(STEPS):
        for name, module in contestants.items():
            began = time.perf_counter()
            loss = torch.nn.functional.cross_entropy(module(x)[0][:, -1], target)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            spent[name].append(time.perf_counter() - began)
    return spent


def main() -> None:
    """A line an architecture."""
    torch.set_num_threads(1)
    for arch in ("rnn", "gru", "lstm"):
        spent = seconds_a_step(arch)
        for name, times in spent.items():
            p50, p99, worst = np.percentile(np.array(times[5:]) * 1e3, [50, 99, 100])
            print(f"{arch:5} {name:8} p50 {p50:6.1f} ms   p99 {p99:6.1f} ms   max {worst:6.1f} ms")
        ratio = np.median(np.array(spent["rounded"][5:]) / np.array(spent["plain"][5:]))
        print(f"{arch:5} rounded / plain, median of pairs: {ratio:.3f}")


if __name__ == "__main__":
    main()
