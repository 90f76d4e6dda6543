"""Bundles around graphs, for the firmware tests: what is checked is the C, so nothing of ONNX is in them."""

from __future__ import annotations

import numpy as np
from edge_rnn.export.firmware_check import Truth

from edge_rnn.arrays import pack_arrays
from edge_rnn.bundle import Bundle
from edge_rnn.engine import State
from edge_rnn.engines.numpy import open_graph
from edge_rnn.graph import Graph
from edge_rnn.manifest import Channel, GapPolicy, Manifest


def bundle_of(graph: Graph, peak: float = 4.0, labels: tuple[str, ...] | None = None, name: str = "test") -> Bundle:
    """A bundle whose golden stream is 40 steps of noise; `peak` is the largest training value of every channel."""
    channels = tuple(Channel(f"c{i}", "g", 0.0, peak / 3, -peak, peak) for i in range(graph.inputs))
    manifest = Manifest(
        name=name, version="1.0", created_by="tests", model_digest=graph.digest(), precision=graph.precision,
        rate_hz=50.0, channels=channels, labels=labels or tuple(f"k{i}" for i in range(graph.outputs)),
        layers=graph.layers, states=graph.states, warmup_samples=4, gap=GapPolicy(3, 8), detector={},
        input={"sx": graph.arrays["sx"].tolist()} if graph.precision == "int8" else {},
    )  # fmt: skip
    x = np.random.default_rng(1).normal(0, peak / 3, (40, graph.inputs)).astype(np.float32)
    engine, state = open_graph(graph), State(graph.states)
    golden = {"x": x, "y": np.zeros((40, graph.outputs), np.float32)}
    if graph.precision == "int8":
        golden = {"x": x, "y_q": np.zeros((40, graph.outputs), np.int32)}
        codes = np.clip(np.rint(x / graph.arrays["sx"]), -32768, 32767).astype(np.int16)
        for t in range(40):
            engine.step_int(codes[t : t + 1], state, golden["y_q"][t : t + 1])
    else:
        engine.run(x, state, golden["y"])
    golden |= {f"state.{s.name}": a[0] for s, a in zip(graph.states, state.arrays, strict=True)}
    return Bundle(manifest, graph, pack_arrays(golden), b"")


def golden_truth(golden: dict, graph: Graph) -> Truth:
    """What the golden vectors, which somebody else made, say of their 3,000 steps."""
    parts, at = [], 0
    for index, layer in enumerate(graph.layers[:-1]):
        rows = slice(at, at + layer.units)
        values = {"h": golden["h_every_50"][-1, rows], "s": golden["s_every_50"][-1, rows]}
        values["c"] = values["s"]
        parts += [values[s.name[0]].astype(s.dtype).tobytes() for s in layer.states(index, "int8")]
        at += layer.units
    return Truth(golden["x"], golden["y_q"], b"".join(parts))
