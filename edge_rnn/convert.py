"""Recordings in other forms: chunks to an .npz (docs/recordings.md), with labels from a labels.csv, or to a .csv."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .arrays import Array
from .atomic import write_atomically
from .errors import DataError, UsageError
from .recording import Chunk, Header

UNLABELLED = "UNLABELLED"


def write_npz(path: Path, header: Header, chunks: Sequence[Chunk], labels: Path | None = None) -> None:
    """All chunks as recordings of one .npz; with a labels.csv the samples' labels and the people too.

    Times and sequence numbers go with them where every chunk has them: readers find the holes by those.
    """
    if not chunks or header.rate_hz <= 0:
        raise UsageError(f"{path} needs samples and their rate, which the source does not tell: give --rate")
    pieces, names = _recordings(chunks)
    arrays: dict[str, Array] = {
        "x": np.concatenate(pieces),
        "rec_start": np.concatenate([[0], np.cumsum([len(piece) for piece in pieces])]).astype(np.int64),
        "rec_id": np.array(names),
        "fs": np.array(header.rate_hz),
        "channels": np.array(header.channels),
        "units": np.array(header.units or [""] * len(header.channels)),
    }
    for name, found, unit in (("t_us", [c.t_ns for c in chunks], 1000), ("seq", [c.seq for c in chunks], 1)):
        columns = [column for column in found if column is not None]
        if len(columns) == len(chunks):
            arrays[name] = np.concatenate(columns) // unit
    if labels is not None:
        arrays.update(_labels(labels, names, [len(piece) for piece in pieces]))
    stream = io.BytesIO()
    np.savez(stream, allow_pickle=False, **arrays)
    write_atomically(path, stream.getvalue())


def write_csv(path: Path, header: Header, chunks: Sequence[Chunk]) -> None:
    """All chunks as one CSV with a header; t_us and seq where every chunk has them."""
    if any(chunk.restart for chunk in chunks[1:]):
        raise UsageError(f"{path}: the source holds several recordings, a CSV holds one: write an .npz")
    keys = {"t_us": [c.t_ns for c in chunks], "seq": [c.seq for c in chunks]}
    known: list[tuple[str, Array]] = []
    for name, found in keys.items():
        columns = [column for column in found if column is not None]
        if columns and len(columns) == len(chunks):
            known.append((name, np.concatenate(columns)))
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow([*(name for name, _ in known), *header.channels])
    samples = [] if not chunks else np.concatenate([chunk.samples for chunk in chunks]).tolist()
    for row, sample in enumerate(samples):
        times = [column[row] // 1000 if name == "t_us" else column[row] for name, column in known]
        rows.writerow([*times, *(repr(float(np.float32(v))) if v == v else "" for v in sample)])
    write_atomically(path, text.getvalue().encode())


def _recordings(chunks: Sequence[Chunk]) -> tuple[list[Array], list[str]]:
    pieces: list[list[Array]] = []
    names: list[str] = []
    for chunk in chunks:
        if chunk.restart or not pieces:
            pieces.append([])
            names.append(chunk.name or str(len(names)))
        pieces[-1].append(chunk.samples)
    return [np.concatenate(parts) for parts in pieces], names


def _labels(path: Path, names: list[str], sizes: list[int]) -> dict[str, Array]:
    """Label (N,), classes and rec_subject of the recordings, as labels.csv says; the rest is UNLABELLED."""
    try:
        rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
        classes = [UNLABELLED, *sorted({row["label"] for row in rows} - {UNLABELLED})]
        whole = {name: np.zeros(size, np.int64) for name, size in zip(names, sizes, strict=True)}
        subjects: dict[str, Any] = dict.fromkeys(names, "")
        for row in rows:
            start, stop = int(row["start"]), int(row["stop"])
            if not 0 <= start < stop <= len(whole[row["recording"]]):
                raise DataError(f"{path}: {start}..{stop} is outside the recording {row['recording']}")
            whole[row["recording"]][start:stop] = classes.index(row["label"])
            subjects[row["recording"]] = row.get("subject") or ""
    except (OSError, KeyError, ValueError, TypeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} is not a labels.csv of {', '.join(names)}: {error!r}") from error
    found = {"label": np.concatenate(list(whole.values())), "classes": np.array(classes)}
    return {**found, "rec_subject": np.array(list(subjects.values()))} if all(subjects.values()) else found
