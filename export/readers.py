"""Recordings from files: the `.npz` form and the folder form of docs/recordings.md. Nothing is trusted or guessed.

Arrays with pickled objects are refused, never loaded.
"""

from __future__ import annotations

import csv
import json
import zipfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_rnn.arrays import Array
from edge_rnn.errors import DataError
from edge_rnn.keys import I64
from edge_rnn.looks import ARRAYS, ONE_ARRAY, ZIP, kind_of
from edge_rnn.manifest import GapPolicy

from .datasets import UNKNOWN, UNKNOWN_CLASSES, Ints, Recordings
from .mending import recordings_of
from .rows import read_ernrec, read_rows


def read_recordings(path: str | Path, policy: GapPolicy | None = None) -> Recordings:
    """Recordings from a .npz file or a folder of files; raises DataError with what is wrong and where.

    Holes and bad samples are dealt with by the gap policy, as on a device (mending.py).
    """
    path = Path(path)
    if path.is_dir():
        return read_folder(path, policy)
    if not path.is_file():
        raise DataError(f"{path} is not there: expected a .npz file or a folder of recordings")
    return read_npz(path, policy)


def read_npz(path: Path, policy: GapPolicy | None = None) -> Recordings:
    """The `.npz` form."""
    arrays = _load_arrays(path)
    missing = sorted({"x", "rec_start", "fs", "channels", "classes"} - set(arrays))
    if missing:
        raise DataError(f"{path} lacks {', '.join(missing)}: recordings need x, rec_start, fs, channels, classes")
    if ("label" in arrays) == ("rec_label" in arrays):
        raise DataError(f"{path} needs either label (a number a sample) or rec_label (a number a recording)")
    start = _integers(arrays["rec_start"], f"{path}: rec_start")
    names = tuple(_text(arrays["classes"], f"{path}: classes"))
    if "label" in arrays:
        label = _integers(arrays["label"], f"{path}: label")
    else:
        per_recording = _integers(arrays["rec_label"], f"{path}: rec_label")
        if len(per_recording) != len(start) - 1 or np.any(np.diff(start) < 1):
            raise DataError(
                f"{path}: rec_label has {len(per_recording)} entries, rec_start {len(start)}; one less fits"
            )
        label = np.repeat(per_recording, np.diff(start))
    ignored = set(_integers(arrays["ignore"], f"{path}: ignore").tolist()) if "ignore" in arrays else set()
    label, classes = _drop_unknown(label, names, ignored, str(path))
    channels = tuple(_text(arrays["channels"], f"{path}: channels"))
    count = len(start) - 1
    t_us, seq = (_per_sample(arrays.get(name), len(label), f"{path}: {name}") for name in ("t_us", "seq"))
    spans = [slice(a, b) for a, b in pairwise(start.tolist())]
    keys = [(None if t_us is None else t_us[span] * 1000, None if seq is None else seq[span]) for span in spans]
    return recordings_of(
        str(path),
        keys,
        policy,
        x=arrays["x"],
        scale=_scale(arrays.get("scale", np.ones(1)), len(channels), f"{path}: scale"),
        label=label,
        rec_start=start,
        rec_subject=tuple(_text(arrays["rec_subject"], "rec_subject")) if "rec_subject" in arrays else None,
        rec_id=tuple(_text(arrays["rec_id"], "rec_id")) if "rec_id" in arrays else tuple(map(str, range(count))),
        rate_hz=_number(arrays["fs"], f"{path}: fs"),
        channels=channels,
        units=tuple(_text(arrays["units"], f"{path}: units")) if "units" in arrays else ("",) * len(channels),
        classes=classes,
    )


