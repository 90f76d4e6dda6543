"""The store's file: its schema, how it is opened, and what becomes of one that is damaged."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import sqlite3
from pathlib import Path

from ..errors import EdgeRnnError

log = logging.getLogger("edge_rnn")

FORMAT = 1
_SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE place (pipeline TEXT PRIMARY KEY, generation INTEGER NOT NULL, digest TEXT NOT NULL,
                    cursor INTEGER NOT NULL, finished INTEGER NOT NULL, state BLOB NOT NULL,
                    wall_ns INTEGER NOT NULL);
CREATE TABLE event (n INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, line TEXT NOT NULL);
CREATE TABLE sink (name TEXT PRIMARY KEY, acked INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE lost (sink TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, count INTEGER NOT NULL,
                   PRIMARY KEY (sink, first)) WITHOUT ROWID;
"""


class StoreError(EdgeRnnError):
    """The disk is full or broken: what was to be written is not durable."""


def open_or_begin_anew(folder: Path, synchronous: str) -> sqlite3.Connection:
    """A file that is no store of ours any more is put aside: a device that cannot start helps nobody."""
    try:
        return _open(folder, synchronous)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            raise
        aside = f"store.damaged-{secrets.token_hex(4)}"
        log.error("the store in %s is damaged (%s): put aside as %s, beginning anew", folder, error, aside)
        for suffix in (".db", ".db-wal", ".db-shm"):
            with contextlib.suppress(FileNotFoundError):
                os.replace(folder / f"store{suffix}", folder / f"{aside}{suffix}")
        return _open(folder, synchronous)


def _open(folder: Path, synchronous: str) -> sqlite3.Connection:
    path = folder / "store.db"
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute(f"PRAGMA synchronous = {synchronous}")
    db.execute("PRAGMA journal_size_limit = 1048576")
    db.execute("BEGIN IMMEDIATE")
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version == 0:
        for statement in _SCHEMA.split(";"):
            db.execute(statement)
        db.execute("INSERT INTO meta VALUES ('installation', ?)", (secrets.token_hex(8),))
        db.execute(f"PRAGMA user_version = {FORMAT}")
    elif version != FORMAT:
        raise StoreError(f"{path} has format {version}, this release writes {FORMAT}: use the release that wrote it")
    db.execute("COMMIT")
    return db
