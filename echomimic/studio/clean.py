"""Keeping house: what is old and not starred goes, then what nothing uses any more."""

import time

from echomimic.studio.assets import Assets
from echomimic.studio.child import Child
from echomimic.studio.database import Database, Row
from echomimic.studio.home import Home
from echomimic.studio.jobs import OPEN
from echomimic.studio.takes import Takes

DAY = 24 * 3600.0


def clean_up(
    home: Home, database: Database, days: float, keep_starred: bool, dry_run: bool = False
) -> dict[str, int]:
    """Removes takes older than ``days``, assets that no take uses, finished jobs and kept sentences of that
    age.

    Returns how many takes and assets that were (or would be), and how many bytes.
    """
    before = time.time() - days * DAY
    takes = _old_takes(database, before, keep_starred)
    gone = {take["id"] for take in takes}
    assets = _unused(database, before, gone)
    count = sum(row["bytes"] for row in (*takes, *assets))
    if not dry_run:
        kept, store = Takes(home, database), Assets(home, database, Child("", ""))
        for take in takes:
            kept.delete(take["id"])
        for asset in assets:
            store.delete(asset["id"])
        states = ", ".join("?" * len(OPEN))
        database.change(f"DELETE FROM jobs WHERE state NOT IN ({states}) AND created < ?", [*OPEN, before])
        for path in home.voice.glob("*.pcm"):
            if path.stat().st_mtime < before:
                path.unlink(missing_ok=True)
    return {"takes": len(takes), "assets": len(assets), "bytes": count}


def _old_takes(database: Database, before: float, keep_starred: bool) -> list[Row]:
    query = f"""SELECT id, bytes FROM takes WHERE created < ? AND (star = 0 OR NOT ?)
      AND NOT EXISTS (SELECT 1 FROM jobs WHERE take = takes.id AND state IN {OPEN})"""
    return database.rows(query, [before, keep_starred])


def _unused(database: Database, before: float, gone: set[str]) -> list[Row]:
    used: set[str] = set()
    for take in database.rows("SELECT id, portrait, speech, request, edits FROM takes"):
        if take["id"] not in gone:
            borrowed = (edit.get("source", "") for edit in take["edits"])
            used |= {take["portrait"], take["speech"], take["request"].get("driver", ""), *borrowed}
    assets = database.rows("SELECT id, bytes FROM assets WHERE created < ?", [before])
    return [asset for asset in assets if asset["id"] not in used]
