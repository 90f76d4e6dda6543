"""Graph and facts -> NAME.ernn: deterministic bytes, proven on every engine here, then written in one move.

A bundle that disagrees with its reference is never left behind, and a file that stood there before stays.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

import edge_rnn
from edge_rnn.arrays import Array, pack_arrays
from edge_rnn.atomic import write_atomically
from edge_rnn.bundle import Bundle, parse_bundle
from edge_rnn.engine import State
from edge_rnn.engines.integer import IntegerEngine, quantize_input
from edge_rnn.errors import DataError, ParityError, UsageError
from edge_rnn.graph import Graph
from edge_rnn.manifest import Channel, DetectorParams, GapPolicy, Manifest
from edge_rnn.onnx_metadata import metadata_of
from edge_rnn.parity import STEPS, Report, verify
from edge_rnn.probe import SEED, saturate
from edge_rnn.stored_zip import pack_zip

from .verify import torch_reference

GOLDEN_STEPS = 256
SHORT_GAP = 3
"""Samples that the gap policy fills in without a word (docs/detection.md)."""


@dataclass(frozen=True)
class Facts:
    """What a bundle says of a model besides its graph.

    `golden_x` (T, I) are real samples in the channels' units; T may be small, it is repeated where the golden stream
    needs more. `warmup_samples` is the training window.
    """

    channels: tuple[Channel, ...]
    labels: tuple[str, ...]
    rate_hz: float
    warmup_samples: int
    golden_x: Array = field(repr=False)
    background: str | None = None
    events: tuple[str, ...] = ()
    """Labels that are detected; none: all but the background."""
    task: str = "classify"
    training: Mapping[str, Any] | None = None
    name: str = "model"
    version: str = "1.0.0"


def write_bundle(
    graph: Graph,
    facts: Facts,
    path: str | Path,
    *,
    steps: int = STEPS,
    progress: Callable[[int], None] | None = None,
) -> tuple[Bundle, Report]:
    """Build, prove and write a bundle.

    Raises ParityError, and writes nothing, where an engine here differs from the reference (torch for float32, the
    NumPy integers for int8) on the golden stream or on `steps` of probe input.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise UsageError(f"the folder {path.parent} of {path.name} is not there: make it first")
    blob = build_bundle(graph, facts)
    bundle = parse_bundle(blob, path.name)
    report = verify(bundle, steps=steps, reference=torch_reference(graph), progress=progress)
    if not report.ok:
        raise ParityError(f"{path} was not written, engines disagree: {report.differences()}")
    write_atomically(path, blob)
    return bundle, report


def build_bundle(graph: Graph, facts: Facts) -> bytes:
    """The bundle's bytes; the same graph and facts give the same."""
    from .to_onnx import to_onnx

    manifest = _manifest(graph, facts)
    members = {
        "model.onnx": to_onnx(graph, metadata_of(manifest)),
        "weights.npz": pack_arrays(graph.stored_arrays()),
        "golden.npz": pack_arrays(golden_stream(graph, facts)),
    }
    manifest = replace(manifest, files={name: hashlib.sha256(body).hexdigest() for name, body in members.items()})
    return pack_zip({"manifest.json": manifest.to_json(), **members})


def golden_stream(graph: Graph, facts: Facts) -> dict[str, Array]:
    """256 steps, half real and half saturating, with what the reference gave: the arrays of golden.npz."""
    half = GOLDEN_STEPS // 2
    real = np.asarray(facts.golden_x, np.float32)
    if real.ndim != 2 or real.shape[1] != graph.inputs or not len(real) or not np.isfinite(real).all():
        raise DataError(f"real samples (T, {graph.inputs}) without NaN were expected, got {real.shape}")
    x = np.concatenate([np.resize(real, (half, graph.inputs)), _saturating(facts, half)])
    state, y = State(graph.states), np.zeros((GOLDEN_STEPS, graph.outputs), np.float32)
    golden: dict[str, Array] = {"x": x}
    reference = torch_reference(graph)
    if reference is None:
        engine = IntegerEngine(graph)
        golden["y_q"] = y_q = np.zeros(y.shape, np.int32)
        for t, code in enumerate(quantize_input(x, graph.arrays["sx"])):
            engine.step_int(code[None], state, y_q[t : t + 1])
    else:
        golden["y"] = y
        reference.run(x, state, y)
    golden.update({f"state.{spec.name}": a[0] for spec, a in zip(graph.states, state.arrays, strict=True)})
    return golden


def _saturating(facts: Facts, steps: int) -> Array:
    return saturate(facts.channels, steps, np.random.default_rng(SEED))


def _manifest(graph: Graph, facts: Facts) -> Manifest:
    detected = facts.events or tuple(label for label in facts.labels if label != facts.background)
    detected = detected if facts.task == "classify" else ()
    return Manifest(
        name=facts.name,
        version=facts.version,
        created_by=f"edge-rnn {edge_rnn.__version__}",
        model_digest=graph.digest(),
        precision=graph.precision,
        rate_hz=float(facts.rate_hz),
        channels=facts.channels,
        labels=facts.labels,
        layers=graph.layers,
        states=graph.states,
        warmup_samples=facts.warmup_samples,
        gap=GapPolicy(SHORT_GAP, max(SHORT_GAP, facts.warmup_samples)),
        detector={label: DetectorParams() for label in detected},
        background=facts.background,
        task=facts.task,
        input={"sx": graph.arrays["sx"].tolist()} if graph.precision == "int8" else {},
        golden={"steps": GOLDEN_STEPS},
        training=dict(facts.training) if facts.training else None,
    )
