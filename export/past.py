"""Layers over the last samples as modules over sequences: window, its statistics, causal dilated convolution.

The state is the past itself, row after row, the oldest first: a sequence goes on by standing behind it.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from edge_rnn.engines.past import VARIANCE_FLOOR
from edge_rnn.graph import Layer


class Window(nn.Module):
    """The last `window` samples in a row at every step; zeros stand where there were none."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self.window, self.inputs = layer.size("window"), layer.inputs

    def forward(self, x: Tensor, buf: Tensor, steps: slice) -> tuple[Tensor, Tensor]:
        """From x (B, T, I), buf (B, W * I): the windows (B, steps, W * I) of `steps`, and buf after the last."""
        whole = torch.cat([buf.reshape(len(x), self.window, self.inputs), x], 1)
        rows = whole[:, 1:].unfold(1, self.window, 1)  # (B, T, I, W): a view
        return rows[:, steps].transpose(2, 3).flatten(2), whole[:, -self.window :].flatten(1)


class Statistics(nn.Module):
    """Mean, sd, min, max and mean change of each channel of a window (edge_rnn.layer.STATISTICS)."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self.window = layer.size("window")

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """From x (B, T, W * I) -> (B, T, 5 * I)."""
        samples = x.reshape(*x.shape[:2], self.window, -1)
        sd = torch.sqrt(samples.var(2, correction=0) + VARIANCE_FLOOR)
        change = samples.diff(dim=2).abs().mean(2)
        return (torch.cat([samples.mean(2), sd, samples.amin(2), samples.amax(2), change], 2),)


class Conv(nn.Module):
    """torch's conv1d over what was and what comes; `weight` (O, I, K), `bias` (O,)."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self.layer, self.dilation = layer, layer.size("dilation")
        self.past = layer.past or 0
        taps = nn.Conv1d(layer.inputs, layer.units, layer.size("kernel"))
        self.weight, self.bias = taps.weight, nn.Parameter(torch.zeros(layer.units))

    def forward(self, x: Tensor, *buf: Tensor) -> tuple[Tensor, ...]:
        """From x (B, T, I), buf (B, (K - 1) * dilation * I) where K > 1 -> y (B, T, O), buf after the last."""
        whole = torch.cat([*(past.reshape(len(x), self.past, -1) for past in buf), x], 1)
        y = nn.functional.conv1d(whole.transpose(1, 2), self.weight, self.bias, dilation=self.dilation).transpose(1, 2)
        y = torch.relu(y) if self.layer.activation == "relu" else y
        return (y, *(whole[:, -self.past :].flatten(1) for _ in buf))

    def arrays(self) -> dict[str, Tensor]:
        """As a graph has them: one row a unit, the oldest tap first."""
        return {"w": self.weight.transpose(1, 2).flatten(1), "b": self.bias}

    def load_arrays(self, arrays: Mapping[str, Tensor]) -> None:
        """The inverse of `arrays`."""
        with torch.no_grad():
            self.weight.copy_(arrays["w"].reshape(self.layer.units, -1, self.layer.inputs).transpose(1, 2))
            self.bias.copy_(arrays["b"])
