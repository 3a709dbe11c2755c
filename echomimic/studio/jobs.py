"""The queue: what is to be done, in order, by whom it is done, and how far it is.

A job belongs to a lane; a worker takes the first one of its lane and holds it by a lease that it renews.
Every later change names the worker, so that one which lost its lease changes nothing.
"""

import math
import secrets
import sqlite3
import time
from typing import Any

from echomimic.studio.database import Database, Row, insert, update
from echomimic.studio.problems import Refused

LEASE = 15.0
"""Seconds for which a worker that says nothing keeps its job."""
OPEN = ("queued", "running")
SHOWN = (
    "id",
    "kind",
    "state",
    "lane",
    "model",
    "take",
    "title",
    "stage",
    "done",
    "total",
    "note",
    "fraction",
    "left",
    "preview",
    "error",
    "notes",
    "created",
    "started",
    "ended",
    "attempts",
)


class Jobs:
    """The queue in the database."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def get(self, id: str) -> Row:
        """The row of a job; raises :class:`Refused`."""
        row = self.database.row("SELECT * FROM jobs WHERE id = ?", [id])
        if row is None:
            raise Refused("not_found", f"there is no job {id[:80]!r}")
        return row

    def add(
        self,
        connection: sqlite3.Connection,
        kind: str,
        lane: str,
        model: str,
        title: str,
        first: bool = False,
        **more: Any,
    ) -> str:
        """A new job at the end (or front) of its lane, in the caller's transaction; its id."""
        row: Row = {
            "id": f"j{secrets.token_hex(8)}",
            "kind": kind,
            "state": "queued",
            "lane": lane,
            "model": model,
        }
        row |= {
            "place": _first(connection, lane) - 1 if first else _last(connection, lane) + 1,
            "title": title,
            "created": time.time(),
            "work": {},
            **more,
        }
        insert(connection, "jobs", row)
        return str(row["id"])

    def by_key(self, key: str) -> Row | None:
        """The job that was made with this idempotency key."""
        return self.database.row("SELECT * FROM jobs WHERE key = ?", [key]) if key else None

    def listed(self, state: str = "", limit: int = 100, before: str = "") -> tuple[list[Row], str | None]:
        """Running, then queued in order, then finished, newest first; and where the next page begins."""
        order = "CASE state WHEN 'running' THEN 0 WHEN 'queued' THEN 1 ELSE 2 END"
        place = "CASE WHEN state IN ('running', 'queued') THEN place ELSE -n END"
        where, values = ("WHERE state = ?", [state]) if state else ("", [])
        skip = int(before) if before.isdigit() else 0
        query = f"SELECT * FROM jobs {where} ORDER BY {order}, {place} LIMIT ? OFFSET ?"
        rows = self.database.rows(query, [*values, limit + 1, skip])
        return rows[:limit], str(skip + limit) if len(rows) > limit else None

    def positions(self) -> dict[str, int]:
        """The place of every queued job in its lane, from 1."""
        found: dict[str, int] = {}
        counts: dict[str, int] = {}
        for row in self.database.rows("SELECT id, lane FROM jobs WHERE state = 'queued' ORDER BY place"):
            counts[row["lane"]] = counts.get(row["lane"], 0) + 1
            found[row["id"]] = counts[row["lane"]]
        return found

    def move(self, id: str, before: str | None, first: bool = False) -> None:
        """Puts a queued job before another one of its lane, to the front, or to the end."""
        with self.database.write() as connection:
            row = self.get(id)
            _must_be(row, ("queued",), "moved")
            rest = [r for r in _queued(connection, row["lane"]) if r["id"] != id]
            at = 0 if first else len(rest)
            if before is not None:
                at = next((i for i, r in enumerate(rest) if r["id"] == before), -1)
                if at < 0:
                    raise Refused("invalid", f"{before[:80]!r} does not wait in the same lane")
            low = rest[at - 1]["place"] if at else (rest[0]["place"] - 2 if rest else 0)
            high = rest[at]["place"] if at < len(rest) else low + 2
            connection.execute("UPDATE jobs SET place = ? WHERE id = ?", [(low + high) / 2, id])
            _spread(connection, row["lane"])

    def stop(self, id: str) -> None:
        """A queued job is stopped at once; a running one is asked to, and its worker ended if it does not."""
        with self.database.write() as connection:
            row = self.get(id)
            _must_be(row, OPEN, "stopped")
            if row["state"] == "queued":
                update(connection, "jobs", id, {"state": "stopped", "ended": time.time()})
            else:
                update(connection, "jobs", id, {"stopping": 1})

    def retry(self, id: str) -> None:
        """Queues a stopped or failed job again, at the end of its lane."""
        with self.database.write() as connection:
            row = self.get(id)
            _must_be(row, ("stopped", "failed"), "tried again")
            fresh = {
                "state": "queued",
                "place": _last(connection, row["lane"]) + 1,
                "error": None,
                "ended": None,
            }
            update(connection, "jobs", id, fresh | _BLANK)

    def claim(self, lane: str, worker: str) -> Row | None:
        """The next job of a lane, now this worker's; None when there is none.

        Jobs whose model's files are still being fetched wait for them.
        """
        with self.database.write() as connection:
            coming = {row["model"] for row in connection.execute(_COMING)}
            job = next(
                (row for row in _queued(connection, lane) if lane == "fetch" or row["model"] not in coming),
                None,
            )
            if job is None:
                return None
            now = time.time()
            taken = {
                "state": "running",
                "worker": worker,
                "lease": now + LEASE,
                "started": now,
                "error": None,
            }
            update(connection, "jobs", job["id"], taken | {"attempts": job["attempts"] + 1, "stopping": 0})
        return self.get(job["id"])

    def hold(self, id: str, worker: str, **values: Any) -> bool:
        """Renews the lease, notes progress; False when the job is lost to this worker, or shall stop."""
        names = "".join(f", {name} = ?" for name in values)
        held = "id = ? AND worker = ? AND state = 'running' AND stopping = 0"
        query = f"UPDATE jobs SET lease = ?{names} WHERE {held}"
        return self.database.change(query, [time.time() + LEASE, *values.values(), id, worker]) > 0

    def requeue(self, worker: str | None = None) -> None:
        """Running jobs (of one worker, or all) wait again at their old places: the worker is gone."""
        waiting = "state = 'queued', worker = NULL, lease = NULL, stopping = 0"
        query = f"UPDATE jobs SET {waiting} WHERE state = 'running'"
        if worker is None:
            stopped = "UPDATE jobs SET state = 'stopped', ended = ? WHERE state = 'running' AND stopping = 1"
            self.database.change(stopped, [time.time()])
        self.database.change(query + (" AND worker = ?" if worker else ""), [worker] if worker else [])


