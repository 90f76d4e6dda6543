"""The halves of a causal, pre-norm Transformer block as modules over sequences: attention over a window, feed-forward.

Keys and values of the steps before are the state, so a stream may be cut anywhere. A learned bias by distance takes
the place of positions: it starts as ALiBi's slopes (Press et al. 2022) and has one number a head and step of age.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edge_rnn.graph import Layer

BLOCK = 256
"""Steps at once; the mask has this times (this + window) numbers a head."""


class Attention(nn.Module):
    """Gives x + out(attention(norm(x))); parameters as edge_rnn.layer names the arrays."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        d, self.window, self.heads = layer.units, layer.size("window"), layer.size("heads")
        self.norm_w, self.norm_b = nn.Parameter(torch.ones(d)), nn.Parameter(torch.zeros(d))
        self.w_qkv, self.b_qkv = nn.Parameter(torch.empty(3 * d, d)), nn.Parameter(torch.zeros(3 * d))
        self.w_out, self.b_out = nn.Parameter(torch.empty(d, d)), nn.Parameter(torch.zeros(d))
        self.bias = nn.Parameter(alibi(self.heads, self.window))
        nn.init.xavier_uniform_(self.w_qkv)
        nn.init.xavier_uniform_(self.w_out)

    def forward(self, x: Tensor, k: Tensor, v: Tensor, seen: Tensor) -> tuple[Tensor, ...]:
        """From x (B, T, d), k and v (B, W * d), seen (B, 1): y (B, T, d) and the states after the last step.

        A long sequence goes in blocks, which bounds the mask.
        """
        outputs, states = [], (k, v, seen)
        for block in torch.split(x, max(BLOCK, self.window), 1):
            y, *after = self._block(block, *states)
            outputs.append(y)
            states = (after[0], after[1], after[2])
        return (torch.cat(outputs, 1) if len(outputs) > 1 else outputs[0], *states)

    def _block(self, x: Tensor, k: Tensor, v: Tensor, seen: Tensor) -> tuple[Tensor, ...]:
        batch, steps, units = x.shape
        functional = nn.functional
        normed = functional.layer_norm(x, (units,), self.norm_w, self.norm_b)
        q, new_k, new_v = functional.linear(normed, self.w_qkv, self.b_qkv).chunk(3, 2)
        keys = torch.cat([k.reshape(batch, self.window, units), new_k], 1)
        values = torch.cat([v.reshape(batch, self.window, units), new_v], 1)
        real = min(self.window, int(seen.max())) + steps  # none looks at rows before: they need no scores
        mixed = functional.scaled_dot_product_attention(
            self._split(q),
            self._split(keys[:, -real:]),
            self._split(values[:, -real:]),
            attn_mask=self._mask(steps, real, seen),
        )
        y = x + functional.linear(mixed.transpose(1, 2).flatten(2), self.w_out, self.b_out)
        ends = (part[:, -self.window :].flatten(1) for part in (keys, values))
        return (y, *ends, (seen + steps).clamp(max=self.window))

    def _split(self, part: Tensor) -> Tensor:
        """(B, T, d) -> (B, heads, T, d / heads)."""
        return part.reshape(*part.shape[:2], self.heads, -1).transpose(1, 2)

    def _mask(self, steps: int, rows: int, seen: Tensor) -> Tensor:
        """What is added to the scores (B or 1, heads, T, rows): the bias by age, or -inf for what is not seen."""
        seen = seen[:1] if bool((seen == seen[0]).all()) else seen
        age = torch.arange(steps)[:, None] + (rows - steps) - torch.arange(rows)
        bias = self.bias[:, (self.window - 1 - age).clamp(0, self.window - 1)]
        there = torch.arange(rows) >= rows - steps - seen
        visible = ((age >= 0) & (age < self.window)) & there[:, None]
        return torch.where(visible[:, None], bias, -torch.inf)


class FeedForward(nn.Module):
    """Gives x + down(relu(up(norm(x))))."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        d, f = layer.units, layer.size("hidden")
        self.norm_w, self.norm_b = nn.Parameter(torch.ones(d)), nn.Parameter(torch.zeros(d))
        self.w_up, self.b_up = nn.Parameter(torch.empty(f, d)), nn.Parameter(torch.zeros(f))
        self.w_down, self.b_down = nn.Parameter(torch.empty(d, f)), nn.Parameter(torch.zeros(d))
        nn.init.xavier_uniform_(self.w_up)
        nn.init.xavier_uniform_(self.w_down)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """From (B, T, d) to (B, T, d)."""
        functional = nn.functional
        normed = functional.layer_norm(x, (x.shape[2],), self.norm_w, self.norm_b)
        hidden = torch.relu(functional.linear(normed, self.w_up, self.b_up))
        return (x + functional.linear(hidden, self.w_down, self.b_down),)


def alibi(heads: int, window: int) -> Tensor:
    """ALiBi's bias (heads, window), the oldest first: -slope * age, slopes 2^(-8 / heads), 2^(-16 / heads), ..."""
    slopes = 2.0 ** (-8 * torch.arange(1, heads + 1) / heads)
    return -slopes[:, None] * torch.arange(window - 1, -1, -1)