def read_folder(folder: Path, policy: GapPolicy | None = None) -> Recordings:
    """A CSV or .ernrec a recording, labels.csv, meta.json (fs; optional units, scale, classes, ignore)."""
    files = sorted(path for path in (*folder.glob("*.csv"), *folder.glob("*.ernrec")) if path.name != "labels.csv")
    if not files:
        raise DataError(f"{folder} holds no recordings: expected one .csv or .ernrec a recording beside labels.csv")
    meta = _meta(folder) if (folder / "meta.json").exists() or files[0].suffix == ".csv" else _own_meta(files[0])
    rows = _label_rows(folder / "labels.csv")
    strangers = sorted({row["recording"] for row in rows} - {path.stem for path in files})
    if strangers:
        raise DataError(f"{folder}/labels.csv names recordings {strangers} that have no file")
    names = tuple(meta.get("classes", sorted({row["label"] for row in rows})))
    pieces, labels, subjects = [], [], []
    keys: list[tuple[I64 | None, I64 | None]] = []
    channels: tuple[str, ...] | None = None
    for path in files:
        rows_of = read_rows(path)
        samples = rows_of.x
        if channels is not None and rows_of.channels != channels:
            raise DataError(f"{path} has channels {list(rows_of.channels)}, the recordings before it {list(channels)}")
        channels = rows_of.channels
        mine = [row for row in rows if row["recording"] == path.stem]
        labels.append(_spread(mine, len(samples), names, path))
        subjects.append(_one_subject(mine, path))
        pieces.append(samples)
        keys.append((rows_of.t_ns, rows_of.seq))
    assert channels is not None
    known = [subject for subject in subjects if subject]
    if known and len(known) < len(subjects):
        raise DataError(f"{folder}/labels.csv names a subject for {len(known)} of {len(subjects)} recordings: name all")
    ignored = {names.index(name) for name in meta.get("ignore", []) if name in names}
    label, classes = _drop_unknown(np.concatenate(labels), names, ignored, str(folder))
    return recordings_of(
        str(folder),
        keys,
        policy,
        x=np.concatenate(pieces),
        scale=_scale(np.asarray(meta.get("scale", 1.0)), len(channels), f"{folder}/meta.json: scale"),
        label=label,
        rec_start=np.concatenate([[0], np.cumsum([len(piece) for piece in pieces])]).astype(np.int64),
        rec_subject=tuple(known) if known else None,
        rec_id=tuple(path.stem for path in files),
        rate_hz=_number(np.asarray(meta["fs"]), f"{folder}/meta.json: fs"),
        channels=channels,
        units=tuple(meta.get("units", [""] * len(channels))),
        classes=classes,
    )


def _own_meta(path: Path) -> dict[str, Any]:
    """What meta.json would say, from a recording's own header."""
    header = read_ernrec(path)[1]
    if header.rate_hz <= 0:
        raise DataError(f"{path} does not know its rate: record it with --rate, or write a meta.json with fs")
    return {"fs": header.rate_hz, **({"units": list(header.units)} if header.units else {})}


def _load_arrays(path: Path) -> dict[str, Array]:
    wanted = "expected an .npz, or a folder of recordings with labels.csv (docs/recordings.md)"
    try:
        if (kind := kind_of(path)) not in (ARRAYS, ZIP, ONE_ARRAY):
            raise DataError(f"{path} is {kind}, {wanted}")
        loaded = np.load(path, allow_pickle=False)
        if not isinstance(loaded, np.lib.npyio.NpzFile):
            raise DataError(f"{path} holds one bare array, expected a .npz with x, label, rec_start ...")
        with loaded:
            return {name: loaded[name] for name in loaded.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, DataError):
            raise
        if "allow_pickle" in str(error):
            raise DataError(
                f"{path} holds pickled objects (ragged rows?): expected plain numbers and strings"
            ) from error
        raise DataError(f"{path} is not a readable .npz ({error}): it is truncated or damaged") from error


def _drop_unknown(label: Ints, names: tuple[str, ...], ignored: set[int], where: str) -> tuple[Ints, tuple[str, ...]]:
    """Take unknown classes out of the list; their samples get UNKNOWN."""
    if label.size and (label.min() < UNKNOWN or label.max() >= len(names)):
        bad = sorted(set(label[(label < UNKNOWN) | (label >= len(names))].tolist()))[:5]
        raise DataError(f"{where} has labels {bad}, which name none of its {len(names)} classes {list(names)}")
    if ignored - set(range(len(names))):
        raise DataError(f"{where}: ignore is {sorted(ignored)}, expected class ids below {len(names)}")
    kept = [i for i, name in enumerate(names) if i not in ignored and name.upper() not in UNKNOWN_CLASSES]
    table = np.full(len(names) + 1, UNKNOWN, dtype=np.int64)
    table[kept] = np.arange(len(kept))
    return table[label], tuple(names[i] for i in kept)


