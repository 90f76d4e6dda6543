"""What an event model is fed: chunks of recordings read side by side, state running on, and what is asked of them.

A lane starts anew now and then, half of the times near an onset, now and then backwards. All chance is from the
generator given; no network here.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .augment import Axes, Wearing, disturb, draw_wearing, find_axes, wear
from .datasets import UNKNOWN, Recordings, statistics
from .event_recipes import EventRecipe

NEAR_S = 10.0
"""A start near an onset is at most so long before it."""


class EventLanes:
    """Chunks (B, T) of recordings read side by side; who starts anew, and which samples ask "event or not".

    `events` are class indexes.
    """

    def __init__(self, data: Recordings, events: Sequence[int], recipe: EventRecipe, generator: torch.Generator):
        self.recipe, self.generator = recipe, generator
        self.x, self.label = torch.from_numpy(data.values()), torch.from_numpy(data.label)
        self.bounds = torch.from_numpy(data.rec_start)
        self.axes: Axes = find_axes(data.channels, data.units)
        self.std = torch.tensor(statistics(data)["std"])
        segments = torch.from_numpy(data.segments())
        self.starts = segments[torch.isin(segments[:, 2], torch.tensor(list(events)))][:, :2]
        self.asked = torch.ones(len(self.label), len(events), dtype=torch.bool)
        blurred = round(recipe.blurred_s * data.rate_hz)
        for column, event in enumerate(events):
            for start, stop, _ in segments[segments[:, 2] == event].tolist():
                self.asked[max(0, start - blurred) : start, column] = False
                self.asked[max(0, stop - blurred) : stop + blurred, column] = False
        self.quiet = round(recipe.quiet_s * data.rate_hz)
        self.near = round(NEAR_S * data.rate_hz)
        lanes = recipe.lanes
        self.row, self.low, self.high = (torch.zeros(lanes, dtype=torch.long) for _ in range(3))
        self.way = torch.ones(lanes, dtype=torch.long)
        self.age = torch.zeros(lanes, dtype=torch.long)
        self.worn = Wearing(torch.zeros(lanes, 3, 3), torch.zeros(lanes))

    def next(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """X (B, T, I), label (B, T) with UNKNOWN where not scored, asked (B, T, E), fresh (B,)."""
        chunk = self.recipe.chunk
        last = self.row + self.way * (chunk - 1)
        fresh = (last < self.low) | (last >= self.high) | (self._uniform(len(self.row)) < self.recipe.restart)
        self._start(fresh)
        index = self.row[:, None] + self.way[:, None] * torch.arange(chunk)
        inside = (index >= self.low[:, None]) & (index < self.high[:, None])
        index = index.clamp(min=0, max=len(self.label) - 1)
        scored = inside & (self.age[:, None] + torch.arange(chunk) >= self.quiet)
        label = torch.where(scored, self.label[index], UNKNOWN)
        x = self.x[index]
        if self.axes.gyroscope:
            x[..., list(self.axes.gyroscope)] *= self.way[:, None, None]
        x = disturb(wear(x, self.axes, self.worn), self.recipe.worn, self.std, self.generator)
        self.row, self.age = self.row + self.way * chunk, self.age + chunk
        return x, label, self.asked[index], fresh

    def _start(self, fresh: Tensor) -> None:
        count = int(fresh.sum())
        if not count:
            return
        way = torch.where(self._uniform(count) < self.recipe.reversed, -1, 1)
        anywhere = (self._uniform(count) * len(self.label)).long()
        if len(self.starts):
            event = self.starts[torch.randint(len(self.starts), (count,), generator=self.generator)]
            near = torch.where(way > 0, event[:, 0], event[:, 1]) - way * (self._uniform(count) * self.near).long()
            anywhere = torch.where(self._uniform(count) < self.recipe.near_onset, near, anywhere)
        anywhere = anywhere.clamp(0, len(self.label) - 1)
        recording = torch.searchsorted(self.bounds, anywhere, right=True) - 1
        self.low[fresh], self.high[fresh] = self.bounds[recording], self.bounds[recording + 1]
        self.row[fresh], self.age[fresh] = anywhere, 0
        self.way[fresh] = way
        new = draw_wearing(count, self.recipe.worn, self.generator)
        self.worn.turn[fresh], self.worn.gain[fresh] = new.turn, new.gain

    def _uniform(self, count: int) -> Tensor:
        return torch.rand(count, generator=self.generator)
