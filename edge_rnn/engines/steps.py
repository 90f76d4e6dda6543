"""What an engine that only knows `step` needs to be whole: T steps in a row, of many streams, and a checked one."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..engine import F32, I64, Engine, State, Step, as_sample
from ..graph import Graph
from ..reach import reach


def run_by_steps(engine: Engine, x: F32, state: State, out: F32) -> None:
    """T steps of one stream, one after the other."""
    for t in range(len(x)):
        engine.step(x[t : t + 1], state, out[t : t + 1])


def bind_step(engine: Engine, graph: Graph, state: State) -> Step:
    """A function sample -> logits that checks the sample; the array it returns is reused at the next step."""
    out: F32 = np.zeros((1, graph.outputs), np.float32)
    inputs, most = graph.inputs, reach(graph)
    row: F32 = out[0]

    def step(sample: Any) -> F32:
        engine.step(as_sample(sample, inputs, most), state, out)
        return row

    return step


def runs_by_run(engine: Engine, x: F32, rows: I64, where: I64, state: State, out: F32) -> None:
    """`Engine.runs` for engines that have nothing better than `run`, one stream after the other."""
    one, start = State(state.specs), 0
    for at, stop in zip(where.tolist(), rows.cumsum().tolist(), strict=True):
        one.arrays = tuple(array[at : at + 1] for array in state.arrays)
        engine.run(x[start:stop], one, out[start:stop])
        start = stop