def _integers(array: Array, what: str) -> Ints:
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise DataError(f"{what} is {array.dtype} {array.shape}, expected a row of integers")
    return array.astype(np.int64)


def _per_sample(array: Array | None, count: int, what: str) -> Ints | None:
    """An optional array of times or sequence numbers."""
    if array is not None and len(_integers(array, what)) != count:
        raise DataError(f"{what} has {len(array)} entries, expected {count}, one a sample")
    return None if array is None else array.astype(np.int64)


def _text(array: Array, what: str) -> list[str]:
    if array.ndim != 1 or array.dtype.kind not in "iuU":
        raise DataError(f"{what} is {array.dtype} {array.shape}, expected a row of names or integers")
    return [str(item) for item in array.tolist()]


def _scale(array: Array, columns: int, what: str) -> npt.NDArray[np.float64]:
    if array.dtype.kind not in "iuf" or array.size not in (1, columns):
        raise DataError(f"{what} is {array.dtype} {array.shape}, expected one number or {columns}, a number a channel")
    return np.array(np.broadcast_to(array.reshape(-1), (columns,)), dtype=np.float64)


def _number(array: Array, what: str) -> float:
    if array.size != 1 or array.dtype.kind not in "iuf":
        raise DataError(f"{what} is {array.dtype} {array.shape}, expected one number")
    return float(array.reshape(()))


def _meta(folder: Path) -> dict[str, Any]:
    try:
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{folder}/meta.json cannot be read ({error}): expected an object with fs") from error
    if not isinstance(meta, dict) or "fs" not in meta:
        raise DataError(f"{folder}/meta.json lacks fs, the samples a second")
    for name in ("units", "classes", "ignore"):
        listed = meta.get(name, [])
        if not isinstance(listed, list) or not all(isinstance(item, str) for item in listed):
            raise DataError(f"{folder}/meta.json: {name} is {listed!r}, expected a list of names")
    return meta


def _label_rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            table = csv.DictReader(file)
            rows = list(table)
            columns = set(table.fieldnames or ())
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error}): expected recording, start, stop, label, subject") from error
    missing = sorted({"recording", "start", "stop", "label"} - columns)
    strange = sorted(columns - {"recording", "start", "stop", "label", "subject"})
    if strange and "subject" not in columns:
        raise DataError(f"{path} has no column subject but {', '.join(strange)}: name the column of people subject")
    if missing or not rows:
        raise DataError(f"{path} lacks {', '.join(missing) or 'rows'}: expected recording, start, stop, label, subject")
    return rows


def _spread(rows: list[dict[str, str]], length: int, names: tuple[str, ...], path: Path) -> Ints:
    label = np.full(length, UNKNOWN, dtype=np.int64)
    for row in rows:
        try:
            start, stop = int(row["start"]), int(row["stop"])
        except (TypeError, ValueError) as error:
            raise DataError(f"labels.csv: start and stop of {path.stem!r} must be whole numbers ({error})") from error
        if not 0 <= start < stop <= length:
            raise DataError(f"labels.csv has {start}..{stop} for {path.stem!r}, which has {length} samples")
        if row["label"] not in names:
            raise DataError(
                f"labels.csv has unknown label {row['label']!r} for {path.stem!r}, meta.json names {list(names)}"
            )
        if np.any(label[start:stop] != UNKNOWN):
            raise DataError(f"labels.csv labels samples in {start}..{stop} of {path.stem!r} twice")
        label[start:stop] = names.index(row["label"])
    return label


def _one_subject(rows: list[dict[str, str]], path: Path) -> str:
    subjects = {(row.get("subject") or "").strip() for row in rows}
    if len(subjects) > 1:
        raise DataError(f"labels.csv names subjects {sorted(subjects)} for the one recording {path.stem!r}")
    return subjects.pop() if subjects else ""
