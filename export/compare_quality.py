"""How good a trained network is on people it never met: windows, samples of whole recordings, and events.

An event is a labelled stretch of a class; it is found when the class's detection starts in it, under the detector of
every fresh bundle (docs/detection.md): nothing is tuned here, so contenders meet the same decision. Classes are added
up. It only looks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from edge_rnn.arrays import Array
from edge_rnn.detect import softmax
from edge_rnn.manifest import DetectorParams
from edge_rnn.tune import Outcome, Take, judge, retold, smooth

from .checkpoint import Checkpoint
from .datasets import UNKNOWN, Ints, Recordings
from .evaluate import score_windows


@dataclass(frozen=True)
class Quality:
    """Shares of windows and samples that are right; events of all classes."""

    windows: float
    samples: float
    events: Outcome


def quality(checkpoint: Checkpoint, data: Recordings, window: int, hop: int) -> Quality:
    """On `data`, whose people neither trained nor chose anything. Recordings are read whole from the zero state."""
    network = checkpoint.build()
    windows = score_windows(network, data, window, hop).accuracy
    with torch.no_grad():
        logits = [network(torch.from_numpy(data.values(r))[None])[0][0].numpy() for r in range(len(data))]
    truth = [data.label[a:b] for a, b in zip(data.rec_start[:-1], data.rec_start[1:], strict=True)]
    right = np.concatenate(
        [y.argmax(axis=1)[t != UNKNOWN] == t[t != UNKNOWN] for y, t in zip(logits, truth, strict=True)]
    )
    detected = [k for k, label in enumerate(checkpoint.labels) if label != checkpoint.background]
    outcomes = [_events([softmax(y) for y in logits], truth, k, window, data.rate_hz) for k in detected]
    return Quality(windows, float(right.mean()), retold(outcomes[0], outcomes[1:]))


def _events(probabilities: list[Array], truth: list[Ints], label: int, warm: int, rate_hz: float) -> Outcome:
    """Of one class, after the warm-up."""
    params, takes = DetectorParams(), []
    for p, t in zip(probabilities, truth, strict=True):
        known = np.where(t == UNKNOWN, -1, t == label).astype(np.int8)
        takes.append(Take(p[warm:, label], known[warm:]))
    return judge([smooth(take.p, params.smooth_ms, rate_hz) for take in takes], takes, params, rate_hz, 0.0)


def spread(values: list[float]) -> dict[str, Any]:
    """Mean and standard deviation over seeds (None for one), and the values."""
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {"mean": float(np.mean(values)), "sd": sd, "values": [float(v) for v in values]}


def summary(found: list[Quality]) -> dict[str, Any]:
    """Over seeds."""
    events = [q.events for q in found]
    latencies = [float(np.median(o.latencies_s)) for o in events if o.latencies_s]
    return {
        "accuracy": {"windows": spread([q.windows for q in found]), "samples": spread([q.samples for q in found])},
        "events": {
            "count": events[0].events,
            "recall": spread([o.recall for o in events]),
            "false_alarms_per_hour": spread([o.per_hour for o in events]),
            "latency_s": spread(latencies) if latencies else None,
        },
    }
