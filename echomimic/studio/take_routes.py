"""Routes of takes."""

from starlette.responses import JSONResponse, Response

from echomimic.studio.api import Call, Query, Route, ref, taken
from echomimic.studio.assets import NAME_LENGTH
from echomimic.studio.database import as_json
from echomimic.studio.job_routes import BEFORE_QUERY, LIMIT, send_file
from echomimic.studio.problems import Refused
from echomimic.studio.scene import VIDEO
from echomimic.studio.studio import Studio

MEASURED = 120.0
"""Seconds in which a take must be evaluated, besides twenty times its length."""


def _list(studio: Studio, call: Call) -> Response:
    rows, after = studio.takes.listed(**call.query)
    return JSONResponse({"takes": [studio.takes.shown(row) for row in rows], "next": after})


def _get(studio: Studio, call: Call) -> Response:
    against = studio.takes.get(call.query["against"]) if call.query.get("against") else None
    return JSONResponse(studio.takes.shown(studio.takes.get(call.path["id"]), against))


def _change(studio: Studio, call: Call) -> Response:
    row = studio.takes.get(call.path["id"])
    name, star = taken(call.body, "name", str, row["name"]), taken(call.body, "star", bool, bool(row["star"]))
    clean = "".join(c for c in name if c.isprintable())[:NAME_LENGTH]
    studio.database.change("UPDATE takes SET name = ?, star = ? WHERE id = ?", [clean, int(star), row["id"]])
    return _get(studio, call)


def _delete(studio: Studio, call: Call) -> Response:
    id = studio.takes.get(call.path["id"])["id"]
    for job in studio.database.rows("SELECT * FROM jobs WHERE take = ?", [id]):
        studio.stand_still(job)
    studio.takes.delete(id)
    return Response(status_code=204)


def _thumb(studio: Studio, call: Call) -> Response:
    folder = studio.home.take(studio.takes.get(call.path["id"])["id"])
    thumb = folder / "thumb.jpg"
    return send_file(thumb if thumb.is_file() else folder / "preview.jpg", "image/jpeg")


def _video(studio: Studio, call: Call) -> Response:
    row = studio.takes.get(call.path["id"])
    if not row["ready"]:
        raise Refused("conflict", "the take is not rendered yet")
    name = f"{row['name'] or row['model']}-{row['seed']}.mp4" if call.query["download"] else None
    return send_file(studio.home.take(row["id"]) / "video.mp4", "video/mp4", name)


def _evaluation(studio: Studio, call: Call) -> Response:
    """Computed once; an edit makes it void."""
    row = studio.takes.get(call.path["id"])
    if not row["ready"]:
        raise Refused("conflict", "the take is not rendered yet")
    if row["evaluation"] is None:
        named = {
            kind: str(studio.assets.path(studio.assets.get(row[kind]))) for kind in ("portrait", "speech")
        }
        question = {"video": str(studio.home.take(row["id"]) / VIDEO), **named}
        figures = studio.meter.ask(question, MEASURED + 20 * row["frames"] / row["fps"])[0]
        with studio.database.write() as connection:
            query = "UPDATE takes SET evaluation = ? WHERE id = ? AND revision = ?"
            connection.execute(query, [as_json(figures), row["id"], row["revision"]])
        return JSONResponse(figures)
    return JSONResponse(row["evaluation"])


_TAKE = ref("Take")
_CHANGES = {"type": "object", "properties": {"name": {"type": "string"}, "star": {"type": "boolean"}}}
_FILTERS = (Query("star", "only starred ones", bool, False), Query("portrait", "only of this portrait"))
_AGAINST = (Query("against", "the take to compare with"),)
_SAVED = (Query("download", "for saving", bool, False),)
TAKE_ROUTES = (
    Route("GET", "/api/takes", "List takes, newest first", _list, query=(LIMIT, BEFORE_QUERY, *_FILTERS)),
    Route("GET", "/api/takes/{id}", "One take", _get, query=_AGAINST, schema=_TAKE),
    Route("PATCH", "/api/takes/{id}", "Name or star it", _change, body=_CHANGES, schema=_TAKE),
    Route("DELETE", "/api/takes/{id}", "Delete it and its files", _delete, status=204),
    Route("GET", "/api/takes/{id}/thumb", "A small picture of it", _thumb, answer="image/jpeg"),
    Route("GET", "/api/takes/{id}/evaluation", "How good it is", _evaluation),
    Route("GET", "/api/takes/{id}/video", "Its video", _video, query=_SAVED, answer="video/mp4"),
)
