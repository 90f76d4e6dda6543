"""Alterations of inertial windows, so that training meets people and mountings it has no recordings of.

Tensors in, tensors out, all chance from the generator given; a batch is altered at once. No file, no network here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .recipes import Recipe

_ROTATION_UNITS = ("rad/s", "deg/s", "dps", "°/s")


@dataclass(frozen=True)
class Axes:
    """Which channels turn together: triads of columns, and the columns that measure a rate of turn."""

    triads: tuple[tuple[int, int, int], ...]
    gyroscope: tuple[int, ...]


def find_axes(channels: Sequence[str], units: Sequence[str]) -> Axes:
    """Triads are names that differ in a last x, y, z (acc_x acc_y acc_z; wx wy wz); a gyroscope is told by its unit,
    else by a name that begins with g or w.
    """
    triads = []
    for name in channels:
        group = [name[:-1] + axis for axis in "xyz"]
        if name.lower().endswith("x") and all(member in channels for member in group[1:]):
            triads.append(tuple(channels.index(member) for member in (name, *group[1:])))
    gyroscope = []
    for a, b, c in triads:
        unit = units[a].lower()
        if unit in _ROTATION_UNITS or (not unit and channels[a].lower()[0] in "gw"):
            gyroscope += [a, b, c]
    return Axes(tuple((a, b, c) for a, b, c in triads), tuple(gyroscope))


@dataclass(frozen=True)
class Wearing:
    """How the sensor is worn, a window or a lane each: turn (B, 3, 3) of every triad, and gain (B,)."""

    turn: Tensor
    gain: Tensor


def draw_wearing(count: int, recipe: Recipe, generator: torch.Generator) -> Wearing:
    """Random ones, by the recipe's rotation_deg and gain_sd."""
    turn = rotations(count, math.radians(recipe.rotation_deg), generator)
    return Wearing(turn, 1 + recipe.gain_sd * torch.randn(count, generator=generator))


def wear(x: Tensor, axes: Axes, worn: Wearing) -> Tensor:
    """A batch (B, T, I) of physical values as a sensor worn so would give it; a new tensor."""
    if not axes.triads:
        return x * worn.gain[:, None, None]
    scaled = (worn.turn * worn.gain[:, None, None]).transpose(1, 2)
    altered = x * worn.gain[:, None, None]
    for triad in axes.triads:
        altered[..., list(triad)] = torch.bmm(x[..., list(triad)], scaled)
    return altered


def disturb(x: Tensor, recipe: Recipe, std: Tensor, generator: torch.Generator) -> Tensor:
    """Noise and dropped samples, by the recipe's noise_sd and dropped."""
    if recipe.noise_sd > 0:
        x = x + recipe.noise_sd * std * torch.randn(x.shape, generator=generator)
    if recipe.dropped > 0:
        x = hold(x, torch.rand(x.shape[:2], generator=generator) < recipe.dropped)
    return x


def rotations(count: int, largest: float, generator: torch.Generator) -> Tensor:
    """(count, 3, 3) turns about uniform axes by uniform angles in [0, largest] rad (Rodrigues' formula)."""
    axis = torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=1)
    angle = largest * torch.rand(count, 1, 1, generator=generator)
    zero = torch.zeros(count)
    ax, ay, az = axis.unbind(1)
    cross = torch.stack([zero, -az, ay, az, zero, -ax, -ay, ax, zero], 1).view(count, 3, 3)
    return torch.eye(3) + torch.sin(angle) * cross + (1 - torch.cos(angle)) * (cross @ cross)


def hold(x: Tensor, lost: Tensor) -> Tensor:
    """Replace lost samples (B, T) by the last one before that came; the first of a window always came."""
    time = torch.arange(x.shape[1]).expand(lost.shape)
    last = torch.where(lost, 0, time).cummax(1).values
    return x.gather(1, last[..., None].expand(x.shape))
