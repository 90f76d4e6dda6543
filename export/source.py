"""Where a bundle comes from: a float32 graph, its facts, and the real samples that quantization looks at.

From a checkpoint, which knows it all, or from a network of yours and a sample, whose statistics are taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_rnn.arrays import Array
from edge_rnn.errors import UsageError
from edge_rnn.graph import Graph
from edge_rnn.manifest import Channel

from .bundle_writer import GOLDEN_STEPS, Facts

WINDOW_S = 2.56
CALIBRATION_STRETCHES, STRETCH = 4, 1024


@dataclass(frozen=True)
class Source:
    """What export starts from; the fields after `samples` are those of `calibration.Calibration`."""

    graph: Graph
    facts: Facts
    samples: Array
    starts: Sequence[int] = (0,)
    max_abs: Sequence[float] | None = None
    lsb: Sequence[float] | None = None
    bits: int = 8
    """Of an int8 export's weights, where none are asked for: what the network was trained for."""


def from_checkpoint(checkpoint: Any) -> Source:
    """What `train` left."""
    facts = Facts(
        channels=tuple(Channel(**channel) for channel in checkpoint.channels),
        labels=tuple(checkpoint.labels),
        rate_hz=checkpoint.rate_hz,
        warmup_samples=checkpoint.window,
        golden_x=checkpoint.golden_x,
        background=checkpoint.background,
        events=tuple(checkpoint.training.get("events", ())),
        task=checkpoint.task,
        training=checkpoint.training,
    )
    samples = np.asarray(checkpoint.calibration_x, np.float32)
    starts, lsb = tuple(checkpoint.calibration_start), checkpoint.lsb
    bits = checkpoint.training.get("metrics", {}).get("qat") or 8
    return Source(checkpoint.build().to_graph(), facts, samples, starts, checkpoint.max_abs, lsb, bits)


def from_module(
    module: Any,
    *,
    channels: Sequence[str | Mapping[str, Any] | Channel],
    labels: Sequence[str],
    rate_hz: float,
    sample: Any,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    background: str | None,
    task: str,
    window: int | None,
) -> Source:
    """A torch module of the user's; see `export_bundle` for the arguments."""
    from .from_torch import graph_of

    x, starts = samples_of(sample, len(channels))
    graph = _own_graph(module, mean, std) or graph_of(module, x, *normalisation(mean, std, len(channels)))
    facts = {"labels": labels, "rate_hz": rate_hz, "background": background, "task": task, "window": window}
    return from_graph(graph, x, starts, channels=channels, **facts)  # type: ignore[arg-type]


def _own_graph(module: Any, mean: Any, std: Any) -> Graph | None:
    """A `Network` is taken as it is, whatever its layers; its normalisation is its own."""
    from .networks import Network

    if not isinstance(module, Network):
        return None
    if mean is not None or std is not None:
        raise UsageError("a Network has its own mean and std: set those instead of giving mean and std")
    return module.to_graph()


def from_graph(
    graph: Graph,
    x: Array,
    starts: tuple[int, ...],
    *,
    channels: Sequence[str | Mapping[str, Any] | Channel],
    labels: Sequence[str],
    rate_hz: float,
    background: str | None = None,
    task: str = "classify",
    window: int | None = None,
) -> Source:
    """A float32 graph and samples (T, I); raises UsageError where labels do not fit the logits."""
    if len(labels) != graph.outputs:
        raise UsageError(f"the network gives {graph.outputs} logits, {len(labels)} labels came: give one for each")
    facts = Facts(
        channels=channels_of(channels, x),
        labels=tuple(labels),
        rate_hz=float(rate_hz),
        warmup_samples=round(WINDOW_S * rate_hz) if window is None else window,
        golden_x=x[:GOLDEN_STEPS],
        background=background,
        task=task,
    )
    samples, at = calibration_of(x, starts)
    return Source(graph, facts, samples, at, max_abs=np.abs(x).max(axis=0).tolist())


def samples_of(sample: Any, channels: int) -> tuple[Array, tuple[int, ...]]:
    """(T, I), or windows (N, T, I), as float32 samples one after the other and where each recording starts."""
    x = np.asarray(sample)
    if x.dtype.kind not in "fiu" or x.ndim not in (2, 3) or x.shape[-1] != channels or not x.size:
        raise UsageError(f"a sample (T, {channels}) or (N, T, {channels}) was expected, got {x.dtype} {x.shape}")
    if not np.isfinite(x).all():
        raise UsageError("the sample holds NaN or Inf: give clean samples")
    if x.shape[-2] < 2:
        raise UsageError("a sample of one step came: give a stretch of a real recording")
    starts = tuple(range(0, x.shape[0] * x.shape[1], x.shape[1])) if x.ndim == 3 else (0,)
    return np.ascontiguousarray(x.reshape(-1, channels), np.float32), starts


def normalisation(mean: Sequence[float] | None, std: Sequence[float] | None, channels: int) -> tuple[Array, Array]:
    """`mean` and `std` (I,) as float64, 0 and 1 where they are not given."""
    found = (
        np.zeros(channels) if mean is None else np.asarray(mean, np.float64),
        np.ones(channels) if std is None else np.asarray(std, np.float64),
    )
    for name, values in zip(("mean", "std"), found, strict=True):
        if values.shape != (channels,) or not np.isfinite(values).all() or (name == "std" and not (values > 0).all()):
            raise UsageError(f"{name} is {values.tolist()}, expected {channels} numbers, positive ones for std")
    return found


def channels_of(channels: Sequence[str | Mapping[str, Any] | Channel], x: Array) -> tuple[Channel, ...]:
    """Names, {name, unit} or whole channels; statistics that are not given are the sample's."""
    found = []
    for channel, column in zip(channels, x.T.astype(np.float64), strict=True):
        if isinstance(channel, Channel):
            found.append(channel)
            continue
        given = {"name": channel} if isinstance(channel, str) else dict(channel)
        own = {"unit": "", "mean": column.mean(), "std": column.std(), "min": column.min(), "max": column.max()}
        unknown = set(given) - {"name", *own}
        if unknown or "name" not in given:
            raise UsageError(f"a channel is {given}, expected name, and perhaps {', '.join(own)}")
        merged = {**own, **given}
        mean, std, low, high = (float(merged[key]) for key in ("mean", "std", "min", "max"))
        found.append(Channel(str(merged["name"]), str(merged["unit"]), mean, std, low, high))
    return tuple(found)


def calibration_of(x: Array, starts: tuple[int, ...]) -> tuple[Array, tuple[int, ...]]:
    """At most 4 x 1024 samples, spread evenly; a stretch never runs across the start of a recording."""
    if len(x) <= CALIBRATION_STRETCHES * STRETCH:
        return x, starts
    parts, at, position = [], [], 0
    for first in np.linspace(0, len(x) - STRETCH, CALIBRATION_STRETCHES).astype(int):
        inner = [int(s - first) for s in starts if first < s < first + STRETCH]
        at += [position, *(position + s for s in inner)]
        parts.append(x[first : first + STRETCH])
        position += STRETCH
    return np.concatenate(parts), tuple(at)
