"""What a step of training is judged by. Tensors in, one number out; UNKNOWN labels never count."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .datasets import UNKNOWN, Recordings
from .feeds import Batch
from .recipes import Recipe


def window_loss(y: Tensor, batch: Batch, recipe: Recipe, weight: Tensor | None) -> Tensor:
    """The last step decides; a share of the loss asks for an early answer, every 4th step after the first quarter."""
    last = _cross_entropy(y[:, -1], batch.label[:, -1], recipe, weight)
    early = slice(y.shape[1] // 4, None, 4)
    every = _cross_entropy(y[:, early], batch.label[:, early], recipe, weight)
    return recipe.last_step * last + (1 - recipe.last_step) * every


def stream_loss(y: Tensor, batch: Batch, recipe: Recipe, weight: Tensor | None) -> Tensor:
    """Mean over all scored steps of a chunk; 0 where none is scored."""
    if not (batch.label != UNKNOWN).any():
        return y.sum() * 0
    return _cross_entropy(y, batch.label, recipe, weight)


def class_weights(data: Recordings) -> Tensor:
    """Inverse share of each class (C,), mean 1 over the samples."""
    counts = np.bincount(data.label[data.label != UNKNOWN], minlength=len(data.classes))
    return torch.from_numpy(counts.sum() / (len(counts) * counts)).float()


def _cross_entropy(y: Tensor, label: Tensor, recipe: Recipe, weight: Tensor | None) -> Tensor:
    return torch.nn.functional.cross_entropy(
        y.flatten(0, -2), label.flatten(), weight, ignore_index=UNKNOWN, label_smoothing=recipe.label_smoothing
    )
