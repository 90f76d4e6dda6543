"""The measurements behind docs/performance.md: one network at a time, every contestant verified before it is timed."""

from __future__ import annotations

from typing import Any

import numpy as np

from edge_rnn.engine import State
from edge_rnn.engines.native import NativeEngine, variants
from edge_rnn.engines.numpy import open_graph

from . import litert, rtneural
from .measure import agree, cold, collect, interleave, over, tail
from .networks import NETWORKS, float_network, int8_network, sensor
from .rivals import Onnxruntime, torch_step
from .start import measure_start

CHUNK = 50
GROUP = 1024
SEQUENCE = 1000


def native_step(graph: Any, isa: str | None = None) -> Any:
    """A bound step of the native engine."""
    return NativeEngine(graph, isa).bind(State(graph.states))


def measure_step(name: str, seconds: float, with_torch: bool = True) -> dict[str, Any]:
    """One network, one step a call: us a step of each contestant, tails, cold caches."""
    graph = float_network(name)
    exact = int8_network(graph)
    narrow = [isa for isa in ("avx2",) if isa in variants()]
    steps = {"native float32": native_step(graph), "native int8": native_step(exact)}
    steps |= {f"native float32 {isa}": native_step(graph, isa) for isa in narrow}
    steps |= {f"native int8 {isa}": native_step(exact, isa) for isa in narrow}
    steps |= {"onnxruntime bound": Onnxruntime(graph).bound(), "onnxruntime run": Onnxruntime(graph).plain()}
    if litert.installed():
        steps |= {"litert in place": litert.Litert(graph).in_place(), "litert": litert.Litert(graph).public()}
    if rtneural.installed() and (compiled := rtneural.step_of(graph)):
        steps["rtneural"] = compiled
    if with_torch:
        steps["torch"] = torch_step(graph)
    x = sensor(graph.inputs, CHUNK)
    samples = list(x)
    outputs = {key: collect(step, samples) for key, step in steps.items()}
    agree({key: y for key, y in outputs.items() if "int8" not in key}, 1e-4)
    truth, state = open_graph(exact), State(exact.states)
    integers = np.empty((CHUNK, exact.outputs), np.float32)
    truth.run(x, state, integers)
    agree({"numpy": integers, **{key: y for key, y in outputs.items() if "int8" in key}}, 0.0)
    chunks = {key: over(step, samples) for key, step in steps.items()}
    times = interleave(chunks, dict.fromkeys(chunks, CHUNK), seconds)
    few = {key: steps[key] for key in ("native float32", "native int8", "onnxruntime bound")}
    return {"step": times, "tail": tail(few, samples, 10), "cold_us": cold(few, samples, 300)}


def measure_sequence(name: str, seconds: float) -> dict[str, Any]:
    """1,000 steps in one call, against onnxruntime's operator over the sequence; both from zeros made beforehand."""
    graph = float_network(name)
    engine, state, rival = NativeEngine(graph), State(graph.states), Onnxruntime(graph, sequence=True)
    x, y = sensor(graph.inputs, SEQUENCE), np.empty((SEQUENCE, graph.outputs), np.float32)

    def ours() -> Any:
        state.zero()
        engine.run(x, state, y)
        return y

    agree({"native": ours(), "onnxruntime": rival.run(x)}, 1e-4)
    calls = {"native": ours, "onnxruntime": lambda: rival.run(x)}
    return interleave(calls, dict.fromkeys(calls, SEQUENCE), seconds)


def measure_group(name: str, seconds: float) -> dict[str, Any]:
    """1,024 streams a call, against onnxruntime with that batch, both on prepared buffers; us a stream's step."""
    graph = float_network(name)
    engine, state, rival = NativeEngine(graph), State(graph.states, GROUP), Onnxruntime(graph, GROUP)
    theirs = rival.bound()
    x, y = sensor(graph.inputs, GROUP), np.empty((GROUP, graph.outputs), np.float32)
    engine.step(x, state, y)
    agree({"native": y, "onnxruntime": theirs(x)}, 1e-4)
    calls = {"native": lambda: engine.step(x, state, y), "onnxruntime": lambda: theirs(x)}
    return interleave(calls, dict.fromkeys(calls, GROUP), seconds)


def all_networks(seconds: float, names: list[str] | None = None, tell: Any = lambda _: None) -> dict[str, Any]:
    """Everything, one network after the other; `tell` hears what is being timed."""
    report: dict[str, Any] = {"variants": variants(), "networks": {}}
    for name in names or list(NETWORKS):
        tell(name)
        found = measure_step(name, seconds)
        found["sequence"] = measure_sequence(name, seconds / 3)
        found["group"] = measure_group(name, seconds / 3)
        found["start"] = measure_start(float_network(name))
        report["networks"][name] = found
    return report
