"""Units with a long memory: where a 16-bit state would stand still, ours follows within the bounds of docs/numeric.md.

Each unit has its own time constant tau (samples) and target and no other input, so its course is known exactly.
"""

import numpy as np
import pytest
from edge_rnn.export.quantize import quantize_with

from edge_rnn.engine import State
from edge_rnn.engines.integer import IntegerEngine, mulr24, round_shift
from edge_rnn.engines.lut import sigmoid_q24, tanh_q23
from edge_rnn.graph import Graph, Layer

TAUS = np.repeat([1e2, 1e3, 1e4, 1e5], 3)
TARGETS = np.tile([0.3, -0.8, 0.95], 4)
UNITS = len(TAUS)
STEPS = 250_000
KEEP = np.log(TAUS - 1)
"""sigma(KEEP) = 1 - 1 / tau."""


def driven(kind: str, rows: dict[int, np.ndarray]) -> Graph:
    """A cell whose weights are 0 and whose gates are the constants `rows` (gate -> pre-activation of each unit)."""
    layer = Layer(kind, 1, UNITS, "tanh")
    arrays = {"mean": np.zeros(1, np.float32), "std": np.ones(1, np.float32)}
    arrays |= {name: np.zeros(shape, np.float32) for name, (_, shape) in layer.arrays(0, "float32").items()}
    for gate, values in rows.items():
        arrays["l0.b_ih"][gate * UNITS : (gate + 1) * UNITS] = values
    arrays |= {"l1.w": np.eye(UNITS, dtype=np.float32), "l1.b": np.zeros(UNITS, np.float32)}
    graph = Graph("float32", (layer, Layer("dense", UNITS, UNITS, "none")), arrays)
    return quantize_with(graph, np.ones(1, np.float32), [None, None])


def exact(steps: np.ndarray) -> np.ndarray:
    """The course from 0 to the target: target (1 - (1 - 1/tau)^t), (len(steps), units)."""
    return TARGETS * -np.expm1(steps[:, None] * np.log1p(-1 / TAUS))


def course(step, state: np.ndarray, every: int = 1000) -> tuple[np.ndarray, np.ndarray]:
    """Run `step` and keep each `every`-th state."""
    kept = []
    for t in range(1, STEPS + 1):
        state = step(state)
        if t % every == 0:
            kept.append(state)
    return np.arange(every, STEPS + 1, every), np.array(kept)


def assert_engine_takes_the_same_steps(graph: Graph, name: str, step) -> None:
    """The loop below is the engine's own recurrence: the first steps prove it."""
    engine, state, mine = IntegerEngine(graph), State(graph.states), np.zeros(UNITS, np.int64)
    index = [spec.name for spec in graph.states].index(name)
    for _ in range(300):
        engine.step_int(np.zeros((1, 1), np.int16), state, np.zeros((1, UNITS), np.int32))
        mine = step(mine)
        np.testing.assert_array_equal(state.arrays[index][0], mine)


def test_a_slow_gru_unit_stays_within_a_thousandth_of_its_course():
    graph = driven("gru", {1: KEEP, 2: np.arctanh(TARGETS)})
    b = graph.arrays["l0.b"].astype(np.int64)
    z, n = sigmoid_q24(b[UNITS : 2 * UNITS]), 32 * tanh_q23(b[2 * UNITS :])

    def step(s):
        return n + mulr24(s - n, z)

    assert_engine_takes_the_same_steps(graph, "s0", step)
    t, s = course(step, np.zeros(UNITS, np.int64))
    error = np.abs(s / 2**28 - exact(t)).max(axis=0)
    assert (error < 1e-3).all(), error


def test_a_slow_lstm_unit_stays_within_the_price_of_its_range():
    graph = driven("lstm", {0: -KEEP, 1: KEEP, 2: np.arctanh(TARGETS)})
    b = graph.arrays["l0.b"].astype(np.int64)
    i, f, g = (sigmoid_q24(b[k * UNITS : (k + 1) * UNITS]) for k in range(3))
    g = tanh_q23(b[2 * UNITS : 3 * UNITS])

    def step(c):
        return round_shift(c * f * 8 + i * g, 27)

    assert_engine_takes_the_same_steps(graph, "c0", step)
    t, c = course(step, np.zeros(UNITS, np.int64))
    error = np.abs(c / 2**20 - exact(t)).max(axis=0)
    assert (error < TAUS * 2**-21 + 1e-3).all(), error


def test_a_slow_fastgrnn_unit_stays_within_what_its_gate_tells():
    """zeta = 0 and nu = 1 / tau of the slowest: h settles at tanh * nu / (1 - z), so the targets are other ones."""
    layer, nu, e = Layer("fastgrnn", 1, UNITS, "tanh"), 0.25 / TAUS.max(), 1
    arrays = {"mean": np.zeros(1, np.float32), "std": np.ones(1, np.float32)}
    arrays |= {name: np.zeros(shape, np.float32) for name, (_, shape) in layer.arrays(0, "float32").items()}
    arrays["l0.b_z"], arrays["l0.b_h"] = KEEP.astype(np.float32), np.arctanh(TARGETS).astype(np.float32)
    arrays["l0.zeta"], arrays["l0.nu"] = np.full(1, 0.25, np.float32), np.full(1, nu, np.float32)
    arrays |= {"l1.w": np.eye(UNITS, dtype=np.float32), "l1.b": np.zeros(UNITS, np.float32)}
    floats = Graph("float32", (layer, Layer("dense", UNITS, UNITS, "none")), arrays)
    graph = quantize_with(floats, np.ones(1, np.float32), [e, None])
    a = {name.removeprefix("l0."): array.astype(np.int64) for name, array in graph.arrays.items()}
    z, t = sigmoid_q24(a["b_z"]), tanh_q23(a["b_h"])
    n = round_shift((mulr24(2**24 - z, a["zeta"]) + a["nu"]) * t, 18 + e)

    def step(s):
        return np.clip(n + mulr24(s, z), -(2**29), 2**29)

    assert_engine_takes_the_same_steps(graph, "s0", step)
    times, s = course(step, np.zeros(UNITS, np.int64))
    target = TARGETS * (0.25 + TAUS * nu)
    wanted = target * -np.expm1(times[:, None] * np.log1p(-1 / TAUS))
    error = np.abs(s / 2 ** (29 - e) - wanted).max(axis=0)
    assert (error < TAUS * (2**-21 + 2.0 ** (e - 29)) + 1e-3).all(), error


@pytest.mark.parametrize("tau", [1e4, 1e5])
def test_sixteen_bits_of_state_would_stand_still(tau):
    """The control: the same recurrence in Q15 never arrives, so the tests above can fail."""
    s, z, n = 0, round((1 - 1 / tau) * 2**24), round(0.3 * 2**15)
    for _ in range(int(5 * tau)):
        new = n + ((s - n) * z + 2**23 >> 24)
        if new == s:
            break
        s = new
    assert abs(s / 2**15 - 0.3) > 0.05
