"""Routes of jobs: ordering, the queue, results."""

from pathlib import Path

from starlette.responses import FileResponse, JSONResponse, Response

from echomimic.studio.api import Call, Query, Route, ref, taken
from echomimic.studio.database import Row
from echomimic.studio.jobs import as_job
from echomimic.studio.orders import order
from echomimic.studio.problems import Refused
from echomimic.studio.studio import Studio

STATES = ("queued", "running", "done", "failed", "stopped")
KEY_LENGTH = 200
LIMIT = Query("limit", "how many", int, 100, most=200)
BEFORE_QUERY = Query("before", "where the last page ended")


def job_shown(studio: Studio, id: str) -> Row:
    """A job as the API shows it."""
    return as_job(studio.jobs.get(id), studio.jobs.positions())


def _add(studio: Studio, call: Call) -> Response:
    id, new = order(studio, call.body, call.headers.get("idempotency-key", "")[:KEY_LENGTH])
    return JSONResponse(job_shown(studio, id), 201 if new else 200)


def _list(studio: Studio, call: Call) -> Response:
    rows, after = studio.jobs.listed(call.query["state"], call.query["limit"], call.query["before"])
    positions = studio.jobs.positions()
    return JSONResponse({"jobs": [as_job(row, positions) for row in rows], "next": after})


def _get(studio: Studio, call: Call) -> Response:
    return JSONResponse(job_shown(studio, call.path["id"]))


def _stop(studio: Studio, call: Call) -> Response:
    studio.jobs.stop(call.path["id"])
    return _get(studio, call)


def _retry(studio: Studio, call: Call) -> Response:
    studio.jobs.retry(call.path["id"])
    return _get(studio, call)


def _move(studio: Studio, call: Call) -> Response:
    id = call.path["id"]
    studio.jobs.move(id, taken(call.body, "before", str), taken(call.body, "first", bool, False))
    positions, lane = studio.jobs.positions(), studio.jobs.get(id)["lane"]
    rows = [row for row in studio.jobs.listed("queued", 200)[0] if row["lane"] == lane]
    return JSONResponse({"jobs": [as_job(row, positions) for row in rows]})


def _delete(studio: Studio, call: Call) -> Response:
    """Its take goes too when it never had a video."""
    job = studio.jobs.get(call.path["id"])
    studio.stand_still(job)
    take = studio.database.row("SELECT ready FROM takes WHERE id = ?", [job["take"]])
    studio.database.change("DELETE FROM jobs WHERE id = ?", [job["id"]])
    if take is not None and not take["ready"]:
        studio.takes.delete(job["take"])
    return Response(status_code=204)


def _preview(studio: Studio, call: Call) -> Response:
    job = studio.jobs.get(call.path["id"])
    return send_file(studio.home.take(job["take"] or "-") / "preview.jpg", "image/jpeg")


def _result(studio: Studio, call: Call) -> Response:
    job = studio.jobs.get(call.path["id"])
    if job["state"] != "done" or not job["take"]:
        raise Refused("conflict", f"the job is {job['state']}: there is no result")
    return send_file(studio.home.take(job["take"]) / "video.mp4", "video/mp4")


def send_file(path: Path, kind: str, name: str | None = None) -> Response:
    """A file that may change: the browser asks each time whether it has. ``name`` is for saving it."""
    if not path.is_file():
        raise Refused("not_found", "there is no such file yet")
    return FileResponse(path, media_type=kind, filename=name, headers={"Cache-Control": "no-cache"})


_ORDER, _JOB = ref("Order"), ref("Job")
_TO = {"type": "object", "properties": {"before": {"type": ["string", "null"]}, "first": {"type": "boolean"}}}
_STATE = Query("state", "only these", choices=STATES)
_LISTED = (_STATE, LIMIT, BEFORE_QUERY)
JOB_ROUTES = (
    Route("POST", "/api/jobs", "Order a video or model files", _add, body=_ORDER, schema=_JOB, status=201),
    Route("GET", "/api/jobs", "The queue: running, waiting, finished", _list, query=_LISTED),
    Route("GET", "/api/jobs/{id}", "One job", _get, schema=_JOB),
    Route("DELETE", "/api/jobs/{id}", "Stop and forget it", _delete, status=204),
    Route("POST", "/api/jobs/{id}/stop", "Stop it", _stop, schema=_JOB),
    Route("POST", "/api/jobs/{id}/retry", "Queue it again", _retry, schema=_JOB),
    Route("POST", "/api/jobs/{id}/move", "Move it in the queue", _move, body=_TO),
    Route("GET", "/api/jobs/{id}/preview", "Its newest frame", _preview, answer="image/jpeg"),
    Route("GET", "/api/jobs/{id}/result", "Its video", _result, answer="video/mp4"),
)
