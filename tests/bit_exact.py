"""onnxruntime beside the integer engine, every output and every state compared, bit for bit."""

from __future__ import annotations

import numpy as np
import onnxruntime

from edge_rnn.engine import State
from edge_rnn.engines.integer import IntegerEngine, quantize_input
from edge_rnn.graph import Graph


def session(blob: bytes, optimised: bool = True) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    level = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_ENABLE_ALL if optimised else level.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(blob, options, providers=["CPUExecutionProvider"])


def assert_same_bits(graph: Graph, x: np.ndarray, run, start: State | None = None) -> None:
    """Both engines over x (T, N, I); `run(feeds)` gives y, y_q and the states. The first difference names its step."""
    engine, state = IntegerEngine(graph), start or State(graph.states, x.shape[1])
    theirs = [a.copy() for a in state.arrays]
    logits = np.zeros((x.shape[1], graph.outputs), np.int32)
    for t, sample in enumerate(x):
        feeds = {"x": sample, **{f"{s.name}_in": a for s, a in zip(graph.states, theirs, strict=True)}}
        y, y_q, *theirs = run(feeds)
        engine.step_int(quantize_input(sample, graph.arrays["sx"]), state, logits)
        np.testing.assert_array_equal(y_q, logits, err_msg=f"logits of step {t}")
        np.testing.assert_array_equal(y, (logits / 65536).astype(np.float32), err_msg=f"float logits of step {t}")
        for spec, mine, other in zip(graph.states, state.arrays, theirs, strict=True):
            assert other.dtype == mine.dtype
            np.testing.assert_array_equal(other, mine, err_msg=f"state {spec.name} after step {t}")


def hostile(rng, graph: Graph, steps: int, streams: int) -> np.ndarray:
    """Quiet walks, then bursts beyond the range, then rails; each third of the steps."""
    reach = graph.arrays["sx"] * 32767
    x = np.cumsum(rng.normal(0, 0.1, (steps, streams, graph.inputs)), axis=0)
    x[steps // 3 :] *= rng.choice([1, 100], (steps - steps // 3, streams, 1))
    x[2 * steps // 3 :] = rng.choice([-1e6, 1e6, 0, 1e-6], (steps - 2 * steps // 3, streams, graph.inputs))
    return (x * reach).astype(np.float32)
