"""What goes in: files by the hash of their content, judged before they count."""

import hashlib
import os
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool

from echomimic.media.output import write_whole
from echomimic.studio.child import Child
from echomimic.studio.database import Database, Row, insert
from echomimic.studio.home import Home
from echomimic.studio.problems import Refused

KINDS = ("portrait", "speech", "motion", "video")
NAME_LENGTH = 200
BESIDE = (".peaks", ".motion.npz", ".hands.npz")
"""What lies beside a file: the peaks of a sound, the face and the hands that were followed in a clip."""
JUDGED = 150.0
"""Seconds in which a file must be judged."""


class Assets:
    """The files that were given."""

    def __init__(self, home: Home, database: Database, judge: Child) -> None:
        self.home, self.database, self.judge = home, database, judge

    def get(self, id: str, kind: str | None = None) -> Row:
        """The row of an asset (of that kind); raises :class:`Refused`."""
        row = self.database.row("SELECT * FROM assets WHERE id = ?", [id])
        if row is None:
            raise Refused("not_found", f"there is no {kind or 'asset'} {id[:80]!r}; upload it first")
        if kind and row["kind"] != kind:
            raise Refused("invalid", f"{id} is a {row['kind']}, not a {kind}")
        return row

    def path(self, row: Row) -> Path:
        """Where its bytes are."""
        return self.home.file(row["digest"], row["suffix"])

    def keep(
        self, part: Path, digest: str, kind: str, name: str, further: Mapping[str, Any] | None = None
    ) -> tuple[Row, bool]:
        """Judges a file that has come in and keeps it; the row, and whether it is new. ``part`` is gone
        afterwards.

        ``further`` facts stand beside those that were found out.
        """
        id = f"{kind[0]}{digest[:40]}"
        try:
            known = self.database.row("SELECT * FROM assets WHERE id = ?", [id])
            if known is not None and self.path(known).is_file():
                return known, False
            facts, extra = self.judge.ask({"path": str(part), "kind": kind}, JUDGED)
            row = {
                "id": id,
                "kind": kind,
                "name": shown_name(name, kind),
                "type": facts["type"],
                "suffix": facts["suffix"],
            }
            row |= {
                "digest": digest,
                "bytes": part.stat().st_size,
                "created": time.time(),
                "info": facts["info"] | dict(further or {}),
            }
            return self._placed(part, row, extra), True
        finally:
            part.unlink(missing_ok=True)

    def _placed(self, part: Path, row: Row, extra: bytes) -> Row:
        target = self.path(row)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(part, target)
        if extra:
            write_whole(target.with_suffix(".peaks"), extra)
        with self.database.write() as connection:
            connection.execute("DELETE FROM assets WHERE id = ?", [row["id"]])
            insert(connection, "assets", row)
        return row

    def listed(self, kind: str, limit: int, before: str) -> tuple[list[Row], str | None]:
        """Newest first; and where the next page begins."""
        where, values = ("AND kind = ?", [kind]) if kind else ("", [])
        least = int(before) if before.isdigit() else 1 << 62
        query = f"SELECT * FROM assets WHERE n < ? {where} ORDER BY n DESC LIMIT ?"
        rows = self.database.rows(query, [least, *values, limit + 1])
        return rows[:limit], str(rows[limit - 1]["n"]) if len(rows) > limit > 0 else None

    def delete(self, id: str) -> None:
        """Removes an asset; raises :class:`Refused` while takes use it."""
        row = self.get(id)
        users = "SELECT id FROM takes WHERE portrait = ? OR speech = ? OR request LIKE ? OR edits LIKE ?"
        if self.database.row(users, [id, id, f'%"{id}"%', f'%"{id}"%']):
            raise Refused("conflict", "takes use it; delete them first")
        self.database.change("DELETE FROM assets WHERE id = ?", [id])
        self.path(row).unlink(missing_ok=True)
        for suffix in BESIDE:
            self.path(row).with_suffix(suffix).unlink(missing_ok=True)


class Incoming:
    """A file that is coming in: counted and hashed as it is written, refused as soon as it is too large."""

    def __init__(self, home: Home, most: int) -> None:
        self.path, self._most = home.part(), most
        self._digest, self._count = hashlib.sha256(), 0
        self._file = self.path.open("wb")

    def add(self, data: bytes) -> None:
        """Takes the next bytes; raises :class:`Refused` (413) when they are too many."""
        self._count += len(data)
        if self._count > self._most:
            raise too_large(self._most)
        self._digest.update(data)
        self._file.write(data)

    def close(self) -> str:
        """The hash of what came; raises :class:`Refused` when nothing did."""
        self._file.close()
        if not self._count:
            raise Refused("unsupported", "the file is empty (0 bytes); give another")
        return self._digest.hexdigest()

    def drop(self) -> None:
        """Forgets what came."""
        self._file.close()
        self.path.unlink(missing_ok=True)


async def receive(home: Home, chunks: AsyncIterator[bytes], most: int) -> tuple[Path, str]:
    """Stores a stream of bytes under a new name; its path and hash. Nothing stays when it fails."""
    incoming = Incoming(home, most)
    try:
        async for chunk in chunks:
            if chunk:
                await run_in_threadpool(incoming.add, chunk)
        return incoming.path, incoming.close()
    except BaseException:
        incoming.drop()
        raise


def too_large(most: int) -> Refused:
    """More bytes than are taken."""
    return Refused(
        "too_large", f"the upload is larger than {most >> 20} MB; give a smaller file, or --max-upload more"
    )


def shown_name(name: str, kind: str) -> str:
    """A name for people only: its last part, without what could confuse a terminal."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    clean = "".join(c for c in last if c.isprintable())[:NAME_LENGTH].strip()
    return clean or kind


def as_asset(row: Mapping[str, Any]) -> Row:
    """What the API shows."""
    return {name: row[name] for name in ("id", "kind", "name", "type", "bytes", "created", "info")}
