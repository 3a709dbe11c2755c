"""What came out: every take with what it was made from, so that it can be compared, edited and made again."""

import secrets
import shutil
import sqlite3
import time
from pathlib import Path
from typing import Any

from echomimic.errors import SettingsError
from echomimic.option import options
from echomimic.request import Request, Settings
from echomimic.studio.database import Database, Row, insert
from echomimic.studio.home import Home
from echomimic.studio.problems import Refused

OURS = frozenset(
    {
        "weights",
        "vae",
        "resume",
        "device",
        "devices",
        "offload",
        "sample_rate",
        "sign_key",
        "timestamp_url",
    }
)
"""Settings that the studio decides, or that are not for a page."""
ASKED = ("driver", "face", "allow_silence")
"""What a take may say of its request."""
SETTINGS = {o.name: o for o in options(Settings) if o.name not in OURS}
REQUEST = {o.name: o for o in options(Request) if o.name in ASKED}
_SHOWN = (
    "id",
    "name",
    "created",
    "portrait",
    "speech",
    "model",
    "seed",
    "settings",
    "request",
    "edits",
    "revision",
    "frames",
    "fps",
    "width",
    "height",
    "bytes",
    "notes",
    "evaluation",
)


_COMPARED = "portrait, speech, settings, request, edits"


class Takes:
    """The takes in the database."""

    def __init__(self, home: Home, database: Database) -> None:
        self.home, self.database = home, database

    def get(self, id: str) -> Row:
        """The row of a take; raises :class:`Refused`."""
        row = self.database.row("SELECT * FROM takes WHERE id = ?", [id])
        if row is None:
            raise Refused("not_found", f"there is no take {id[:80]!r}")
        return row

    def add(self, connection: sqlite3.Connection, row: Row) -> str:
        """A new take in the caller's transaction; its id."""
        made = Settings(**row["settings"])
        id = f"t{secrets.token_hex(8)}"
        facts = {"id": id, "created": time.time(), "model": made.model, "seed": made.seed}
        insert(connection, "takes", {**row, **facts, "editable": int(made.variant.engine == "preview")})
        return id

    def listed(self, limit: int, before: str, star: bool, portrait: str) -> tuple[list[Row], str | None]:
        """Newest first; and where the next page begins."""
        where, values = ["1"], []
        for use, condition, value in (
            (before.isdigit(), "n < ?", int(before) if before.isdigit() else 0),
            (star, "star = ?", 1),
            (bool(portrait), "portrait = ?", portrait),
        ):
            if use:
                where.append(condition)
                values.append(value)
        query = f"SELECT * FROM takes WHERE {' AND '.join(where)} ORDER BY n DESC LIMIT ?"
        rows = self.database.rows(query, [*values, limit + 1])
        return rows[:limit], str(rows[limit - 1]["n"]) if len(rows) > limit else None

    def shown(self, row: Row, against: Row | None = None) -> Row:
        """What the API shows."""
        job = self.database.row(
            "SELECT id, state FROM jobs WHERE take = ? ORDER BY n DESC LIMIT 1", [row["id"]]
        )
        other = against or self._other(row)
        facts = {
            "from": row["origin"],
            "star": bool(row["star"]),
            "ready": bool(row["ready"]),
            "editable": bool(row["editable"]),
            "seconds": row["frames"] / row["fps"] if row["fps"] else 0.0,
            "job": job and job["id"],
            "state": job["state"] if job else ("done" if row["ready"] else "stopped"),
            "differs": _differences(row, other) if other else [],
        }
        return {name: row[name] for name in _SHOWN} | facts

    def _other(self, row: Row) -> Row | None:
        if row["origin"]:
            return self.database.row(f"SELECT {_COMPARED} FROM takes WHERE id = ?", [row["origin"]])
        earlier = "portrait = ? AND speech = ? AND n < ? ORDER BY n DESC LIMIT 1"
        query = f"SELECT {_COMPARED} FROM takes WHERE {earlier}"
        return self.database.row(query, [row["portrait"], row["speech"], row["n"]])

    def delete(self, id: str) -> None:
        """Removes a take, its jobs and its files."""
        self.get(id)
        with self.database.write() as connection:
            connection.execute("DELETE FROM jobs WHERE take = ?", [id])
            connection.execute("DELETE FROM takes WHERE id = ?", [id])
        shutil.rmtree(self.home.take(id), ignore_errors=True)


def checked(given: Any, known: dict[str, Any], what: str) -> Row:
    """The values that were given of ``known`` options; raises :class:`Refused` for others."""
    if not isinstance(given, dict):
        raise Refused("invalid", f"{what} is an object of names and values")
    for name in given:
        if name not in known:
            raise Refused(
                "invalid", f"{what} has no {str(name)[:80]!r}; GET /api/options tells what there is"
            )
    return {name: value for name, value in given.items() if value is not None}


def checked_settings(given: Any) -> Row:
    """What differs from the defaults, checked; raises :class:`Refused`."""
    values = checked(given, SETTINGS, "settings")
    try:
        made = Settings(**values)
    except SettingsError as error:
        raise Refused("invalid", str(error)) from None
    return {name: getattr(made, name) for name in values if getattr(made, name) != SETTINGS[name].default}


def checked_request(given: Any) -> Row:
    """What differs from the defaults, checked; raises :class:`Refused`.
    The driver is a name, not yet looked up."""
    values = checked(given, REQUEST, "request")
    if not isinstance(values.get("driver", ""), str):
        raise Refused("invalid", "driver is auto, none, or the id of a motion, a video or a take")
    try:
        made = Request(Path("portrait"), Path("speech"), Path("video.mp4"), **values)
    except SettingsError as error:
        raise Refused("invalid", str(error)) from None
    return {name: getattr(made, name) for name in values if getattr(made, name) != REQUEST[name].default}


def _differences(row: Row, other: Row) -> list[Row]:
    """What is not the same in two takes, value against value."""
    found = []
    for where, known in (("settings", SETTINGS), ("request", REQUEST)):
        for name in {**other[where], **row[where]}:  # what neither has is the default in both
            mine, theirs = (
                r[where].get(name, known[name].default if name in known else None) for r in (row, other)
            )
            if mine != theirs:
                found.append({"name": name, "value": mine, "other": theirs})
    for name in ("portrait", "speech"):
        if row[name] != other[name]:
            found.append({"name": name, "value": row[name], "other": other[name]})
    if row["edits"] != other["edits"]:
        found.append({"name": "edits", "value": len(row["edits"]), "other": len(other["edits"])})
    return found
