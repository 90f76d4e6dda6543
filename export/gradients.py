"""How far back a network's gradient reaches: norms of d loss_T / d h_t and d loss_T / d x_t against T - t.

The network is run step by step, each state kept, and autograd is asked for the gradient of the loss at the last step
with respect to every state and every sample. It works on anything with `zero_state` and `forward(x, *state)`, on a
float64 copy of it: a gradient of 1e-60 is then small, and one of exactly 0 means no influence at all. It never trains
and draws no random numbers.

h_t is all a network carries from step t to the next (an LSTM: h and c; a convolution: its ring buffers), so a gradient
that is small there is small for everything that lies further back (Bengio, Simard and Frasconi 1994; Pascanu, Mikolov
and Bengio 2013).
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edge_rnn.arrays import Array

from .networks import Network

VANISHED = 1e-6
"""A gradient so much smaller than that of one step back is none: float32 has 7 digits, and a step's update adds it up
with gradients of recent steps."""
EXPLODED = 1e2
"""A gradient so much larger than that of one step back rules the update alone."""


@dataclass(frozen=True)
class Flow:
    """Norms of a batch's gradients, (B, T) each: entry k is k steps before the last one.

    `state[:, k]`: the state that entered that step, h_(T-k-1); empty for a network without state.
    `sample[:, k]`: x_(T-k), in units of the network's normalised input.
    """

    state: Array
    sample: Array

    @property
    def curve(self) -> Array:
        """Median over the batch of |d loss_T / d h_t|, relative to the last state's: (T,), curve[0] = 1."""
        return _relative(self.state)

    @property
    def sample_curve(self) -> Array:
        """The same for samples, relative to the largest: (T,)."""
        top = np.max(self.sample, axis=1, keepdims=True, initial=0.0)
        shares = np.divide(self.sample, top, out=np.zeros_like(self.sample), where=top > 0)
        return _median(shares)

    @property
    def receptive_field(self) -> int | None:
        """Samples that have any influence on the last logits; None where even the first of the T has: no end seen."""
        touched = np.flatnonzero(np.any(self.sample > 0, axis=0))
        field = int(touched[-1]) + 1 if len(touched) else 0
        return None if field == self.sample.shape[1] else field


def flow(network: Network, x: Tensor, label: Tensor, *, smoothing: float = 0.05, lead: int = 0) -> Flow:
    """Gradients of the cross-entropy at the last step, for x (B, lead + T, I) physical values and label (B,).

    The first `lead` samples only warm the state up: no gradient runs through them. `smoothing` is the label smoothing
    of the loss, which keeps a confident network's gradient from being exactly zero.
    """
    network = copy.deepcopy(network).double().eval()
    with torch.enable_grad():
        return _flow(network, x.double(), label, smoothing, lead)


def _flow(network: Network, x: Tensor, label: Tensor, smoothing: float, lead: int) -> Flow:
    state = network.zero_state(len(x))
    if lead:
        with torch.no_grad():
            _, *warm = network(x[:, :lead], *state)
        state = tuple(warm)
    samples = [x[:, t : t + 1].detach().clone().requires_grad_() for t in range(lead, x.shape[1])]
    state = tuple(s.detach().clone().requires_grad_() for s in state)
    entered: list[tuple[Tensor, ...]] = []
    y = x.new_zeros(())
    for sample in samples:
        entered.append(state)
        y, *after = network(sample, *state)
        state = tuple(after)
    # a sum, not a mean: each sequence's gradient is then its own
    loss = torch.nn.functional.cross_entropy(y[:, -1], label, reduction="sum", label_smoothing=smoothing)
    wanted = [*samples, *(s for states in entered for s in states)]
    gradients = torch.autograd.grad(loss, wanted, allow_unused=True)
    filled = [torch.zeros_like(w) if g is None else g for w, g in zip(wanted, gradients, strict=True)]
    steps = len(samples)
    per_sample = [(g[:, 0] * network.std).norm(dim=1) for g in filled[:steps]]
    width = len(entered[0])
    rows = [filled[steps + width * t : steps + width * (t + 1)] for t in range(steps)]
    per_state = [torch.cat([g.flatten(1) for g in row], 1).norm(dim=1) for row in rows] if width else []
    empty = np.zeros((len(x), 0))
    return Flow(_newest_first(per_state) if per_state else empty, _newest_first(per_sample))


def reach(curve: Array, level: float) -> int | None:
    """Steps back from which on the curve stays below `level`; None where it never does."""
    above = np.flatnonzero(~(curve < level))
    last = int(above[-1]) + 1 if len(above) else 0
    return None if last >= len(curve) else last


def describe(curve: Array) -> dict[str, Any]:
    """Figures of a curve: its end and top, how far back 1 % and VANISHED are, and the mean factor a step."""
    if not len(curve):
        return {}
    finite = curve[np.isfinite(curve)]
    positive = finite[finite > 0]
    decay = float((positive[-1] / positive[0]) ** (1 / max(1, len(positive) - 1))) if len(positive) else 0.0
    whole = len(finite) == len(curve)
    return {
        "last": float(curve[-1]) if np.isfinite(curve[-1]) else None,
        "largest": float(np.max(curve)) if whole else None,
        "one_percent_steps": reach(curve, 1e-2),
        "vanished_steps": reach(curve, VANISHED),
        "factor_a_step": decay,
    }


def _relative(norms: Array) -> Array:
    if not norms.shape[1]:
        return np.zeros(0)
    first = norms[:, :1]
    usable = np.isfinite(first[:, 0]) & (first[:, 0] > 0)
    return _median(norms[usable] / first[usable])


def _median(rows: Array) -> Array:
    """Over the batch; zeros where no row is usable."""
    return np.median(rows, axis=0) if len(rows) else np.zeros(rows.shape[1])


def _newest_first(columns: list[Tensor]) -> Array:
    return np.asarray(torch.stack(columns[::-1], 1).numpy())
