"""verify with torch: edge_rnn.parity's comparison, and beside it how far PyTorch agrees. Never writes anything."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edge_rnn.arrays import Array
from edge_rnn.bundle import Bundle, read_bundle
from edge_rnn.engine import Engine, State
from edge_rnn.engines.integer import IntegerEngine, quantize_input
from edge_rnn.graph import Graph
from edge_rnn.parity import STEPS, Progress, Report
from edge_rnn.parity import verify as compare


def verify(
    bundle: Bundle | str | Path,
    engine: str | None = None,
    steps: int = STEPS,
    *,
    torch: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Every engine here (or one) against the golden stream and `steps` of probe input; see edge_rnn.parity.verify.

    `torch` makes PyTorch float32 the reference of a float32 bundle, as at export; an int8 bundle's is always the
    NumPy integers. Raises BundleError, UsageError for an engine that is not here, ImportError without torch.
    """
    opened = bundle if isinstance(bundle, Bundle) else read_bundle(bundle)
    reference = torch_reference(opened.graph) if torch else None
    return compare(opened, engine, steps, reference=reference, progress=progress)


def torch_reference(graph: Graph) -> Engine | None:
    """Who is right at export: torch for float32; nobody but the NumPy integers (None) for int8."""
    if graph.precision == "int8":
        return None
    from .torch_engine import TorchEngine

    return TorchEngine(graph)


def argmax_agreement(graph: Graph, quantized: Graph, stretches: list[Array]) -> float:
    """Share of samples whose largest logit is the same in torch and in the integers; state restarts at a stretch."""
    from .torch_engine import TorchEngine

    reference, engine = TorchEngine(graph), IntegerEngine(quantized)
    same: list[Array] = []
    for x in stretches:
        y, y_q = np.zeros((len(x), graph.outputs), np.float32), np.zeros((len(x), graph.outputs), np.int32)
        reference.run(x, State(graph.states), y)
        state = State(quantized.states)
        for t, code in enumerate(quantize_input(x, quantized.arrays["sx"])):
            engine.step_int(code[None], state, y_q[t : t + 1])
        same.append(y.argmax(axis=1) == y_q.argmax(axis=1))
    return float(np.concatenate(same).mean())
