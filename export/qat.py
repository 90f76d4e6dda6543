"""Quantization-aware training: the network runs with its weights rounded as export will round them.

Straight-through (Bengio, Leonard, Courville 2013): forward takes the rounded weights, the gradient goes to the exact
ones as if nothing had been rounded. Torch's fused recurrent kernels stay in use, so a step costs nearly the same.
Inputs and activations are not rounded: 16 bits are as good as exact in training.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from edge_rnn.errors import UsageError

from .input_scale import code_values, equal_columns
from .networks import Network
from .quantize import LARGEST_WEIGHT
from .torch_layers import EVERY

START = 0.75
"""Share of the epochs after which training sees rounded weights; before, the exact ones find their place."""

KINDS = ("dense", "rnn", "gru", "lstm", "fastgrnn")
"""Layers whose weights are rounded in training; others have an int8 form all the same, by rounding afterwards."""


def first_rounded(epochs: int) -> int:
    """The first of `epochs`, from 0, that trains with rounded weights; the last one always does."""
    return min(math.ceil(START * epochs), epochs - 1)


class Rounded(nn.Module):
    """A network seen through int8 or int4 weights; it shares the network's parameters.

    In eval mode it always rounds, so that validation scores what export will make. In train mode it rounds from the
    epoch on that `begin_epoch` says.
    """

    columns: Tensor

    def __init__(
        self, network: Network, bits: int, max_abs: Sequence[float], lsb: Sequence[float] | None = None
    ) -> None:
        super().__init__()
        if bits not in LARGEST_WEIGHT:
            raise UsageError(f"quantization-aware training takes 8 or 4 bits, got {bits}")
        strange = [layer.kind for layer in network.graph_layers if layer.kind not in KINDS]
        if strange:
            raise UsageError(f"--qat does not know {strange[0]} layers: train the network without it")
        self.network = network
        self.largest = LARGEST_WEIGHT[bits]
        self.active = True
        # The first matrix is rounded after the input scales are folded in: what is alike there is what counts.
        r = code_values(max_abs, lsb)
        columns = r / network.std.double().numpy()
        self.register_buffer("columns", torch.from_numpy(columns * 2.0 ** equal_columns(columns)))
        self.first = next(name for name, p in network.named_parameters() if p.ndim == 2)

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Round in training from START on."""
        self.active = epoch >= first_rounded(epochs)

    def forward(self, x: Tensor, *state: Tensor, steps: slice = EVERY) -> tuple[Tensor, ...]:
        """As the network's, with rounded weights."""
        if self.training and not self.active:
            exact: tuple[Tensor, ...] = self.network(x, *state, steps=steps)
            return exact
        y: tuple[Tensor, ...] = torch.func.functional_call(self.network, self.rounded(), (x, *state), {"steps": steps})
        return y

    def rounded(self) -> dict[str, Tensor]:
        """Name -> rounded weights with the gradient of the exact ones; biases are not rounded."""
        return {
            name: p + (self._round(name, p.detach()) - p.detach())
            for name, p in self.network.named_parameters()
            if p.ndim == 2
        }

    @torch.no_grad()
    def settle(self) -> None:
        """Put the rounded weights in the place of the exact ones: the end of training."""
        for name, p in self.network.named_parameters():
            if p.ndim == 2:
                p.copy_(self._round(name, p))

    def _round(self, name: str, w: Tensor) -> Tensor:
        """One scale a row, as export.quantize.quantize_matrix has it."""
        columns = self.columns.to(w.dtype) if name == self.first else torch.ones((), dtype=w.dtype)
        folded = w * columns
        scale = (folded.abs().amax(dim=1, keepdim=True) / self.largest).clamp_min(1e-20)
        return (folded / scale).round_() * scale / columns
