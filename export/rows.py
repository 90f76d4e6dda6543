"""One recording's file: a CSV or an .ernrec to rows with their times or numbers. What holes mean is not said here."""

from __future__ import annotations

import csv
import math
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_rnn.arrays import Array
from edge_rnn.endpoints.recordings import BlockSource
from edge_rnn.errors import DataError, SourceError
from edge_rnn.keys import I64
from edge_rnn.recording import Header

MAX_RUN = 10_000_000
"""Rows of one CSV: 55 hours at 50 Hz; more is a wrong file."""
LARGEST_KEY = 2.0**62


@dataclass(frozen=True)
class Rows:
    """Channel names, float64 samples (T, I), and times in ns or sequence numbers (T,) where the file has them."""

    channels: tuple[str, ...]
    x: Array
    t_ns: I64 | None = None
    seq: I64 | None = None


def read_rows(path: Path) -> Rows:
    """A .csv or an .ernrec; raises DataError that names the line or what else is wrong."""
    return read_csv(path) if path.suffix == ".csv" else read_ernrec(path)[0]


def read_csv(path: Path) -> Rows:
    """A CSV with a header of channel names, `t_us` and `seq` among them where it has them; an empty cell is NaN."""
    with path.open(newline="", encoding="utf-8") as file:
        table = csv.reader(file)
        header = [name.strip() for name in next(table, [])]
        if not header:
            raise DataError(f"{path} is empty: expected a header of channel names")
        rows: list[list[float]] = []
        for row in table:
            if not row:
                continue
            if len(row) != len(header):
                raise DataError(f"{path} line {table.line_num} has {len(row)} fields, its header {len(header)}")
            try:
                rows.append([float(cell) if cell.strip() else math.nan for cell in row])
            except ValueError as error:
                raise DataError(f"{path} line {table.line_num}: {error}; expected numbers") from error
            if len(rows) > MAX_RUN:
                raise DataError(f"{path} has more than {MAX_RUN} rows: cut it into recordings")
    if not rows:
        raise DataError(f"{path} has a header and no samples")
    samples = np.array(rows, dtype=np.float64)
    keep = [i for i, name in enumerate(header) if name not in ("t_us", "seq")]
    keys = {}
    for name, scale in (("t_us", 1e3), ("seq", 1.0)):
        if name in header:
            column = samples[:, header.index(name)] * scale
            wrong = np.flatnonzero(~(np.abs(column) < LARGEST_KEY))
            if len(wrong):
                raise DataError(
                    f"{path} has no {name} that can be used at sample {wrong[0]}: fill or remove the column"
                )
            keys[name] = np.rint(column).astype(np.int64)
    return Rows(tuple(header[i] for i in keep), samples[:, keep], keys.get("t_us"), keys.get("seq"))


def read_ernrec(path: Path) -> tuple[Rows, Header]:
    """The rows and the header of one .ernrec that holds one recording."""
    source = BlockSource(path, ())
    try:
        chunks = list(source)
    except SourceError as error:
        raise DataError(str(error)) from error
    if not chunks or any(chunk.restart for chunk in chunks[1:]):
        raise DataError(f"{path} holds no or several recordings: make an .npz of it, edge-rnn record --source ... -o")
    for report in source.reports:
        warnings.warn(report, stacklevel=2)
    seq = [chunk.seq for chunk in chunks if chunk.seq is not None]
    t_ns = [chunk.t_ns for chunk in chunks if chunk.t_ns is not None]
    rows = Rows(
        source.channels,
        np.concatenate([chunk.samples for chunk in chunks]).astype(np.float64),
        np.concatenate(t_ns) if len(t_ns) == len(chunks) else None,
        np.concatenate(seq) if len(seq) == len(chunks) else None,
    )
    return rows, source.header
