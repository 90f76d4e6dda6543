"""The parts of a causal Transformer in floats, one step at a time: attention over a window, feed-forward, norm.

Attention and feed-forward are the two halves of torch.nn.TransformerEncoderLayer(norm_first=True): each normalises
its input, and adds what it makes of it (Vaswani et al. 2017; pre-norm: Xiong et al. 2020). Keys and values of the
last steps are the state. Where a step stands is told by a learned bias on the scores, by distance, so that a stream
may go on for ever (the idea of ALiBi, Press et al. 2022).
"""

from __future__ import annotations

from math import sqrt

import numpy as np

from ..arrays import Array
from ..layer import Layer
from .cells import Float, Weights
from .past import append

EPSILON = 1e-5
"""torch.nn.LayerNorm's default, added to the variance."""


def normalise(x: Float, w: Array, b: Array) -> Float:
    """LayerNorm (Ba et al. 2016) over the units: (x - mean) / sqrt(var + EPSILON) * w + b."""
    apart = x - x.mean(axis=1, keepdims=True)
    y: Float = apart / np.sqrt((apart * apart).mean(axis=1, keepdims=True) + EPSILON) * w + b
    return y


def norm(layer: Layer, w: Weights, x: Float) -> Float:
    """LayerNorm as a layer."""
    return normalise(x, w["w"], w["b"])


def feedforward(layer: Layer, w: Weights, x: Float) -> Float:
    """Give x + w_down relu(w_up norm(x) + b_up) + b_down."""
    hidden = np.maximum(normalise(x, w["norm_w"], w["norm_b"]) @ w["w_up"].T + w["b_up"], 0)
    y: Float = x + hidden @ w["w_down"].T + w["b_down"]
    return y


def attention(layer: Layer, w: Weights, x: Float, k: Float, v: Float, seen: Float) -> Float:
    """Give x + w_out concat_heads(softmax(q . k / sqrt(width) + bias) v) + b_out over the last `window` steps.

    `k` and `v` (N, window * units) end with the present step; `seen` (N, 1) says how many of their rows are real, and
    stops at the window: a float that small is exact.
    """
    streams, window, heads = len(x), layer.size("window"), layer.size("heads")
    width = layer.units // heads
    q, new_k, new_v = np.split(normalise(x, w["norm_w"], w["norm_b"]) @ w["w_qkv"].T + w["b_qkv"], 3, axis=1)
    append(k, new_k)
    append(v, new_v)
    seen[...] = np.minimum(seen + 1, window)
    query = q.reshape(streams, heads, width, 1)
    keys = k.reshape(streams, window, heads, width).transpose(0, 2, 1, 3)
    values = v.reshape(streams, window, heads, width).transpose(0, 2, 1, 3)
    scores = (keys @ query)[..., 0] / sqrt(width) + w["bias"]
    real = np.arange(window) >= window - seen
    scores = np.where(real[:, None], scores, -np.inf)
    share = np.exp(scores - scores.max(axis=2, keepdims=True))
    share /= share.sum(axis=2, keepdims=True)
    mixed = (share[:, :, None] @ values).reshape(streams, layer.units)
    y: Float = x + mixed @ w["w_out"].T + w["b_out"]
    return y
