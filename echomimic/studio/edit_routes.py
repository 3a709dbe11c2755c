"""Routes of a take's performance: its curves, its edits, its motion, and playing it while it is rendered."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response, StreamingResponse

from echomimic.motion.load import GENERATED
from echomimic.studio.api import Call, Query, Route, ref, taken
from echomimic.studio.asset_routes import DRAWN_OF, SOON
from echomimic.studio.database import Row, update
from echomimic.studio.job_routes import job_shown
from echomimic.studio.jobs import OPEN
from echomimic.studio.orders import checked_edits
from echomimic.studio.problems import Refused
from echomimic.studio.scene import KEYS, PLAYING, SCENE_POINTS, VIDEO
from echomimic.studio.sources import PERFORMANCE, describe_sources
from echomimic.studio.studio import Studio
from echomimic.studio.take_motion import motion_file

LONG = 300.0
"""Seconds in which the motion of a long take must be written."""
BLOCK, _LOOK, BEGINNING = 1 << 16, 0.1, 20.0
"""Bytes sent at a time; seconds between two looks at a file that grows, and until it must have begun."""


def _question(studio: Studio, row: Row, do: str, edits: list[Row], **more: Any) -> Row:
    """What the bench is asked about a take; raises :class:`Refused` when it has no performance."""
    folder = studio.home.take(row["id"])
    if not (folder / PERFORMANCE).is_file():
        why = "is not rendered yet" if row["editable"] else "was not rendered by the preview"
        raise Refused("conflict", f"the take {why}: it has no performance to show")
    paths = {"performance": folder / PERFORMANCE, "points": folder / SCENE_POINTS, "keys": folder / KEYS}
    named = {name: str(path) for name, path in paths.items()}
    sources = describe_sources(studio.home, studio.database, edits)
    return {"do": do, **named, "edits": edits, "sources": sources, **more}


def _curves(studio: Studio, call: Call) -> Response:
    row = studio.takes.get(call.path["id"])
    edits = row["edits"] if call.query["edits"] else []
    asked = {name: call.query[name] for name in ("start", "stop")}
    return JSONResponse(studio.bench.ask(_question(studio, row, "curves", edits, **asked), SOON)[0])


def _tried_curves(studio: Studio, call: Call) -> Response:
    row = studio.takes.get(call.path["id"])
    edits = checked_edits(studio, taken(call.body, "edits", list, ...))
    asked = {name: call.query[name] for name in ("start", "stop")}
    return JSONResponse(studio.bench.ask(_question(studio, row, "curves", edits, **asked), SOON)[0])


def _hands_question(studio: Studio, row: Row, do: str, edits: list[Row], **more: Any) -> Row:
    """What the bench is asked about the hands of a take; raises :class:`Refused` where they follow a clip."""
    given = {kind: str(studio.assets.path(studio.assets.get(row[kind]))) for kind in ("portrait", "speech")}
    request, driver = dict(row["request"]), row["request"].get("driver", "auto")
    if driver not in GENERATED:
        asset = None if driver[:1] == "t" else studio.assets.get(driver)
        request["driver"] = "auto" if asset is None else str(studio.assets.path(asset))
        if asset is not None and not (asset["kind"] == "motion" and asset["info"].get("body")):
            raise Refused("conflict", "the take follows a clip or a face; its hands are not known before V2")
    sources = describe_sources(studio.home, studio.database, edits)
    asked = {"do": do, **given, "settings": row["settings"], "request": request, "edits": edits}
    return {**asked, "sources": sources, **more}


def _hands(studio: Studio, call: Call) -> Response:
    row = studio.takes.get(call.path["id"])
    edits = row["edits"] if call.query["edits"] else []
    return JSONResponse(studio.bench.ask(_hands_question(studio, row, "hands", edits), SOON)[0])


def _tried_hands(studio: Studio, call: Call) -> Response:
    row = studio.takes.get(call.path["id"])
    edits = checked_edits(studio, taken(call.body, "edits", list, ...))
    return JSONResponse(studio.bench.ask(_hands_question(studio, row, "hands", edits), SOON)[0])


def _edits(studio: Studio, call: Call) -> Response:
    row = studio.takes.get(call.path["id"])
    job = studio.takes.shown(row)["job"]
    return JSONResponse({"edits": row["edits"], "revision": row["revision"], "job": job})


def _put_edits(studio: Studio, call: Call) -> Response:
    row = studio.takes.get(call.path["id"])
    if not row["editable"]:
        raise Refused(
            "conflict",
            "parts of this take cannot be rendered anew; edit a preview, then make it again with V1",
        )
    edits = checked_edits(studio, taken(call.body, "edits", list, ...))
    spans = None
    if row["ready"]:
        spans = studio.bench.ask(_question(studio, row, "changes", edits), SOON)[0]["frames"]
    job = order_edit(studio, row, edits, spans, taken(call.body, "was", list))
    take = studio.takes.shown(studio.takes.get(row["id"]))
    shown = job_shown(studio, job) if job else None
    return JSONResponse({"take": take, "job": shown, "frames": spans or []}, 202)


def order_edit(
    studio: Studio, row: Row, edits: list[Row], spans: list[list[int]] | None, was: list[Row] | None = None
) -> str | None:
    """Keeps the edits and orders what they change; the id of the job. ``spans`` is None before there is a
    video. Raises :class:`Refused` when the take's edits are no longer what they ``was``.

    A job of this take that has not begun will do; one that runs may have read the old list.
    """
    with studio.database.write() as connection:
        if was is not None and studio.takes.get(row["id"])["edits"] != was:
            raise Refused(
                "conflict", "the take was edited in another window; look at its edits, and try again"
            )
        update(connection, "takes", row["id"], {"edits": edits})
        query = f"SELECT id, state FROM jobs WHERE take = ? AND state IN {OPEN} ORDER BY state"
        found = list(connection.execute(query, [row["id"]]))
        waiting = next((job["id"] for job in found if job["state"] == "queued"), None)
        if waiting is not None:
            update(connection, "jobs", waiting, {"work": {"frames": spans}})
            return str(waiting)
        if spans == [] and not found:
            return None
        connection.execute(
            "DELETE FROM jobs WHERE take = ? AND kind = 'edit' AND state = 'done'", [row["id"]]
        )
        title = row["name"] or row["id"]
        id = studio.jobs.add(
            connection,
            "edit",
            "preview",
            "preview",
            title,
            take=row["id"],
            work={"frames": spans},
            first=True,
        )
    return id


def _motion(studio: Studio, call: Call) -> Response:
    row = studio.takes.get(call.path["id"])
    path = motion_file(studio.home, studio.database, row["id"])
    return FileResponse(path, media_type="application/octet-stream", filename=f"motion-{row['seed']}.npz")


def _map(studio: Studio, call: Call) -> Response:
    row = studio.takes.get(call.path["id"])
    if not row["ready"]:
        raise Refused("conflict", "the take is not rendered yet")
    asked = {"time": call.query["time"], "size": [row["width"], row["height"]]}
    if call.query["of"] == "pose":
        question = _hands_question(studio, row, "hands_map", row["edits"], **asked)
    else:
        question = _question(studio, row, "map", row["edits"], **asked)
    return Response(studio.bench.ask(question, SOON)[1], media_type="image/png")


def _frame(studio: Studio, call: Call) -> Response:
    row = studio.takes.get(call.path["id"])
    if not row["ready"]:
        raise Refused("conflict", "the take is not rendered yet")
    question = {"do": "frame", "path": str(studio.home.take(row["id"]) / VIDEO), "time": call.query["time"]}
    return Response(studio.bench.ask(question, SOON)[1], media_type="image/jpeg")


def _stream(studio: Studio, call: Call) -> Response:
    """What is there of a take, and what comes, until it is whole."""
    row = studio.takes.get(call.path["id"])
    if row["ready"]:
        return RedirectResponse("video", 303)
    if not row["editable"]:
        raise Refused("conflict", "only a preview can be played while it is rendered")
    path = studio.home.take(row["id"]) / PLAYING
    begun = _begun(studio, row["id"], path)
    if begun is None:
        if studio.takes.get(row["id"])["ready"]:
            return RedirectResponse("video", 303)
        raise Refused("conflict", "the take has not begun to be rendered; try again when its job runs")
    file, codecs = begun
    headers = {"Cache-Control": "no-store", "X-Codecs": codecs, "X-Accel-Buffering": "no"}
    return StreamingResponse(_growing(studio, row["id"], path, file), media_type="video/mp4", headers=headers)


def _begun(studio: Studio, take: str, path: Path) -> tuple[IO[bytes], str] | None:
    """The growing file, as soon as its beginning tells how it is encoded."""
    until = time.monotonic() + BEGINNING
    while time.monotonic() < until and _at_work(studio, take) and not studio.leaving:
        if path.is_file() and (codecs := codecs_of(path)):
            return path.open("rb"), codecs
        time.sleep(_LOOK)
    return None


def codecs_of(path: Path) -> str:
    """The type of a fragmented mp4 for a MediaSource; nothing while its beginning is not there."""
    with path.open("rb") as file:
        head = file.read(1 << 14)
    at = head.find(b"avcC")
    if at < 0 or b"moof" not in head:
        return ""
    profile = head[at + 5 : at + 8].hex()
    sound = ", mp4a.40.2" if b"mp4a" in head else ""
    return f'video/mp4; codecs="avc1.{profile}{sound}"'


def _growing(studio: Studio, take: str, path: Path, file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while True:
            over = studio.leaving or not _at_work(studio, take) or not _same(path, file)
            while data := file.read(BLOCK):
                yield data
            if over:
                return
            time.sleep(_LOOK)


def _at_work(studio: Studio, take: str) -> bool:
    query = f"SELECT id FROM jobs WHERE take = ? AND state IN {OPEN}"
    return studio.database.row(query, [take]) is not None


def _same(path: Path, file: IO[bytes]) -> bool:
    """Whether the open file is still the one under this name: a job that begins anew writes another."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except OSError:
        return False


