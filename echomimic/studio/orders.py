"""What is ordered: a request for a job is checked as a whole, then its take and job are made in one go."""

import sqlite3
from typing import Any

from echomimic.errors import SettingsError
from echomimic.motion.region import read_edits
from echomimic.studio.api import taken
from echomimic.studio.database import Row
from echomimic.studio.jobs import OPEN
from echomimic.studio.models import model_row
from echomimic.studio.problems import Refused
from echomimic.studio.sources import describe_sources
from echomimic.studio.studio import Studio
from echomimic.studio.takes import checked_request, checked_settings
from echomimic.variants import VARIANTS

_DRIVERS = ("auto", "none")
# More than a person makes: so long a list is a mistake, or meant to keep the server busy.
MOST_EDITS = 1000


def order(studio: Studio, body: Any, key: str) -> tuple[str, bool]:
    """The id of the job, and whether it is new; the same key again gives the first one.
    Raises :class:`Refused`."""
    if known := studio.jobs.by_key(key):
        return known["id"], False
    kind = taken(body, "kind", str, "render")
    if kind not in ("render", "weights"):
        raise Refused("invalid", f"kind {kind[:80]!r} is unknown; choose render or weights")
    row = wanted_take(studio, body) if kind == "render" else None
    model = taken(body, "model", str, ...) if row is None else row["settings"].get("model", "preview")
    if row is None and not (model in VARIANTS and VARIANTS[model].files):
        raise Refused("invalid", f"model {model[:80]!r} has no files to get")
    if row is not None:
        refuse_missing(studio, model)
    try:
        with studio.database.write() as connection:
            return _added(studio, connection, row, model, key), True
    except sqlite3.IntegrityError:
        if known := studio.jobs.by_key(key):  # the same key came twice at the same time
            return known["id"], False
        raise


def _added(studio: Studio, connection: sqlite3.Connection, row: Row | None, model: str, key: str) -> str:
    if row is None:
        return studio.jobs.add(connection, "weights", "fetch", model, model, key=key or None)
    lane = "preview" if VARIANTS[model].engine == "preview" else "diffusion"
    title = row.pop("title")
    take = studio.takes.add(connection, row)
    return studio.jobs.add(connection, "render", lane, model, title, take=take, key=key or None)


def wanted_take(studio: Studio, body: Any) -> Row:
    """The columns of the take that is asked for."""
    base = studio.takes.get(taken(body, "take", str)) if taken(body, "take", str) else None
    portrait = studio.assets.get(taken(body, "portrait", str, base["portrait"] if base else ...), "portrait")
    speech = studio.assets.get(taken(body, "speech", str, base["speech"] if base else ...), "speech")
    settings = taken(body, "settings", dict, {})
    settings = checked_settings(_merged(base["settings"] if base else {}, settings))
    request = (base["request"] if base else {}) | checked_request(taken(body, "request", dict, {}))
    if request.get("driver", "auto") not in _DRIVERS:
        _check_driver(studio, request["driver"])
    name = taken(body, "name", str, "")
    edits = checked_edits(studio, taken(body, "edits", list, base["edits"] if base else []))
    made = {
        "portrait": portrait["id"],
        "speech": speech["id"],
        "settings": settings,
        "request": request,
        "name": name[:200],
    }
    title = f"{portrait['name']} · {speech['name']}"
    return made | {"origin": base["id"] if base else None, "edits": edits, "title": title}


def refuse_missing(studio: Studio, model: str) -> None:
    """Raises :class:`Refused` with the remedy when a model cannot render here
    and its files are not on their way."""
    found = model_row(VARIANTS[model])
    coming = f"SELECT id FROM jobs WHERE kind = 'weights' AND model = ? AND state IN {OPEN}"
    if found["ready"] or (found["fetchable"] and studio.database.row(coming, [model])):
        return
    action = {"job": {"kind": "weights", "model": model}} if found["fetchable"] else None
    raise Refused("missing", f"{model} cannot render here: {found['state']}", found["remedy"], action)


def checked_edits(studio: Studio, edits: Any) -> list[Row]:
    """A list of edits as it was given, checked; raises :class:`Refused`."""
    if len(edits) > MOST_EDITS:
        raise Refused("invalid", f"there are {len(edits)} edits; {MOST_EDITS} at most are taken")
    try:
        made = read_edits(edits)
    except SettingsError as error:
        raise Refused("invalid", str(error)) from None
    if any(edit.track == "hands" and edit.source[:1] == "t" for edit in made):
        raise Refused(
            "invalid", "hands are taken from a clip or a motion file; give one of them as the source"
        )
    describe_sources(studio.home, studio.database, edits)
    return list(edits)


def _merged(old: Row, new: Any) -> Row:
    """The old settings with the new ones; what only the old model took does not hinder the new one."""
    merged = {**old, **new}
    if merged.get("model", "preview") != old.get("model", "preview"):
        engine = VARIANTS[merged["model"]].engine if merged.get("model") in VARIANTS else "preview"
        if engine == "diffusion":
            merged = {
                k: v
                for k, v in merged.items()
                if k in new or k not in ("size", "width", "height", "fps", "paste_back")
            }
    return merged


def _check_driver(studio: Studio, driver: Any) -> None:
    if isinstance(driver, str) and driver[:1] == "t":
        studio.takes.get(driver)
    elif not isinstance(driver, str) or studio.assets.get(driver)["kind"] not in ("motion", "video"):
        raise Refused("invalid", "driver is auto, none, or the id of a motion, a video or a take")
