"""The recurrent cells and the dense layer in floats, as equations over arrays (N, width). NumPy in, NumPy out.

Each takes the layer, its arrays, the input and its states, which it updates in place; the output may be the state
itself. PyTorch's definitions (torch.nn.Linear, RNN, GRU, LSTM; docs of torch 2.x). FastGRNN: Kusupati et al. 2018.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arrays import Array, NDArray
from ..layer import Layer

Float = NDArray[np.floating[Any]]
Weights = dict[str, Array]


def sigmoid(v: Float) -> Float:
    """The logistic function as 0.5 + 0.5 tanh(v / 2), which cannot overflow."""
    result: Float = 0.5 + 0.5 * np.tanh(0.5 * v)
    return result


def dense(layer: Layer, w: Weights, x: Float) -> Float:
    """Give y = activation(w x + b)."""
    y: Float = x @ w["w"].T + w["b"]
    return np.maximum(y, 0) if layer.activation == "relu" else y


def rnn(layer: Layer, w: Weights, x: Float, h: Float) -> Float:
    """Elman's: h = activation(w_ih x + b_ih + w_hh h + b_hh)."""
    v: Float = x @ w["w_ih"].T + w["b_ih"] + h @ w["w_hh"].T + w["b_hh"]
    h[...] = np.tanh(v) if layer.activation == "tanh" else np.maximum(v, 0)
    return h


def gru(layer: Layer, w: Weights, x: Float, h: Float) -> Float:
    """Gates r, z, n; r multiplies the recurrent part of n with its bias."""
    ax_r, ax_z, ax_n = np.split(x @ w["w_ih"].T + w["b_ih"], 3, axis=1)
    ah_r, ah_z, ah_n = np.split(h @ w["w_hh"].T + w["b_hh"], 3, axis=1)
    r, z = sigmoid(ax_r + ah_r), sigmoid(ax_z + ah_z)
    n = np.tanh(ax_n + r * ah_n)
    h[...] = n + z * (h - n)
    return h


def lstm(layer: Layer, w: Weights, x: Float, h: Float, c: Float) -> Float:
    """Gates i, f, g, o."""
    i, f, g, o = np.split(x @ w["w_ih"].T + w["b_ih"] + h @ w["w_hh"].T + w["b_hh"], 4, axis=1)
    c[...] = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    h[...] = sigmoid(o) * np.tanh(c)
    return h


def fastgrnn(layer: Layer, w: Weights, x: Float, h: Float) -> Float:
    """One matrix pair for gate and candidate: h = (zeta (1 - z) + nu) tanh(a + b_h) + z h, z = sigma(a + b_z)."""
    a = x @ w["w_ih"].T + h @ w["w_hh"].T
    z = sigmoid(a + w["b_z"])
    h[...] = (w["zeta"] * (1 - z) + w["nu"]) * np.tanh(a + w["b_h"]) + z * h
    return h
