"""Models made in memory, without a file or a training."""

from __future__ import annotations

import signal

import numpy as np
import pytest
from broker import Broker

from edge_rnn.engines.numpy import open_graph
from edge_rnn.graph import GATES, Graph, Layer
from edge_rnn.manifest import Channel, DetectorParams, GapPolicy, Manifest
from edge_rnn.model import Model

# A shell starts what it runs in the background deaf to SIGINT, and children inherit that; some tests send it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# What CI sends when its patience is out: like Ctrl-C it lets a test end the emulators and brokers that it has started.
signal.signal(signal.SIGTERM, signal.default_int_handler)

# Hypothesis fails an example that takes more than 200 ms and a test whose data come slowly: what a busy machine does.
try:
    from hypothesis import HealthCheck, settings
except ImportError:
    pass  # the emulated machine's few packages (arm64_python.py) run tests that do without
else:
    settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("patient")

QUICK = DetectorParams(smooth_ms=40, enter=0.5, exit=0.3, min_ms=20, refractory_ms=60)


def random_float_graph(seed: int = 0, inputs: int = 3, hidden: int = 5, outputs: int = 3, kind: str = "gru") -> Graph:
    """Weights so large that the classes come and go on white noise."""
    rng = np.random.default_rng(seed)
    rows = GATES[kind] * hidden
    arrays = {"mean": np.zeros(inputs), "std": np.ones(inputs)}
    arrays |= {"l0.w_ih": rng.normal(0, 1.5, (rows, inputs)), "l0.w_hh": rng.normal(0, 0.5, (rows, hidden))}
    arrays |= {"l0.b_ih": rng.normal(0, 0.3, rows), "l0.b_hh": rng.normal(0, 0.3, rows)}
    arrays |= {"l1.w": rng.normal(0, 3, (outputs, hidden)), "l1.b": rng.normal(0, 0.3, outputs)}
    layers = (Layer(kind, inputs, hidden, "tanh"), Layer("dense", hidden, outputs, "none"))
    return Graph("float32", layers, {name: a.astype(np.float32) for name, a in arrays.items()})


def model_of(graph: Graph, **changes) -> Model:
    """A model around a graph: 50 Hz, every class watched, warm-up 4, gaps 3 and 8 samples."""
    channels = tuple(Channel(f"c{i}", "g", 0.0, 1.0, -4.0, 4.0) for i in range(graph.inputs))
    labels = tuple(f"k{i}" for i in range(graph.outputs))
    fields = {
        "name": "test", "version": "1.0", "created_by": "tests", "model_digest": graph.digest(),
        "precision": graph.precision, "rate_hz": 50.0, "channels": channels, "labels": labels,
        "layers": graph.layers, "states": graph.states, "warmup_samples": 4, "gap": GapPolicy(3, 8),
        "detector": dict.fromkeys(labels, QUICK),
    }  # fmt: skip
    return Model(Manifest(**{**fields, **changes}), open_graph(graph))


@pytest.fixture(scope="session")
def model() -> Model:
    return model_of(random_float_graph())


@pytest.fixture(scope="session")
def noise() -> np.ndarray:
    """Samples (400, 3) that drive the model through all its classes."""
    rng = np.random.default_rng(7)
    slow = np.repeat(rng.normal(0, 1.5, (40, 3)), 10, axis=0)
    return (slow + rng.normal(0, 0.3, (400, 3))).astype(np.float32)


@pytest.fixture
def broker(tmp_path):
    """A real mosquitto that runs; skipped where there is none."""
    made = Broker(tmp_path)
    try:
        made.start()
        yield made
    finally:
        made.kill()
