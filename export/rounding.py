"""Which way each weight is rounded: so that the errors of a row cancel on real samples, not each to the nearest.

Column by column, the error of the one just rounded is spread over those still to come, weighed by how the inputs
move together, and what is left at last goes into the bias (Frantar et al. 2022, GPTQ, after LeCun et al. 1990 and
Hassibi & Stork 1993). It rewrites float weights onto the grid of their row's scale, nothing else: docs/numeric.md's
formula then gives these very integers. Networks whose weights are on the grid already (qat.py) come out unchanged.
"""

from __future__ import annotations

import numpy as np

from edge_rnn.arrays import Array
from edge_rnn.graph import Graph, Layer

from .calibration import F64, Calibration, before, trace

DAMPING = 0.01
"""Share of each input's mean square that is taken as independent of the others: guards inputs that move as one."""


def input_moments(graph: Graph, calibration: Calibration) -> list[F64]:
    """Per layer E[a a^T] of a = (what its matrix multiplies, h before the step if it has one, 1), by float64.

    What the samples themselves come into is in physical units; less their mean where a past is kept of them, as
    docs/numeric.md has it. A window and statistics have no matrix: zeros.
    """
    x, valid = calibration.blocks(len(calibration.samples))
    below: F64 = x.astype(np.float64)
    keeps_samples = graph.layers[0].kind in ("window", "conv")
    if keeps_samples:
        below -= graph.arrays["mean"]
    physical = True
    found = []
    for layer, above in zip(graph.layers, trace(graph, x).activations, strict=True):
        if layer.kind in ("window", "statistics"):
            std = np.tile(graph.arrays["std"].astype(np.float64), layer.units // graph.inputs) if physical else 1.0
            found.append(np.zeros((0, 0)))
            below = above * std
            continue
        parts = [below]
        if layer.kind == "conv":
            taps = layer.size("kernel")
            parts = [before(below, (taps - 1 - k) * layer.size("dilation")) for k in range(taps)]
        elif layer.kind != "dense":
            parts.append(before(above, 1))
        a = np.concatenate([*parts, np.ones((*below.shape[:2], 1))], axis=2)[valid]
        found.append(a.T @ a / len(a))
        below, physical = above, False
    return found


def round_together(layer: Layer, w: dict[str, Array], moments: F64, largest: int) -> dict[str, Array]:
    """The layer's float64 weights moved onto the int8 or int4 grid, and its biases with what is left."""
    if layer.kind in ("dense", "conv"):
        W, b = _spread([w["w"]], w["b"], moments, largest)
        return {"w": W[0], "b": b}
    if layer.kind == "fastgrnn":  # both sums get the same matrices, so both biases take what is left
        W, left = _spread([w["w_ih"], w["w_hh"]], np.zeros(layer.units), moments, largest)
        return {**w, "w_ih": W[0], "w_hh": W[1], "b_z": w["b_z"] + left, "b_h": w["b_h"] + left}
    inputs, rows = layer.inputs, layer.gates * layer.units
    # r multiplies ah_n + b_hn in a GRU, so the recurrent half of these rows stands on its own.
    together = 2 * layer.units if layer.kind == "gru" else rows
    made = {name: a.copy() for name, a in w.items()}
    head = slice(0, together)
    (made["w_ih"][head], made["w_hh"][head]), made["b_ih"][head] = _spread(
        [w["w_ih"][head], w["w_hh"][head]], w["b_ih"][head], moments, largest
    )
    if layer.kind == "gru":
        tail = slice(together, rows)
        one = moments.shape[0] - 1
        for matrix, bias, first, stop in (("w_ih", "b_ih", 0, inputs), ("w_hh", "b_hh", inputs, one)):
            index = [*range(first, stop), one]
            (made[matrix][tail],), made[bias][tail] = _spread(
                [w[matrix][tail]], w[bias][tail], moments[np.ix_(index, index)], largest
            )
    return made


def _spread(matrices: list[F64], b: F64, moments: F64, largest: int) -> tuple[list[F64], F64]:
    """Round the columns of `matrices` side by side; moments (C + 1, C + 1) are of their inputs and 1."""
    scale = np.concatenate([np.repeat(_scale(m, largest), m.shape[1], axis=1) for m in matrices], axis=1)
    pinned = np.concatenate([np.abs(m) >= np.abs(m).max(axis=1, keepdims=True) for m in matrices], axis=1)
    W = np.concatenate([*matrices, b[:, None]], axis=1)
    damped = moments + np.diag(DAMPING * np.diag(moments) + 1e-30)
    order = np.append(np.argsort(-np.diag(damped)[:-1], kind="stable"), len(damped) - 1)
    spread = np.linalg.cholesky(np.linalg.inv(damped[np.ix_(order, order)])).T
    W, scale, pinned = W[:, order], scale[:, order[:-1]], pinned[:, order[:-1]]
    for j in range(len(order) - 1):
        codes = np.clip(np.rint(W[:, j] / scale[:, j]), -largest, largest)
        # The largest weight of a row stays largest, for it is what the row's scale is computed from.
        codes = np.where(pinned[:, j], np.sign(W[:, j]) * largest, codes)
        error = (W[:, j] - codes * scale[:, j]) / spread[j, j]
        W[:, j:] -= error[:, None] * spread[j, j:]
        W[:, j] = codes * scale[:, j]
    back = np.empty_like(W)
    back[:, order] = W
    edges = np.cumsum([m.shape[1] for m in matrices])
    return np.split(back[:, :-1], edges[:-1], axis=1), back[:, -1]


def _scale(w: F64, largest: int) -> F64:
    scale: F64 = np.maximum(np.abs(w).max(axis=1, keepdims=True) / largest, 1e-9)
    return scale
