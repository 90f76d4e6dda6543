"""Real samples for those who only look: golden steps and calibration stretches, which a checkpoint carries so that
export needs no data, and labelled stretches for a diagnosis.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edge_rnn.errors import DataError

from .checkpoint import CALIBRATION_STEPS, GOLDEN_STEPS
from .datasets import UNKNOWN, Recordings


def golden_samples(data: Recordings) -> npt.NDArray[np.float32]:
    """256 consecutive samples (fewer where no recording has them), centred on the first labelled change of activity.

    A stretch with a change moves the state most; without one, the middle of the longest recording.
    """
    longest = int(np.argmax(np.diff(data.rec_start)))
    low, high = (int(edge) for edge in data.rec_start[longest : longest + 2])
    inside = data.label[low:high]
    change = np.flatnonzero(np.diff(inside)) + 1
    centre = low + (int(change[0]) if len(change) else (high - low) // 2)
    start = max(low, min(centre - GOLDEN_STEPS // 2, high - GOLDEN_STEPS))
    x = data.values()[start : min(start + GOLDEN_STEPS, high)]
    if len(x) == 0:
        raise DataError("the training recordings hold no samples")
    return np.ascontiguousarray(x)


def calibration_samples(data: Recordings, window: int, seed: int) -> tuple[npt.NDArray[np.float32], list[int]]:
    """4,096 samples in contiguous stretches of a window, and the offset each begins at.

    They lie anywhere, labelled or not: a stream on a device runs over what nobody labelled too, and an int8 model that
    was rounded on labelled stretches alone is further from its float twin there.
    """
    chance = np.random.default_rng(seed)
    lengths = np.diff(data.rec_start)
    x = data.values()
    pieces: list[npt.NDArray[np.float32]] = []
    starts: list[int] = []
    total = 0
    while total < CALIBRATION_STEPS:
        recording = chance.choice(len(lengths), p=lengths / lengths.sum())
        length = min(window, int(lengths[recording]), CALIBRATION_STEPS - total)
        first = int(data.rec_start[recording] + chance.integers(lengths[recording] - length + 1))
        pieces.append(x[first : first + length])
        starts.append(total)
        total += length
    return np.ascontiguousarray(np.concatenate(pieces)), starts


def stretches(data: Recordings, steps: int, count: int) -> tuple[Tensor, Tensor]:
    """`count` stretches (B, steps, I) that end at a labelled sample, and the label there (B,), spread over the data.

    Stretches are shorter where no recording holds so many samples up to a labelled one; raises DataError where nothing
    is labelled.
    """
    known = np.flatnonzero(data.label != UNKNOWN)
    if not len(known):
        raise DataError("the recordings hold no labelled sample")
    opened = data.rec_start[np.searchsorted(data.rec_start, known, side="right") - 1]
    steps = min(steps, int((known - opened).max()) + 1)
    ends = known[known - opened >= steps - 1]
    picked = ends[np.linspace(0, len(ends) - 1, min(count, len(ends))).astype(int)]
    rows = picked[:, None] + np.arange(-steps + 1, 1)
    return torch.from_numpy(data.values()[rows]), torch.from_numpy(data.label[picked])
