"""Quantization-aware training: the network runs with its weights rounded as export will round them.

Straight-through (Bengio, Leonard, Courville 2013): forward takes the rounded weights, the gradient goes to the exact
ones as if nothing had been rounded. Torch's fused recurrent kernels stay in use, so a step costs nearly the same.
Inputs and activations are not rounded: 16 bits are as good as exact in training.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from edge_rnn.errors import UsageError
from edge_rnn.layer import INT8_KINDS

from .exact_statistics import Codes
from .input_scale import KEEP_SAMPLES, code_values, equal_columns
from .networks import Network
from .quantize import LARGEST_WEIGHT, row_scales
from .torch_layers import EVERY

START = 0.75
"""Share of the epochs after which training sees rounded weights; before, the exact ones find their place."""


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
        self,
        network: Network,
        bits: int,
        max_abs: Sequence[float],
        lsb: Sequence[float] | None = None,
        codes: Codes | None = None,
    ) -> None:
        """`max_abs`, `lsb` (I,) as Calibration has them; `codes` is exact_statistics.range_codes of the network."""
        super().__init__()
        if bits not in LARGEST_WEIGHT:
            raise UsageError(f"quantization-aware training takes 8 or 4 bits, got {bits}")
        strange = [layer.kind for layer in network.graph_layers if layer.kind not in INT8_KINDS]
        if strange:
            raise UsageError(f"{strange[0]} layers have no exact int8 form to train for: train without --qat")
        self.network = network
        self.bits = bits
        self.active = True
        # The first matrix is rounded after the input scales are folded in: what is alike there is what counts.
        kinds = [layer.kind for layer in network.graph_layers]
        first = next(index for index, layer in enumerate(network.graph_layers) if layer.exact_matrices)
        if "statistics" in kinds[first:]:
            raise UsageError(
                "--qat knows statistics of the samples themselves, not of a layer's outputs: train without it"
            )
        if "statistics" in kinds:
            last = max(index for index, kind in enumerate(kinds) if kind == "statistics")
            columns = (codes or {})[last]
        else:
            reach = np.array(max_abs, np.float64)
            if kinds[0] in KEEP_SAMPLES:
                reach = reach + np.abs(network.mean.double().numpy())
            columns = code_values(reach, lsb) / network.std.double().numpy()
            columns = columns * 2.0 ** equal_columns(columns)
        self.register_buffer("columns", torch.from_numpy(columns))
        self.first = next(name for name, p in network.named_parameters() if p.ndim >= 2)

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
            if p.ndim >= 2
        }

    @torch.no_grad()
    def settle(self) -> None:
        """Put the rounded weights in the place of the exact ones: the end of training."""
        for name, p in self.network.named_parameters():
            if p.ndim >= 2:
                p.copy_(self._round(name, p))

    def _round(self, name: str, w: Tensor) -> Tensor:
        """One scale a row, as export.quantize.quantize_matrix has it; a convolution's row is its taps."""
        if w.ndim == 3:  # (units, inputs, taps): taps of a unit side by side, the inputs of each together
            taps = w.transpose(1, 2)
            return self._round_rows(name, taps.flatten(1)).reshape(taps.shape).transpose(1, 2)
        return self._round_rows(name, w)

    def _round_rows(self, name: str, w: Tensor) -> Tensor:
        largest = LARGEST_WEIGHT[self.bits]
        if name != self.first:
            scale = (w.abs().amax(dim=1, keepdim=True) / largest).clamp_min(1e-20)
            return (w / scale).round_() * scale
        columns = self.columns.to(w.dtype).repeat(w.shape[1] // len(self.columns))
        folded = w * columns
        finest = folded.abs().amax(dim=1, keepdim=True) / largest
        coarser = row_scales(folded.double().numpy() * 2.0**15, 2.0**-15, self.bits) / 2.0**15
        scale = torch.maximum(finest, torch.from_numpy(coarser).to(w.dtype)[:, None]).clamp_min(1e-20)
        return (folded / scale).round_() * scale / columns
