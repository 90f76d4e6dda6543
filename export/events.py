"""Training for events in streams: carried state, starts near onsets, averaged weights. One network out, no files.

What a detector needs is not what a window classifier needs: the state runs on for hours, and the moment matters. So
lanes (event_lanes.py) read recordings with carried, detached state (truncated BPTT), and the loss adds to the classes'
the two-class question "this event or not". The weights that are kept are an exponential average of the second half's
(Polyak and Juditsky 1992, in its exponential form).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from edge_rnn.errors import UsageError

from .datasets import UNKNOWN, Recordings, statistics
from .event_lanes import EventLanes
from .event_recipes import EventRecipe
from .initial import initialise
from .networks import Network


def train_events(
    data: Recordings,
    events: Sequence[str],
    *,
    arch: str = "gru",
    hidden: int | None = None,
    layers: int | None = None,
    window: int | None = None,
    recipe: EventRecipe | None = None,
    seed: int = 0,
    on_step: Callable[[float], None] = lambda loss: None,
) -> Network:
    """A network that tells `events`, some of the data's classes, from the others at every sample.

    `hidden`, `layers` and `window` are as `Network.of` has them; `on_step` hears each step's loss. Raises UsageError
    for a training that diverged.
    """
    recipe = recipe or EventRecipe()
    generator = torch.Generator().manual_seed(seed)
    indexes, stats = [data.classes.index(event) for event in events], statistics(data)
    network = Network.of(arch, len(data.channels), len(data.classes), hidden=hidden, layers=layers, window=window)
    initialise(network, generator)
    network.mean.copy_(torch.tensor(stats["mean"]))
    network.std.copy_(torch.tensor(stats["std"]))
    lanes = EventLanes(data, indexes, recipe, generator)
    optimizer = torch.optim.AdamW(network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.learning_rate, total_steps=recipe.steps, pct_start=recipe.warmup
    )
    weight = torch.ones(len(data.classes))
    weight[indexes] = recipe.event_weight
    average: dict[str, Tensor] = {}
    state = network.zero_state(recipe.lanes)
    for step in range(recipe.steps):
        x, label, asked, fresh = lanes.next()
        state = tuple(s.detach() * ~fresh[:, None] for s in state)
        y, *after = network(x, *state)
        state = tuple(after)
        loss = event_loss(y, label, asked, indexes, weight, recipe.smoothing)
        if not torch.isfinite(loss):
            raise UsageError(
                f"training diverged: the loss became {loss.item()} in step {step + 1}; lower the learning rate "
                f"(now {recipe.learning_rate:g}: --set learning_rate=...)"
            )
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), recipe.clip)
        optimizer.step()
        schedule.step()
        if step >= recipe.steps // 2:
            for name, value in network.named_parameters():
                kept = average.setdefault(name, value.detach().clone())
                kept.lerp_(value.detach(), 1 - recipe.averaging)
        on_step(loss.item())
    with torch.no_grad():
        for name, value in network.named_parameters():
            value.copy_(average.get(name, value))
    return network.eval()


def event_loss(
    y: Tensor, label: Tensor, asked: Tensor, events: Sequence[int], weight: Tensor, smoothing: float
) -> Tensor:
    """Cross-entropy of the classes of y (B, T, C), and the mean over the events of "this one or not" where `asked`
    (B, T, E); UNKNOWN labels (B, T) count nowhere.
    """
    known = label != UNKNOWN
    classes = torch.nn.functional.cross_entropy(
        y[known], label[known], weight, label_smoothing=smoothing, reduction="sum"
    ) / known.sum().clamp(min=1)
    binary = []
    for column, event in enumerate(events):
        others = torch.cat([y[..., :event], y[..., event + 1 :]], -1).logsumexp(-1)
        margin = y[..., event] - others  # its logistic is the softmax probability of the event
        wanted = known & asked[..., column]
        both = torch.nn.functional.binary_cross_entropy_with_logits(
            margin[wanted], (label[wanted] == event).float(), reduction="sum"
        )
        binary.append(both / wanted.sum().clamp(min=1))
    return classes + torch.stack(binary).mean()
