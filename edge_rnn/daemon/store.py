"""The durable half: events, RNN states and input cursors in one SQLite transaction, and how far each sink is.

What `commit` has returned for survives a crash and a power cut. It must never lose an event without a tombstone that
counts it, and never hand out one that is not durable. WAL and synchronous=FULL: NORMAL loses rows in a power cut.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import secrets
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from .records import Batch, Place
from .reserve import Reserve
from .storefile import StoreError, open_or_begin_anew

log = logging.getLogger("edge_rnn")

CUT = 0.9
"""A spool that is too large is cut to this part of its limit, so that not every event makes another cut."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A line that a sink has not acknowledged; acknowledging `n` acknowledges everything up to it."""

    n: int
    line: str


class Store:
    """One folder's store. Thread-safe; every call may wait for a flush to the disk, so the step thread makes none."""

    def __init__(self, folder: str | Path, synchronous: str = "FULL") -> None:
        self.folder = Path(folder)
        self._lock = threading.Lock()
        self._under_way: dict[str, int] = {}
        self._spool: dict[str, int] = {}  # sink -> bytes that wait for it
        self._limits: dict[str, int] = {}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._db = open_or_begin_anew(self.folder, synchronous)
            self._tidier = sqlite3.connect(self.folder / "store.db", isolation_level=None, check_same_thread=False)
            self._tidier.execute(f"PRAGMA synchronous = {synchronous}")
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"cannot open the store in {self.folder}: {error}") from error
        self.installation = self._meta("installation")
        self.reserve = Reserve(self.folder / "reserve")
        self.reserve.refill()

    def close(self) -> None:
        """Close the file; the next open finds everything."""
        with self._lock:
            self._tidier.close()
            self._db.close()

    def tidy(self) -> None:
        """Move what is in the write-ahead log to its place: done every second, beside the commits, no commit has to.

        Waits for the disk.
        """
        with contextlib.suppress(sqlite3.Error):
            self._tidier.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()

    # places

    def place(self, pipeline: str) -> Place | None:
        """Where a pipeline stood at the last commit; None when it has never run."""
        with self._lock:
            row = self._db.execute(
                "SELECT generation, digest, cursor, finished, state, wall_ns FROM place WHERE pipeline = ?", (pipeline,)
            ).fetchone()
        return None if row is None else Place(row[0], row[1], row[2], bool(row[3]), row[4], row[5])

    def begin(self, pipeline: str, digest: str) -> Place:
        """A fresh start from the zero state, durable before the first event carries its generation."""
        before = self.place(pipeline)
        place = Place(1 if before is None else before.generation + 1, digest)
        self.commit(Batch(places={pipeline: place}))
        return place

    # events

    def commit(self, batch: Batch) -> None:
        """Make a batch durable, all or nothing; raises StoreError, and then nothing has changed."""
        with self._lock, self._transaction():
            self._write(batch)

    def _write(self, batch: Batch) -> None:
        if batch.lost:
            self._insert(*_tombstone({"reason": "disk full", "count": batch.lost}, secrets.token_hex(8)))
        for record in batch.records:
            self._insert(record.key, record.line)
        self._db.executemany(
            "INSERT OR REPLACE INTO place VALUES (?, ?, ?, ?, ?, ?, ?)",
            [(p, s.generation, s.digest, s.cursor, s.finished, s.state, s.wall_ns) for p, s in batch.places.items()],
        )
        for sink, upto in batch.acked.items():
            self._acknowledge(sink, upto)
        for sink, limit in self._limits.items():
            if self._spool[sink] > limit:
                self._cut(sink, int(limit * CUT))
        if batch.acked:
            self._prune()

    def _insert(self, key: str, line: str) -> None:
        added = self._db.execute("INSERT OR IGNORE INTO event (key, line) VALUES (?, ?)", (key, line)).rowcount
        if added:
            for sink in self._spool:
                self._spool[sink] += len(line)

    # sinks

    def keep_for(self, limits: Mapping[str, int]) -> None:
        """From now on keep events for these sinks, each up to so many bytes; a new one begins with the next event."""
        with self._lock, self._transaction():
            known = dict(self._db.execute("SELECT name, acked FROM sink").fetchall())
            newest = self._db.execute("SELECT coalesce(max(seq), 0) FROM sqlite_sequence").fetchone()[0]
            for name in known.keys() - limits.keys():
                self._db.execute("DELETE FROM sink WHERE name = ?", (name,))
                self._db.execute("DELETE FROM lost WHERE sink = ?", (name,))
            for name in limits.keys() - known.keys():
                self._db.execute("INSERT INTO sink VALUES (?, ?)", (name, newest))
            self._limits = dict(limits)
            self._under_way = {name: self._under_way.get(name, 0) for name in limits}
            self._prune()
            self._count_spools()

    def waiting(self, sink: str, after: int, most: int) -> list[Waiting]:
        """The next lines for a sink, in order, beyond number `after`; they count as under way from now on."""
        with self._lock:
            rows = self._db.execute(
                "SELECT n, line FROM event e WHERE n > ?2 AND n > (SELECT acked FROM sink WHERE name = ?1) AND NOT "
                "EXISTS (SELECT 1 FROM lost WHERE sink = ?1 AND e.n BETWEEN first AND last) ORDER BY n LIMIT ?3",
                (sink, after, most),
            ).fetchall()
            gone = self._db.execute(
                "SELECT last, first, count FROM lost WHERE sink = ? AND last > ? ORDER BY first", (sink, after)
            ).fetchall()
            lines = [Waiting(n, line) for n, line in rows]
            for last, first, count in gone:
                facts = {"reason": "spool full", "count": count, "first": first, "last": last}
                lines.append(Waiting(last, _tombstone(facts, f"{self.installation}/{sink}/{first}")[1]))
            lines = sorted(lines, key=lambda one: one.n)[:most]
            if lines:
                self._under_way[sink] = max(lines[-1].n, self._under_way.get(sink, 0))
            return lines

    def acked(self, sink: str) -> int:
        """The number up to which a sink has everything."""
        with self._lock:
            row = self._db.execute("SELECT acked FROM sink WHERE name = ?", (sink,)).fetchone()
        return 0 if row is None else int(row[0])

    def spooled(self, sink: str) -> int:
        """Bytes that wait for a sink."""
        with self._lock:
            return self._spool.get(sink, 0)

    def queued(self, sink: str) -> int:
        """Events that wait for a sink."""
        with self._lock:
            (count,) = self._db.execute(
                "SELECT count(*) FROM event e WHERE n > (SELECT acked FROM sink WHERE name = ?1) AND NOT EXISTS "
                "(SELECT 1 FROM lost WHERE sink = ?1 AND e.n BETWEEN first AND last)",
                (sink,),
            ).fetchone()
        return int(count)

    def _acknowledge(self, sink: str, upto: int) -> None:
        (moved,) = self._db.execute(
            "SELECT coalesce(sum(length(line)), 0) FROM event e WHERE n <= ?2 AND n > (SELECT acked FROM sink WHERE "
            "name = ?1) AND NOT EXISTS (SELECT 1 FROM lost WHERE sink = ?1 AND e.n BETWEEN first AND last)",
            (sink, upto),
        ).fetchone()
        if self._db.execute("UPDATE sink SET acked = ?2 WHERE name = ?1 AND acked < ?2", (sink, upto)).rowcount:
            self._spool[sink] = max(self._spool.get(sink, 0) - moved, 0)
            self._db.execute("DELETE FROM lost WHERE sink = ? AND last <= ?", (sink, upto))

    def _cut(self, sink: str, target: int) -> None:
        """Give up the oldest lines that are not under way, and count them in a tombstone at their place."""
        floor = max(self._under_way.get(sink, 0), self._db.execute(
            "SELECT acked FROM sink WHERE name = ?", (sink,)).fetchone()[0])  # fmt: skip
        rows = self._db.execute(
            "SELECT n, length(line) FROM event e WHERE n > ?2 AND NOT EXISTS "
            "(SELECT 1 FROM lost WHERE sink = ?1 AND e.n BETWEEN first AND last) ORDER BY n",
            (sink, floor),
        )
        excess, first, last, count = self._spool[sink] - target, 0, 0, 0
        for n, size in rows:
            if excess <= 0:
                break
            first, last, count, excess = first or n, n, count + 1, excess - size
            self._spool[sink] -= size
        if not count:
            return
        grown = self._db.execute(
            "UPDATE lost SET last = ?3, count = count + ?4 WHERE sink = ?1 AND first > ?2 AND first = "
            "(SELECT max(first) FROM lost WHERE sink = ?1)",
            (sink, floor, last, count),
        ).rowcount
        if not grown:
            self._db.execute("INSERT INTO lost VALUES (?, ?, ?, ?)", (sink, first, last, count))
        self._prune()

    def _prune(self) -> None:
        """Delete what no sink waits for any more."""
        if self._limits:
            self._db.execute("DELETE FROM event WHERE n <= (SELECT min(acked) FROM sink)")
            if self._db.execute("SELECT 1 FROM lost LIMIT 1").fetchone() is None:
                return
            self._db.execute(
                "DELETE FROM event WHERE n IN (SELECT e.n FROM event e JOIN lost l ON e.n BETWEEN l.first AND l.last "
                "GROUP BY e.n HAVING count(*) = (SELECT count(*) FROM sink))"
            )
        else:
            self._db.execute("DELETE FROM event")

    def _count_spools(self) -> None:
        self._spool = {
            name: self._db.execute(
                "SELECT coalesce(sum(length(line)), 0) FROM event e WHERE n > (SELECT acked FROM sink WHERE name = ?1)"
                " AND NOT EXISTS (SELECT 1 FROM lost WHERE sink = ?1 AND e.n BETWEEN first AND last)",
                (name,),
            ).fetchone()[0]
            for name in self._limits
        }

    def _meta(self, name: str) -> str:
        return str(self._db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()[0])

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """All of it durable, or nothing of it; the sums in memory follow."""
        spool = dict(self._spool)
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield
            self._db.execute("COMMIT")
        except BaseException as error:
            self._spool = spool
            if self._db.in_transaction:
                with contextlib.suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                raise StoreError(f"nothing could be written to {self.folder}: {error}") from error
            raise


def _tombstone(facts: dict[str, object], identity: str) -> tuple[str, str]:
    """Key and line of what tells a consumer how many events it will never get."""
    tomb = hashlib.blake2b(identity.encode(), digest_size=16).hexdigest()
    key = f"lost:{tomb}:{facts['count']}"
    return key, json.dumps({"type": "lost", **facts, "id": tomb}, separators=(",", ":"))