_LISTED = {"type": "array", "items": ref("Edit")}
_EDITS = {"type": "object", "properties": {"edits": _LISTED}}
_CHANGED = {"type": "object", "properties": {"edits": _LISTED, "was": _LISTED}}
_PART = (Query("start", "s", float, 0.0), Query("stop", "s", float, None))
_WITH = Query("edits", "with its edits", bool, True)
_TIME = (Query("time", "s", float, 0.0, most=1e6),)
_TAKE = "/api/takes/{id}"
EDIT_ROUTES = (
    Route("GET", f"{_TAKE}/curves", "Its performance as curves", _curves, query=(*_PART, _WITH)),
    Route(
        "POST", f"{_TAKE}/curves", "As curves with edits not saved", _tried_curves, query=_PART, body=_EDITS
    ),
    Route("GET", f"{_TAKE}/edits", "Its edits", _edits, schema=_EDITS),
    Route(
        "PUT",
        f"{_TAKE}/edits",
        "All its edits anew; what changes is rendered",
        _put_edits,
        body=_CHANGED,
        status=202,
    ),
    Route("GET", f"{_TAKE}/motion", "Its motion as .npz", _motion, answer="application/octet-stream"),
    Route("GET", f"{_TAKE}/hands", "Its hands as curves", _hands, query=(_WITH,)),
    Route("POST", f"{_TAKE}/hands", "As curves with edits not saved", _tried_hands, body=_EDITS),
    Route("GET", f"{_TAKE}/map", "A moment, drawn", _map, query=(*_TIME, DRAWN_OF), answer="image/png"),
    Route("GET", f"{_TAKE}/frame", "One frame", _frame, query=_TIME, answer="image/jpeg"),
    Route("GET", f"{_TAKE}/stream", "Its video as it grows", _stream, answer="video/mp4"),
)
