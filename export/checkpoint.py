"""`Checkpoint`: all that training hands to export, in one file that holds only tensors and plain values.

Written atomically, read with `torch.load(weights_only=True)`: opening one never runs code from it.
The keys on disk are the fields here, with `format` = 1 and `network` = the spec that `Network.from_spec` reads.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edge_rnn.arrays import Array
from edge_rnn.atomic import write_atomically
from edge_rnn.errors import DataError, EdgeRnnError
from edge_rnn.looks import TORCH, ZIP, kind_of

from .networks import Network

FORMAT = 1
GOLDEN_STEPS = 256
CALIBRATION_STEPS = 4096


@dataclass(frozen=True)
class Checkpoint:
    """A trained network and the facts about its data.

    `channels` is [{name, unit, mean, std, min, max, constant}], statistics of the raw physical values (the channel gain
    is in the network's `std` only; constant is the longest stretch of one value, in samples). `max_abs` is max |x| a
    channel; `lsb` the data's `scale` a channel where all training values are int16 codes times it, else None. `window`
    in samples becomes the bundle's warmup_samples.
    `golden_x` (256, I) and `calibration_x` (4096, I) are real samples, float32, physical units; `calibration_start`
    holds the offsets where a contiguous stretch begins, so state restarts there. Either may be shorter where the
    data are. `training` is {data, train_subjects, validation_subjects, seed, recipe, metrics}.
    """

    network: dict[str, Any]
    state_dict: dict[str, Tensor] = field(repr=False)
    channels: list[dict[str, Any]]
    max_abs: list[float]
    lsb: list[float] | None
    rate_hz: float
    labels: list[str]
    background: str | None
    task: str
    window: int
    golden_x: Array = field(repr=False)
    calibration_x: Array = field(repr=False)
    calibration_start: list[int]
    training: dict[str, Any]

    def build(self) -> Network:
        """The trained network, in eval mode."""
        network = Network.from_spec(self.network)
        network.load_state_dict(self.state_dict)
        return network.eval()

    def save(self, path: str | Path) -> None:
        """Write the file in one move: a reader sees the old one or the new one, never a part."""
        plain: dict[str, Any] = {"format": FORMAT, **{name: getattr(self, name) for name in self._names()}}
        plain["state_dict"] = {name: tensor.detach().cpu().clone() for name, tensor in self.state_dict.items()}
        for name in ("golden_x", "calibration_x"):
            plain[name] = torch.from_numpy(np.array(plain[name], dtype=np.float32, order="C"))
        save_atomically(plain, path)

    @classmethod
    def load(cls, path: str | Path) -> Checkpoint:
        """Read and check a checkpoint.

        Raises DataError for a file that is missing, truncated, something else, or written by a newer edge-rnn.
        """
        plain = load_plain(path, "checkpoint")
        number = plain.get("format")
        if not isinstance(number, int):
            raise DataError(f"{path} is not an edge-rnn checkpoint: it has no format number; make one with train")
        if number > FORMAT:
            raise DataError(f"{path} has checkpoint format {number}, this edge-rnn reads up to {FORMAT}: upgrade it")
        missing = sorted(set(cls._names()) - set(plain))
        if missing:
            raise DataError(f"{path} is a checkpoint without {', '.join(missing)}: train again")
        values = {name: plain[name] for name in cls._names()}
        try:
            for name in ("golden_x", "calibration_x"):
                values[name] = values[name].numpy()
            checkpoint = cls(**values)
            inputs, classes = len(checkpoint.channels), len(checkpoint.labels)
            network = checkpoint.build()
        except (EdgeRnnError, RuntimeError, TypeError, AttributeError) as error:
            raise DataError(f"{path} holds a network that cannot be rebuilt ({error}): train again") from error
        if (network.spec()["inputs"], network.spec()["classes"]) != (inputs, classes):
            raise DataError(f"{path} has {inputs} channels and {classes} labels, its network disagrees: train again")
        return checkpoint

    @classmethod
    def _names(cls) -> tuple[str, ...]:
        return tuple(cls.__dataclass_fields__)


def save_atomically(plain: dict[str, Any], path: str | Path) -> None:
    """torch.save, to a file that is whole or not there; folders are made."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    stream = io.BytesIO()
    torch.save(plain, stream)
    write_atomically(target, stream.getvalue())


def load_plain(path: str | Path, what: str) -> dict[str, Any]:
    """A dict of tensors and plain values; no code in the file is run. Raises DataError."""
    if not Path(path).is_file():
        raise DataError(f"{path} is not there: expected a {what}, make one with `edge-rnn train`")
    try:
        plain = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds: pickle, zip, runtime, eof
        kind = TORCH if isinstance(error, OSError) else kind_of(path)
        if kind not in (TORCH, ZIP):
            raise DataError(
                f"{path} is not a readable {what}, it is {kind}: give what `edge-rnn train` made"
            ) from error
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{path} is not a readable {what} ({reason}): truncated, damaged or made elsewhere") from error
    if not isinstance(plain, dict):
        raise DataError(f"{path} holds a {type(plain).__name__}, expected a {what} made by `edge-rnn train`")
    return plain
