"""Training for events in streams: carried state, starts near onsets, averaged weights. One network out.

What a detector needs is not what a window classifier needs: the state runs on for hours, and the moment matters. So
lanes read recordings with carried, detached state (truncated BPTT), a lane starts anew now and then, half of the times
near an onset, and the loss adds the two-class question "event or not" to the classes'. The weights that are kept are an
exponential average of the second half's (Polyak and Juditsky 1992, in its exponential form).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from .augment import Axes, Wearing, disturb, draw_wearing, find_axes, wear
from .datasets import UNKNOWN, Recordings, merge, statistics
from .initial import initialise
from .networks import Network
from .recipes import Recipe

__all__ = ["EventRecipe", "merge", "train_events"]


@dataclass(frozen=True)
class EventRecipe:
    """How long, how fast, and what a lane does; seconds are converted by the data's rate."""

    steps: int = 2000
    lanes: int = 64
    chunk: int = 256
    learning_rate: float = 1.2e-2
    weight_decay: float = 1e-2
    warmup: float = 0.1
    """Share of the steps in which the learning rate rises (one cycle; Smith 2018)."""
    averaging: float = 0.99
    restart: float = 0.12
    """Chance that a lane starts anew at a chunk."""
    near_onset: float = 0.5
    reversed: float = 0.3
    """Share of starts that read backwards, a gyroscope's sign turned."""
    quiet_s: float = 1.0
    """Not scored after a start."""
    blurred_s: float = 0.3
    """Not asked "event or not" so long before an onset, and on both sides of an end."""
    event_weight: float = 2.0
    smoothing: float = 0.05
    worn: Recipe = field(default_factory=lambda: Recipe(rotation_deg=20.0, gain_sd=0.1, noise_sd=0.05))


def train_events(
    data: Recordings,
    event: str,
    *,
    hidden: int = 32,
    recipe: EventRecipe | None = None,
    seed: int = 0,
    on_step: Callable[[], None] = lambda: None,
) -> Network:
    """A GRU that tells `event`, one of the data's classes, from the others at every sample."""
    recipe = recipe or EventRecipe()
    generator = torch.Generator().manual_seed(seed)
    index, stats = data.classes.index(event), statistics(data)
    network = Network.of("gru", len(data.channels), len(data.classes), hidden=hidden)
    initialise(network, generator)
    network.mean.copy_(torch.tensor(stats["mean"]))
    network.std.copy_(torch.tensor(stats["std"]))
    lanes = _Lanes(data, index, recipe, generator)
    optimizer = torch.optim.AdamW(network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.learning_rate, total_steps=recipe.steps, pct_start=recipe.warmup
    )
    weight = torch.ones(len(data.classes))
    weight[index] = recipe.event_weight
    average: dict[str, Tensor] = {}
    state = network.zero_state(recipe.lanes)
    for step in range(recipe.steps):
        x, label, asked, fresh = lanes.next()
        state = tuple(s.detach() * ~fresh[:, None] for s in state)
        y, *after = network(x, *state)
        state = tuple(after)
        loss = _loss(y, label, asked, index, weight, recipe)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step >= recipe.steps // 2:
            for name, value in network.named_parameters():
                kept = average.setdefault(name, value.detach().clone())
                kept.lerp_(value.detach(), 1 - recipe.averaging)
        on_step()
    with torch.no_grad():
        for name, value in network.named_parameters():
            value.copy_(average.get(name, value))
    return network.eval()


def _loss(y: Tensor, label: Tensor, asked: Tensor, event: int, weight: Tensor, recipe: EventRecipe) -> Tensor:
    known = label != UNKNOWN
    classes = torch.nn.functional.cross_entropy(
        y[known], label[known], weight, label_smoothing=recipe.smoothing, reduction="sum"
    ) / known.sum().clamp(min=1)
    others = torch.cat([y[..., :event], y[..., event + 1 :]], -1).logsumexp(-1)
    margin = y[..., event] - others  # its logistic is the softmax probability of the event
    wanted = known & asked
    binary = torch.nn.functional.binary_cross_entropy_with_logits(
        margin[wanted], (label[wanted] == event).float(), reduction="sum"
    ) / wanted.sum().clamp(min=1)
    return classes + binary


class _Lanes:
    """Chunks (B, T) of recordings read side by side; who starts anew, and which samples ask "event or not"."""

    def __init__(self, data: Recordings, event: int, recipe: EventRecipe, generator: torch.Generator) -> None:
        self.recipe, self.generator = recipe, generator
        self.x, self.label = torch.from_numpy(data.values()), torch.from_numpy(data.label)
        self.bounds = torch.from_numpy(data.rec_start)
        self.axes: Axes = find_axes(data.channels, data.units)
        self.std = torch.tensor(statistics(data)["std"])
        segments = data.segments()
        mine = segments[segments[:, 2] == event]
        self.events = torch.from_numpy(mine[:, :2].copy())
        self.asked = torch.ones(len(self.label), dtype=torch.bool)
        blurred = round(recipe.blurred_s * data.rate_hz)
        for start, stop, _ in mine.tolist():
            self.asked[max(0, start - blurred) : start] = False
            self.asked[max(0, stop - blurred) : stop + blurred] = False
        self.quiet = round(recipe.quiet_s * data.rate_hz)
        self.near = round(10 * data.rate_hz)
        lanes = recipe.lanes
        self.row, self.low, self.high = (torch.zeros(lanes, dtype=torch.long) for _ in range(3))
        self.way = torch.ones(lanes, dtype=torch.long)
        self.age = torch.zeros(lanes, dtype=torch.long)
        self.worn = Wearing(torch.zeros(lanes, 3, 3), torch.zeros(lanes))

    def next(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """X (B, T, I), label (B, T) with UNKNOWN where not scored, asked (B, T), fresh (B,)."""
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
        if len(self.events):
            event = self.events[torch.randint(len(self.events), (count,), generator=self.generator)]
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
