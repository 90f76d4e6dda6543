"""Real public data as Recordings: the official HAPT download, and the watch recordings inside the seglearn wheel.

The watch file is a pickled object array (a dict), so reading it can run code: its SHA-256 is checked first, and only
the workstation reads it, never a device.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from edge_rnn.errors import DataError, MissingExtra

from .datasets import UNKNOWN, Recordings
from .readers import read_npz

WATCH_SHA256 = "eb122f23cdf06ef6bd6c6c5312958ec5cf9d038e2e6d457b8081662c75a42537"
WATCH_TEST_SUBJECTS = ("3", "6", "9")

HAPT_CLASSES = (
    "WALKING", "WALKING_UPSTAIRS", "WALKING_DOWNSTAIRS", "SITTING", "STANDING", "LAYING", "STAND_TO_SIT",
    "SIT_TO_STAND", "SIT_TO_LIE", "LIE_TO_SIT", "STAND_TO_LIE", "LIE_TO_STAND",
)  # fmt: skip
HAPT_RATE_HZ = 50.0
HAPT_TEST_SUBJECTS = ("2", "4", "9", "10", "12", "13", "18", "20", "24")
"""The download's own test people."""
HAPT_HELP = (
    "get 'Smartphone-Based Recognition of Human Activities and Postural Transitions' (doi 10.24432/C54G7M) from the "
    "UCI Machine Learning Repository and give its RawData folder, or set EDGE_RNN_DATA to a folder with hapt/train.npz"
)


def read_watch() -> Recordings:
    """SPAR: 7 arm exercises by 10 people, acceleration (g) and rotation (rad/s) at 50 Hz, one exercise a recording.

    D. Burns et al., Physiological Measurement 39 (2018) 075007; BSD-3-Clause, (c) David Burns. Found without importing
    seglearn, which would import pandas. Raises MissingExtra without the wheel, DataError for another file.
    """
    found = importlib.util.find_spec("seglearn")
    if found is None or found.origin is None:
        raise MissingExtra("seglearn", "train", "the watch recordings")
    path = Path(found.origin).parent / "data" / "watch_dataset.npy"
    try:
        blob = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error}): reinstall seglearn==1.2.5") from error
    digest = hashlib.sha256(blob).hexdigest()
    if digest != WATCH_SHA256:
        raise DataError(f"{path} has SHA-256 {digest[:12]}..., expected {WATCH_SHA256[:12]}...: not unpickling it")
    raw: dict[str, Any] = np.load(io.BytesIO(blob), allow_pickle=True).item()
    lengths = [len(x) for x in raw["X"]]
    sides = ["left" if side == 0 else "right" for side in raw["side"]]
    return Recordings(
        x=np.concatenate(raw["X"]),
        scale=np.ones(6),
        label=np.repeat(raw["y"].astype(np.int64), lengths),
        rec_start=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        rec_subject=tuple(str(s) for s in raw["subject"]),
        rec_id=tuple(
            f"{r}-person{s}-{side}-{raw['y_labels'][y]}"
            for r, (s, side, y) in enumerate(zip(raw["subject"], sides, raw["y"], strict=True))
        ),
        rate_hz=50.0,
        channels=tuple(raw["X_labels"]),
        units=("g", "g", "g", "rad/s", "rad/s", "rad/s"),
        classes=tuple(raw["y_labels"]),
    )


def find_hapt(split: str) -> Recordings:
    """`train` or `test` of hapt, from the folder EDGE_RNN_DATA names (default ../shared/data)."""
    path = Path(os.environ.get("EDGE_RNN_DATA", "../shared/data")) / "hapt" / f"{split}.npz"
    if not path.is_file():
        raise DataError(f"hapt is not at {path}: {HAPT_HELP}")
    return read_npz(path)


def is_hapt_download(folder: Path) -> bool:
    """Whether this is the official download (its top folder, or RawData itself)."""
    return (_raw_folder(folder) / "labels.txt").is_file()


def read_hapt_download(folder: str | Path) -> Recordings:
    """The official download: RawData/acc_expXX_userYY.txt (g), gyro_... (rad/s), labels.txt (1-based, inclusive).

    J.-L. Reyes-Ortiz et al., Neurocomputing 171 (2016) 754-767; CC BY 4.0. Samples no row of labels.txt covers are
    unknown. Raises DataError for what is missing or does not fit.
    """
    raw = _raw_folder(Path(folder))
    files = sorted(raw.glob("acc_exp*_user*.txt"))
    if not files:
        raise DataError(f"{raw} has no acc_expXX_userYY.txt: {HAPT_HELP}")
    marks = _matrix(raw / "labels.txt", 5).astype(np.int64)
    pieces, labels, subjects, ids = [], [], [], []
    for path in files:
        match = re.fullmatch(r"acc_exp(\d+)_user(\d+)\.txt", path.name)
        if match is None:
            raise DataError(f"{path.name} is not of the form acc_expXX_userYY.txt")
        experiment, user = (int(group) for group in match.groups())
        acc, gyro = _matrix(path, 3), _matrix(raw / path.name.replace("acc_", "gyro_", 1), 3)
        if len(acc) != len(gyro):
            raise DataError(f"{path.name} has {len(acc)} samples, its gyroscope file {len(gyro)}: download again")
        label = np.full(len(acc), UNKNOWN, dtype=np.int64)
        for _, _, activity, start, stop in marks[(marks[:, 0] == experiment) & (marks[:, 1] == user)]:
            if not (1 <= activity <= len(HAPT_CLASSES) and 1 <= start <= stop <= len(acc)):
                raise DataError(f"labels.txt: activity {activity}, {start}..{stop} does not fit {path.name}")
            label[start - 1 : stop] = activity - 1
        pieces.append(np.hstack([acc, gyro]))
        labels.append(label)
        subjects.append(str(user))
        ids.append(str(experiment))
    return Recordings(
        x=np.concatenate(pieces),
        scale=np.ones(6),
        label=np.concatenate(labels),
        rec_start=np.concatenate([[0], np.cumsum([len(piece) for piece in pieces])]).astype(np.int64),
        rec_subject=tuple(subjects),
        rec_id=tuple(ids),
        rate_hz=HAPT_RATE_HZ,
        channels=("acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "gyro_z"),
        units=("g", "g", "g", "rad/s", "rad/s", "rad/s"),
        classes=HAPT_CLASSES,
    )


def _raw_folder(folder: Path) -> Path:
    return folder / "RawData" if (folder / "RawData").is_dir() else folder


def _matrix(path: Path, columns: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    try:
        table = np.loadtxt(path, dtype=np.float64, ndmin=2)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error}): download the data again") from error
    if table.shape[1] != columns:
        raise DataError(f"{path} has {table.shape[1]} columns, expected {columns}")
    return table
