"""FastGRNN (Kusupati et al., NeurIPS 2018) as a trainable module over sequences.

A gate and a candidate share one pair of matrices; two scalars in (0, 1), learned through a sigmoid, say how much of
the candidate comes in. A fresh module has the paper's zeta = sigma(1) and nu = sigma(-4); initial.py starts without nu.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from edge_rnn.graph import Layer


class FastGRNN(nn.Module):
    """One layer; parameters `weight_ih_l0` (H, I), `weight_hh_l0` (H, H), `bias_z`, `bias_h` (H,), `zeta`, `nu` (1,).

    `zeta` and `nu` are what the sigmoid is taken of.
    """

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        bound = layer.units**-0.5
        self.weight_ih_l0 = nn.Parameter(torch.empty(layer.units, layer.inputs).uniform_(-bound, bound))
        self.weight_hh_l0 = nn.Parameter(torch.empty(layer.units, layer.units).uniform_(-bound, bound))
        self.bias_z = nn.Parameter(torch.ones(layer.units))
        self.bias_h = nn.Parameter(torch.ones(layer.units))
        self.zeta = nn.Parameter(torch.ones(1))
        self.nu = nn.Parameter(torch.full((1,), -4.0))

    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """From x (B, T, I), h (B, H): every h (B, T, H), and the last."""
        zeta, nu = torch.sigmoid(self.zeta), torch.sigmoid(self.nu)
        from_below = x @ self.weight_ih_l0.T
        steps = []
        for a in from_below.unbind(1):
            a = torch.addmm(a, h, self.weight_hh_l0.T)
            z = torch.sigmoid(a + self.bias_z)
            h = (zeta * (1 - z) + nu) * torch.tanh(a + self.bias_h) + z * h
            steps.append(h)
        return torch.stack(steps, 1), h

    def arrays(self) -> dict[str, Tensor]:
        """As a graph has them."""
        return {
            "w_ih": self.weight_ih_l0,
            "w_hh": self.weight_hh_l0,
            "b_z": self.bias_z,
            "b_h": self.bias_h,
            "zeta": torch.sigmoid(self.zeta),
            "nu": torch.sigmoid(self.nu),
        }

    def load_arrays(self, arrays: Mapping[str, Tensor]) -> None:
        """The inverse of `arrays`; zeta and nu of exactly 0 or 1 are infinite here, and come back as they were."""
        with torch.no_grad():
            self.weight_ih_l0.copy_(arrays["w_ih"])
            self.weight_hh_l0.copy_(arrays["w_hh"])
            self.bias_z.copy_(arrays["b_z"])
            self.bias_h.copy_(arrays["b_h"])
            self.zeta.copy_(torch.logit(arrays["zeta"]))
            self.nu.copy_(torch.logit(arrays["nu"]))
