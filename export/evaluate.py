"""How good a network is on recordings: windows from zero state, or whole recordings sample by sample.

It only looks: no training, no files. Figures are fractions of 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edge_rnn.arrays import Array

from .datasets import UNKNOWN, Ints, Recordings
from .torch_layers import EVERY, LAST

_BATCH = 1024


@dataclass(frozen=True)
class Scores:
    """True and predicted classes (n,) of what was scored, and the mean cross-entropy."""

    truth: Ints
    predicted: Ints
    loss: float

    @property
    def accuracy(self) -> float:
        """Share of right answers."""
        return float(np.mean(self.truth == self.predicted))

    def confusion(self, classes: int) -> Array:
        """(C, C) counts, a row a true class."""
        table = np.zeros((classes, classes), dtype=np.int64)
        np.add.at(table, (self.truth, self.predicted), 1)
        return table

    def report(self, labels: tuple[str, ...] | list[str]) -> dict[str, Any]:
        """Accuracy, loss, the confusion matrix, and precision, recall, F1 and count a class."""
        from sklearn.metrics import precision_recall_fscore_support

        rows = precision_recall_fscore_support(
            self.truth, self.predicted, labels=list(range(len(labels))), zero_division=0.0
        )
        names = ("precision", "recall", "f1", "count")
        per_class = {
            label: dict(zip(names, (row[i].item() for row in rows), strict=True)) for i, label in enumerate(labels)
        }
        return {
            "accuracy": self.accuracy,
            "loss": self.loss,
            "count": len(self.truth),
            "confusion": self.confusion(len(labels)).tolist(),
            "classes": per_class,
        }


@torch.no_grad()
def score_windows(network: nn.Module, data: Recordings, window: int, hop: int) -> Scores:
    """The last step's answer for each window inside one labelled segment, from zero state."""
    starts, labels = data.windows(window, hop)
    x = torch.from_numpy(data.values())
    steps = torch.arange(window)
    logits = [
        _eval(network, x[torch.from_numpy(starts[i : i + _BATCH])[:, None] + steps], LAST)[:, -1]
        for i in range(0, len(starts), _BATCH)
    ]
    return _scores(torch.cat(logits), labels)


@torch.no_grad()
def score_stream(network: nn.Module, data: Recordings) -> Scores:
    """Each labelled sample's answer, recordings read whole from zero state."""
    logits = [_eval(network, torch.from_numpy(data.values(r))[None])[0] for r in range(len(data))]
    known = data.label != UNKNOWN
    return _scores(torch.cat(logits)[torch.from_numpy(known)], data.label[known])


def _eval(network: nn.Module, x: Tensor, steps: slice = EVERY) -> Tensor:
    training = network.training
    network.eval()
    y: Tensor = network(x, steps=steps)[0]
    network.train(training)
    return y


def _scores(logits: Tensor, labels: Ints) -> Scores:
    loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(labels))
    return Scores(labels, logits.argmax(1).numpy().astype(np.int64), float(loss))