_BLANK: Row = {
    "stage": "",
    "done": 0,
    "total": 0,
    "note": "",
    "fraction": None,
    "left": None,
    "worker": None,
    "lease": None,
    "stopping": 0,
}


_COMING = f"SELECT DISTINCT model FROM jobs WHERE kind = 'weights' AND state IN {OPEN}"


def as_job(row: Row, positions: dict[str, int]) -> Row:
    """What the API shows."""
    shown = {name: row[name] for name in SHOWN}
    return shown | {"position": positions.get(row["id"], 0), "edit": row["work"].get("frames")}


def _queued(connection: sqlite3.Connection, lane: str) -> list[sqlite3.Row]:
    return list(
        connection.execute("SELECT * FROM jobs WHERE state = 'queued' AND lane = ? ORDER BY place", [lane])
    )


def _first(connection: sqlite3.Connection, lane: str) -> float:
    rows = _queued(connection, lane)
    return math.floor(rows[0]["place"]) if rows else _last(connection, lane)


def _last(connection: sqlite3.Connection, lane: str) -> float:
    found = connection.execute("SELECT max(place) FROM jobs WHERE lane = ?", [lane]).fetchone()[0]
    return math.ceil(found or 0)


def _spread(connection: sqlite3.Connection, lane: str) -> None:
    """Places a whole number apart again, so that halving never ends."""
    rows = _queued(connection, lane)
    base = math.floor(min((row["place"] for row in rows), default=0))
    for i, row in enumerate(rows):
        if row["place"] != base + i:
            connection.execute("UPDATE jobs SET place = ? WHERE id = ?", [base + i, row["id"]])


def _must_be(row: Row, states: tuple[str, ...], verb: str) -> None:
    if row["state"] not in states:
        raise Refused("conflict", f"the job is {row['state']}: it cannot be {verb}")
