"""What a step of training sees: crops of labelled segments, or lanes that read recordings with carried state.

A feed is an iterator of one epoch's batches; all chance comes from the generator it is given.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from .augment import Axes, Wearing, disturb, draw_wearing, wear
from .datasets import UNKNOWN, Recordings
from .recipes import Recipe


@dataclass(frozen=True)
class Batch:
    """x (B, T, I) physical values; label (B, T), UNKNOWN where not scored; restart (B,) lanes whose state is new."""

    x: Tensor
    label: Tensor
    restart: Tensor


class Crops:
    """Windows cut anywhere inside labelled segments, each from zero state; a segment's chance grows with its length."""

    def __init__(self, data: Recordings, axes: Axes, recipe: Recipe, std: Tensor) -> None:
        self.x = torch.from_numpy(data.values())
        self.axes, self.recipe, self.std = axes, recipe, std
        starts, _ = data.windows(recipe.window, recipe.hop)
        segments = torch.from_numpy(data.segments())
        self.segments = segments[segments[:, 1] - segments[:, 0] >= recipe.window]
        self.weights = (self.segments[:, 1] - self.segments[:, 0] - recipe.window + 1).double()
        self.steps = max(1, len(starts) // recipe.batch)

    def epoch(self, generator: torch.Generator) -> Iterator[Batch]:
        """As many crops as there are windows `hop` apart."""
        for _ in range(self.steps):
            yield self._batch(generator)

    def _batch(self, generator: torch.Generator) -> Batch:
        recipe, window = self.recipe, self.recipe.window
        picked = torch.multinomial(self.weights, recipe.batch, replacement=True, generator=generator)
        start, stop, label = self.segments[picked].unbind(1)
        room = (stop - start - 1).float()
        speed = torch.exp(recipe.warp * (2 * torch.rand(recipe.batch, generator=generator) - 1))
        speed = torch.minimum(speed, room / max(1, window - 1))
        span = speed * (window - 1)
        first = start + (torch.rand(recipe.batch, generator=generator) * (room - span + 1).floor()).long()
        position = speed[:, None] * torch.arange(window)
        below = position.long()
        part = (position - below)[..., None]
        row = first[:, None] + below
        next_row = torch.minimum(row + 1, stop[:, None] - 1)
        x = self.x[row] * (1 - part) + self.x[next_row] * part
        if self.axes.gyroscope:
            x[..., list(self.axes.gyroscope)] *= speed[:, None, None]  # played faster, it also turns faster
        x = wear(x, self.axes, draw_wearing(recipe.batch, recipe, generator))
        x = disturb(x, recipe, self.std, generator)
        return Batch(x, label[:, None].expand(-1, window), torch.ones(recipe.batch, dtype=torch.bool))


class Lanes:
    """Truncated BPTT: lanes read recordings in chunks of `chunk` samples; the state goes on from chunk to chunk.

    A lane that reaches its recording's end starts another at a random sample. Each epoch starts all lanes anew. The
    first quarter of a window after a start is not scored: the state knows too little there.
    """

    def __init__(self, data: Recordings, axes: Axes, recipe: Recipe, std: Tensor, chunk: int) -> None:
        self.x = torch.from_numpy(data.values())
        self.label = torch.from_numpy(data.label)
        self.bounds = torch.from_numpy(data.rec_start)
        self.axes, self.recipe, self.std, self.chunk = axes, recipe, std, chunk
        self.lengths = (self.bounds[1:] - self.bounds[:-1]).double()
        self.steps = max(1, len(self.x) // (recipe.lanes * chunk))

    def epoch(self, generator: torch.Generator) -> Iterator[Batch]:
        """As many chunks as cover the recordings once."""
        lanes, quiet = self.recipe.lanes, self.recipe.window // 4
        row = torch.zeros(lanes, dtype=torch.long)
        stop = torch.zeros(lanes, dtype=torch.long)
        begun = torch.zeros(lanes, dtype=torch.long)
        worn = Wearing(torch.zeros(lanes, 3, 3), torch.zeros(lanes))  # kept while a lane stays in its recording
        for _ in range(self.steps):
            restart = row + self.chunk > stop
            count = int(restart.sum())
            if count:
                recording = torch.multinomial(self.lengths, count, replacement=True, generator=generator)
                low, high = self.bounds[recording], self.bounds[recording + 1]
                room = (high - low - self.chunk + 1).clamp(min=1)
                row[restart] = low + (torch.rand(count, generator=generator, dtype=torch.float64) * room).long()
                stop[restart] = high
                begun[restart] = row[restart]
                new = draw_wearing(count, self.recipe, generator)
                worn.turn[restart], worn.gain[restart] = new.turn, new.gain
            index = row[:, None] + torch.arange(self.chunk)
            inside = index < stop[:, None]
            index = torch.minimum(index, stop[:, None] - 1)
            scored = inside & (index - begun[:, None] >= quiet)
            label = torch.where(scored, self.label[index], UNKNOWN)
            x = disturb(wear(self.x[index], self.axes, worn), self.recipe, self.std, generator)
            yield Batch(x, label, restart)
            row = row + self.chunk
