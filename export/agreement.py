"""How an int8 model does beside the float network it came from, on recordings neither has seen.

It only looks: no training, no files. Shares are fractions of 1; a disagreement is another argmax.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from edge_rnn.arrays import Array
from edge_rnn.engine import State
from edge_rnn.engines.integer import IntegerEngine, quantize_input
from edge_rnn.graph import Graph

from .calibration import Calibration
from .datasets import UNKNOWN, Recordings
from .networks import Network

I32 = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Agreement:
    """Accuracies of both forms, and how often they answer alike over all samples of recordings read whole.

    `quarters` is the agreement in each quarter of every recording: drift would show as a fall.
    """

    float_windows: float
    int8_windows: float
    float_stream: float
    int8_stream: float
    agreement: float
    quarters: tuple[float, float, float, float]
    rmse: float
    largest_logit: float
    samples: int

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@torch.no_grad()
def compare(network: Network, graph: Graph, data: Recordings, window: int, hop: int) -> Agreement:
    """`network` (eval mode) against its int8 `graph`: windows from zero state, then recordings whole."""
    starts, labels = data.windows(window, hop)
    rows = starts[:, None] + np.arange(window)
    cut = data.values()[rows]
    right = [
        float((answers == labels).mean())
        for answers in (
            network(torch.from_numpy(cut))[0][:, -1].argmax(1).numpy(),
            integer_logits(graph, cut.swapaxes(0, 1))[-1].argmax(axis=1),
        )
    ]
    floats = np.concatenate([network(torch.from_numpy(data.values(r))[None])[0][0].numpy() for r in range(len(data))])
    x, valid = Calibration(data.values(), data.rec_start[:-1].tolist()).blocks(len(data.x))
    integers = integer_logits(graph, x).swapaxes(0, 1)[valid.T] / 65536
    same = floats.argmax(axis=1) == integers.argmax(axis=1)
    known = data.label != UNKNOWN
    lengths = np.diff(data.rec_start)
    quarter = np.concatenate([np.arange(n) * 4 // n for n in lengths])
    first, second, third, fourth = (float(same[quarter == q].mean()) for q in range(4))
    return Agreement(
        float_windows=right[0],
        int8_windows=right[1],
        float_stream=float((floats.argmax(axis=1) == data.label)[known].mean()),
        int8_stream=float((integers.argmax(axis=1) == data.label)[known].mean()),
        agreement=float(same.mean()),
        quarters=(first, second, third, fourth),
        rmse=float(np.sqrt(np.mean((floats - integers) ** 2))),
        largest_logit=float(np.abs(floats).max()),
        samples=len(same),
    )


def integer_logits(graph: Graph, x: Array) -> I32:
    """Q16 logits (T, N, C) of x (T, N, I) float32, N streams side by side from the zero state."""
    engine, state = IntegerEngine(graph), State(graph.states, x.shape[1])
    out = np.zeros((x.shape[0], x.shape[1], graph.outputs), np.int32)
    for sample, logits in zip(x, out, strict=True):
        engine.step_int(quantize_input(sample, graph.arrays["sx"]), state, logits)
    return out
