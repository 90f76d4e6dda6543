"""Layers over the last samples in floats: window, its statistics, causal convolution. Arrays are (N, width).

The past is a row of the samples that were, the oldest first: a step drops the oldest and appends the present one. No
position is kept, so nothing can overflow, every content is a valid state, and all engines agree on it.
"""

from __future__ import annotations

import numpy as np

from ..arrays import Array
from ..layer import STATISTICS, Layer
from .cells import Float, Weights

VARIANCE_FLOOR = 1e-6
"""sd = sqrt(variance + this): a still channel has a derivative in training."""


def append(ring: Array, x: Array) -> None:
    """Drop the oldest row of `ring` (N, rows * width) and put x (N, width) behind the newest."""
    width = x.shape[1]
    ring[:, :-width] = ring[:, width:].copy()
    ring[:, -width:] = x


def window(layer: Layer, w: Weights, x: Float, buf: Float) -> Float:
    """The last `window` samples in a row, zeros where there were none."""
    append(buf, x)
    return buf


def statistics(layer: Layer, w: Weights, x: Float) -> Float:
    """Mean, sd, min, max and mean |x_t - x_(t-1)| of each channel over the window's samples, anew at each step.

    A sum kept up to date by adding and taking away would be cheaper, but drift in floats.
    """
    samples = x.reshape(len(x), layer.size("window"), -1)
    mean = samples.mean(axis=1)
    apart = samples - mean[:, None]
    sd = np.sqrt((apart * apart).mean(axis=1) + VARIANCE_FLOOR)
    change = np.abs(samples[:, 1:] - samples[:, :-1]).mean(axis=1)
    found = {"mean": mean, "sd": sd, "min": samples.min(axis=1), "max": samples.max(axis=1), "change": change}
    return np.concatenate([found[name] for name in STATISTICS], axis=1)


def conv(layer: Layer, w: Weights, x: Float, *past: Float) -> Float:
    """y_t = activation(b + sum_k w_k x_(t - (K-1-k) dilation)); the taps of `w` (O, K * I) lie the oldest first."""
    samples = np.concatenate([*past, x], axis=1).reshape(len(x), -1, layer.inputs)
    taps = samples[:, :: layer.size("dilation")].reshape(len(x), -1)
    for buf in past:
        append(buf, x)
    y: Float = taps @ w["w"].T + w["b"]
    return np.maximum(y, 0) if layer.activation == "relu" else y
