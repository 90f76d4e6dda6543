"""A detector's decision as the event that a stream says: its times, its id, its quality. No state, no clock, no I/O."""

from __future__ import annotations

from collections.abc import Callable

from .events import Ended, Quality, Started
from .hashes import blake2b_128
from .manifest import Manifest
from .tracks import Decision


def event_of(
    decision: Decision, stream: str, epoch: int, manifest: Manifest, time_ns: Callable[[int], int], quality: Quality
) -> Started | Ended:
    """`time_ns` gives a sample's time, `epoch` counts the resets before; `quality` is that of the deciding sample."""
    label = manifest.labels[decision.label]
    identity = f"{stream}\0{epoch}\0{decision.started}\0{manifest.model_digest}\0{label}\0{decision.first}"
    event_id = blake2b_128([identity.encode()])
    first_ns, started_ns = time_ns(decision.first), time_ns(decision.started)
    if decision.reason is None:
        return Started(label, first_ns, started_ns, event_id, quality)
    latency_ms = (started_ns - first_ns) / 1e6
    quality = quality if decision.reason == "exit" else "degraded"
    about = (event_id, manifest.title, decision.reason, quality)
    return Ended(label, first_ns, time_ns(decision.at), decision.peak, latency_ms, *about)
