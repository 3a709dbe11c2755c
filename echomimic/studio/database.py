"""What the studio remembers: assets, takes and jobs, in SQLite, so that nothing is lost when a process dies.

Values that are lists or mappings are JSON texts. Every change of a row leaves its newest number in
``changes``: pages that follow the events ask for what is newer than the number they know.
"""

import contextlib
import json
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

Row = dict[str, Any]
_VERSION = 1
BUSY = 10.0
"""Seconds to wait for another process's write."""
JSON = frozenset({"info", "settings", "request", "edits", "notes", "evaluation", "work"})

_SCHEMA = """
CREATE TABLE assets (n INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL,
  type TEXT NOT NULL, suffix TEXT NOT NULL, digest TEXT NOT NULL, bytes INTEGER NOT NULL,
  created REAL NOT NULL, info TEXT NOT NULL);
CREATE TABLE takes (n INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, name TEXT NOT NULL DEFAULT '',
  created REAL NOT NULL, portrait TEXT NOT NULL, speech TEXT NOT NULL, model TEXT NOT NULL,
  seed INTEGER NOT NULL, star INTEGER NOT NULL DEFAULT 0, settings TEXT NOT NULL, request TEXT NOT NULL,
  edits TEXT NOT NULL DEFAULT '[]', revision INTEGER NOT NULL DEFAULT 0,
  origin TEXT, frames INTEGER NOT NULL DEFAULT 0, fps REAL NOT NULL DEFAULT 0,
  width INTEGER NOT NULL DEFAULT 0, height INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0,
  ready INTEGER NOT NULL DEFAULT 0, editable INTEGER NOT NULL DEFAULT 0,
  notes TEXT NOT NULL DEFAULT '[]', evaluation TEXT);
CREATE INDEX takes_of ON takes (portrait, speech, n);
CREATE TABLE jobs (n INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, kind TEXT NOT NULL, state TEXT NOT NULL,
  lane TEXT NOT NULL, place REAL NOT NULL, model TEXT NOT NULL, take TEXT, title TEXT NOT NULL,
  work TEXT NOT NULL, key TEXT UNIQUE,
  stage TEXT NOT NULL DEFAULT '', done INTEGER NOT NULL DEFAULT 0, total INTEGER NOT NULL DEFAULT 0,
  note TEXT NOT NULL DEFAULT '', fraction REAL, left REAL, preview INTEGER NOT NULL DEFAULT 0, error TEXT,
  notes TEXT NOT NULL DEFAULT '[]', created REAL NOT NULL, started REAL, ended REAL,
  attempts INTEGER NOT NULL DEFAULT 0,
  worker TEXT, lease REAL, stopping INTEGER NOT NULL DEFAULT 0);
CREATE INDEX jobs_queue ON jobs (state, lane, place);
CREATE INDEX jobs_take ON jobs (take, n);
CREATE TABLE changes (seq INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, id TEXT NOT NULL,
  gone INTEGER NOT NULL, UNIQUE (kind, id) ON CONFLICT REPLACE);
CREATE TRIGGER job_queue AFTER UPDATE OF state, place ON jobs
  WHEN old.state != new.state OR old.place != new.place
  BEGIN INSERT INTO changes (kind, id, gone) VALUES ('queue', '', 0);
  INSERT INTO changes (kind, id, gone) SELECT 'take', new.take, 0 WHERE new.take IS NOT NULL; END;
"""
_TRIGGER = """
CREATE TRIGGER {kind}_{when} AFTER {when} ON {kind}s
  BEGIN INSERT INTO changes (kind, id, gone) VALUES ('{kind}', {row}.id, {gone}); END;
"""


def _schema() -> str:
    parts = [_SCHEMA]
    for kind in ("asset", "take", "job"):
        for when in ("INSERT", "UPDATE", "DELETE"):
            gone = int(when == "DELETE")
            parts.append(_TRIGGER.format(kind=kind, when=when, row="old" if gone else "new", gone=gone))
    return "".join(parts)


class _Open:
    """Closes a connection when the thread ends that keeps this: left to itself it stays open until some later
    collection of garbage, which Python 3.13 warns of."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def __del__(self) -> None:
        self.connection.close()


class Database:
    """Connections to one file, one per thread."""

    def __init__(self, path: Path) -> None:
        self.path, self._local = path, threading.local()
        with self.write() as connection:
            if connection.execute("PRAGMA user_version").fetchone()[0] < _VERSION:
                for statement in _statements(_schema()):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {_VERSION}")

    @property
    def _connection(self) -> sqlite3.Connection:
        kept: _Open | None = getattr(self._local, "open", None)
        if kept is None:
            made = sqlite3.connect(self.path, timeout=BUSY, isolation_level=None, check_same_thread=False)
            kept = self._local.open = _Open(made)
            made.row_factory = sqlite3.Row
            made.execute("PRAGMA journal_mode = WAL")
            made.execute("PRAGMA synchronous = FULL")
        return kept.connection

    @contextlib.contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it or nothing."""
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:  # where the disk is full, SQLite has ended it, or has not
                connection.execute("ROLLBACK")
            raise

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[Row]:
        """The rows of a query, JSON columns read."""
        return [_read(row) for row in self._connection.execute(query, values)]

    def row(self, query: str, values: Sequence[Any] = ()) -> Row | None:
        """The first row of a query, or None."""
        found = self._connection.execute(query, values).fetchone()
        return None if found is None else _read(found)

    def change(self, query: str, values: Sequence[Any] = ()) -> int:
        """Runs one statement; how many rows it changed."""
        return self._connection.execute(query, values).rowcount

    def close(self) -> None:
        """Closes this thread's connection."""
        self._local.open = None


def insert(connection: sqlite3.Connection, table: str, row: Row) -> None:
    """Adds a row; lists and mappings become JSON."""
    marks = ", ".join("?" * len(row))
    values = [as_json(v) if k in JSON and v is not None else v for k, v in row.items()]
    connection.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", values)


def update(connection: sqlite3.Connection, table: str, id: str, row: Row) -> None:
    """Changes columns of the row ``id``."""
    names = ", ".join(f"{name} = ?" for name in row)
    values = [as_json(v) if k in JSON and v is not None else v for k, v in row.items()]
    connection.execute(f"UPDATE {table} SET {names} WHERE id = ?", [*values, id])


def as_json(value: Any) -> str:
    """Compact JSON text."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _read(row: sqlite3.Row) -> Row:
    return {
        k: json.loads(v) if k in JSON and v is not None else v for k, v in zip(row.keys(), row, strict=True)
    }


def _statements(script: str) -> Iterator[str]:
    """The statements of a script, one by one: ``executescript`` would end the transaction."""
    part = ""
    for line in script.splitlines(keepends=True):
        part += line
        if sqlite3.complete_statement(part):
            yield part
            part = ""
