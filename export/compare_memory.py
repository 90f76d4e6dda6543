"""What a trained network remembers of real recordings, and which of it counts: horizon, gradients, saliency.

Three questions. How far back has a sample any influence at all (the receptive field, by gradients in float64)? How far
back is it felt (1 % of the strongest sample's gradient)? And how long does the answer differ after one second of
another recording was cut in? It only looks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from edge_rnn.arrays import Array
from edge_rnn.dynamics import AGREE

from .datasets import Recordings
from .evaluate import score_windows
from .gradients import flow, reach
from .networks import Network
from .samples import stretches

SEQUENCES = 16
LOOK_BACK = 4
"""Windows over which gradients are followed back."""
AFTER_S = 20.0


def memory(network: Network, data: Recordings, window: int) -> dict[str, Any]:
    """Receptive field and reach in samples (None: further than was looked), and the horizon in seconds."""
    x, label = stretches(data, LOOK_BACK * window, SEQUENCES)
    found = flow(network, x, label)
    median, worst = horizon(network, data, window)
    return {
        "looked_back": int(x.shape[1]),
        "receptive_field": found.receptive_field,
        "one_percent_steps": reach(found.sample_curve, 0.01),
        "forgets_s": {"median": median, "worst": worst, "looked": AFTER_S},
        "sample_curve": [float(f"{v:.4g}") for v in found.sample_curve],
    }


@torch.no_grad()
def horizon(network: Network, data: Recordings, window: int) -> tuple[float, float]:
    """Seconds until probabilities agree within 0.05 for good, after a second of another stretch: median, worst.

    The stretches are warmed up over a window first; what comes after the second is the same in both.
    """
    rate = data.rate_hz
    second, after = max(1, round(rate)), round(AFTER_S * rate)
    x, _ = stretches(data, window + second + after, SEQUENCES)
    struck = x.clone()
    struck[:, window : window + second] = x.roll(len(x) // 2, 0)[:, window : window + second]
    p = [torch.softmax(network(each)[0], -1)[:, window + second :].numpy() for each in (x, struck)]
    apart = np.abs(p[0] - p[1]).max(axis=2) > AGREE
    last = np.where(apart.any(axis=1), apart.shape[1] - apart[:, ::-1].argmax(axis=1), 0) / rate
    return float(np.median(last)), float(last.max())


def saliency(network: Network, x: Array) -> tuple[Array, int]:
    """|d logit / d x| (T, I) of the class it answers after the last sample of x (T, I), and that class.

    In units of the network's normalised input, so that channels compare: plain gradients (Simonyan et al. 2013).
    """
    given = torch.from_numpy(x)[None].clone().requires_grad_()
    y = network(given)[0][0, -1]
    answer = int(y.argmax())
    (gradient,) = torch.autograd.grad(y[answer], given)
    return np.asarray((gradient[0] * network.std).abs().numpy(), np.float64), answer


def shares(salient: Array, channels: tuple[str, ...] | list[str]) -> dict[str, Any]:
    """Of the saliency: each channel's share, and how many of the last samples hold half of it."""
    total = salient.sum() or 1.0
    newest = np.cumsum(salient.sum(axis=1)[::-1]) / total
    share = (salient.sum(axis=0) / total).tolist()
    return {
        "channels": dict(zip(channels, [round(v, 4) for v in share], strict=True)),
        "half_in_last": int(np.searchsorted(newest, 0.5)) + 1,
    }


def chosen_window(networks: list[Network], data: Recordings, window: int, hop: int) -> int:
    """First sample of a test window that the most networks get right; among equals a lively one, not the liveliest."""
    starts, _ = data.windows(window, hop)
    found = [score_windows(network, data, window, hop) for network in networks]
    right = np.sum([scores.predicted == scores.truth for scores in found], axis=0)
    best = starts[right == right.max()]
    scale = np.maximum(data.values().std(axis=0), 1e-9)
    x = data.values() / scale
    lively = [float(x[s : s + window].std(axis=0).sum()) for s in best]
    return int(best[np.argsort(lively)[len(best) * 3 // 4]])
