"""Routes of assets and stills."""

from collections.abc import AsyncIterator
from typing import Any

import numpy as np
from starlette.concurrency import run_in_threadpool
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response

from echomimic.studio.api import Call, Query, Route, ref, taken
from echomimic.studio.assets import KINDS, Assets, as_asset, receive, too_large
from echomimic.studio.database import Row
from echomimic.studio.judge import PEAKS_PER_SECOND
from echomimic.studio.orders import checked_edits
from echomimic.studio.pose import NAMES as POSE
from echomimic.studio.problems import Refused
from echomimic.studio.sources import PERFORMANCE, describe_sources
from echomimic.studio.studio import Studio
from echomimic.studio.takes import checked_request, checked_settings

SOON = 60.0
"""Seconds in which a face, a still or a map must be drawn."""
OVERHEAD = 1 << 16
"""Bytes that a form adds to its file."""


async def _upload(studio: Studio, request: Request) -> Response:
    kind = request.query_params.get("kind", "")
    if kind not in KINDS:
        raise Refused("invalid", f"kind is missing or unknown; choose one of {', '.join(KINDS)}")
    row, new = await _received(request, studio, kind, request.query_params.get("name", ""))
    return JSONResponse(as_asset(row), 201 if new else 200)


def _list(studio: Studio, call: Call) -> Response:
    rows, after = studio.assets.listed(**call.query)
    return JSONResponse({"assets": [as_asset(row) for row in rows], "next": after})


def _get(studio: Studio, call: Call) -> Response:
    return JSONResponse(as_asset(studio.assets.get(call.path["id"])))


def _delete(studio: Studio, call: Call) -> Response:
    studio.assets.delete(call.path["id"])
    return Response(status_code=204)


def _file(studio: Studio, call: Call) -> Response:
    row = studio.assets.get(call.path["id"])
    return FileResponse(studio.assets.path(row), media_type=row["type"], headers=_KEPT)


def _picture(studio: Studio, call: Call) -> Response:
    question = {"do": "picture", "path": _portrait(studio, call), "width": max(16, call.query["width"])}
    return Response(studio.bench.ask(question, SOON)[1], media_type="image/jpeg", headers=_KEPT)


def _faces(studio: Studio, call: Call) -> Response:
    return JSONResponse(studio.bench.ask({"do": "faces", "path": _portrait(studio, call)}, SOON)[0])


def _map(studio: Studio, call: Call) -> Response:
    question = {
        "do": "map",
        "path": _portrait(studio, call),
        "face": call.query["face"],
        "of": call.query["of"],
    }
    return Response(studio.bench.ask(question, SOON)[1], media_type="image/png", headers=_KEPT)


def _peaks(studio: Studio, call: Call) -> Response:
    return JSONResponse(peaks_of(studio.assets, call))


def _still(studio: Studio, call: Call) -> Response:
    head, data = studio.bench.ask(still_question(studio, call.body), SOON)
    headers = {"X-Render-Ms": str(head["ms"]), "X-Width": str(head["width"]), "X-Height": str(head["height"])}
    return Response(data, media_type="image/jpeg", headers=headers | {"Cache-Control": "no-store"})


def _portrait(studio: Studio, call: Call) -> str:
    return str(studio.assets.path(studio.assets.get(call.path["id"], "portrait")))


_KEPT = {"Cache-Control": "private, max-age=31536000, immutable"}


async def _received(request: Request, studio: Studio, kind: str, name: str) -> Any:
    most = studio.most_upload
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > most + OVERHEAD:
        raise too_large(most)
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        chunks, name = await _form_file(request, most, name)
    else:
        chunks = request.stream()
    part, digest = await receive(studio.home, chunks, most)
    return await run_in_threadpool(studio.assets.keep, part, digest, kind, name)


async def _form_file(request: Request, most: int, name: str) -> tuple[AsyncIterator[bytes], str]:
    """The file in a form, counted while it comes in."""

    async def counted() -> AsyncIterator[bytes]:
        count = 0
        async for chunk in request.stream():
            count += len(chunk)
            if count > most + OVERHEAD:
                raise too_large(most)
            yield chunk

    try:
        pieces: Any = counted()  # starlette asks for a generator, any iterator will do
        parser = MultiPartParser(request.headers, pieces, max_files=1, max_fields=10)
        form = await parser.parse()
    except (MultiPartException, KeyError) as error:
        raise Refused("invalid", f"the form cannot be read ({error}); send one field named file") from None
    upload = form.get("file")
    if upload is None or isinstance(upload, str):
        await form.close()
        raise Refused("invalid", "the form has no file; send one field named file")

    async def chunks() -> AsyncIterator[bytes]:
        try:
            while data := await upload.read(1 << 20):
                yield data
        finally:
            await form.close()

    return chunks(), name or upload.filename or ""


def peaks_of(assets: Assets, call: Call) -> dict[str, Any]:
    """Loudness in so many bins between two moments."""
    row = assets.get(call.path["id"], "speech")
    whole = np.frombuffer(assets.path(row).with_suffix(".peaks").read_bytes(), np.uint8)
    seconds, bins = row["info"]["seconds"], max(1, call.query["bins"])
    start = max(0.0, call.query["start"])
    stop = min(seconds, seconds if call.query["stop"] is None else call.query["stop"])
    edges = np.linspace(start, max(start, stop), bins + 1) * PEAKS_PER_SECOND
    low = np.clip(edges[:-1].astype(int), 0, len(whole) - 1)
    high = np.maximum(low + 1, np.ceil(edges[1:]).astype(int))
    peaks = [round(float(whole[a:b].max()) / 255, 3) for a, b in zip(low, high, strict=True)]
    return {"seconds": seconds, "start": start, "stop": stop, "peaks": peaks}


def still_question(studio: Studio, body: Any) -> dict[str, Any]:
    """What the bench is asked for a still."""
    take = studio.takes.get(taken(body, "take", str)) if taken(body, "take", str) else None
    base: Row = take or {"settings": {}, "request": {}, "edits": [], "portrait": ..., "speech": None}
    portrait = studio.assets.get(taken(body, "portrait", str, base["portrait"]), "portrait")
    spoken = taken(body, "speech", str, base["speech"])
    speech = studio.assets.get(spoken, "speech") if spoken else None
    changed = {"settings", "speech", "request", "portrait"} & {k for k, v in body.items() if v is not None}
    kept = studio.home.take(take["id"]) / PERFORMANCE if take and not changed else None
    settings = base["settings"] | checked_settings(taken(body, "settings", dict, {}))
    request = base["request"] | checked_request(taken(body, "request", dict, {}))
    edits = checked_edits(studio, taken(body, "edits", list, base["edits"]))
    return {
        "do": "still",
        "path": str(studio.assets.path(portrait)),
        "face": request.get("face", 0),
        "settings": {k: v for k, v in settings.items() if k != "model"},
        "speech": str(studio.assets.path(speech)) if speech else "",
        "performance": str(kept) if kept is not None and kept.is_file() else "",
        "edits": edits,
        "sources": describe_sources(studio.home, studio.database, edits),
        "time": taken(body, "time", (int, float), 0.0),
        "pose": pose_of(body),
        "quality": min(95, max(30, taken(body, "quality", int, 85))),
    }


def pose_of(body: Any) -> dict[str, float] | None:
    """The pose that is asked for, its numbers checked."""
    pose = taken(body, "pose", dict)
    if pose is not None and (unknown := sorted(set(map(str, pose)) - set(POSE))):
        raise Refused("invalid", f"pose has no {unknown[0][:80]!r}; it has {', '.join(POSE)}")
    return None if pose is None else {name: taken(pose, name, (int, float), 0.0) for name in pose}


_ASSET = ref("Asset")
_KIND, _NAME = Query("kind", "what it is", choices=KINDS), Query("name", "its name, only shown")
_LISTED = (_KIND, Query("limit", "how many", int, 50, most=200), Query("before", "where the last page ended"))
_SENT = (_KIND, _NAME)
_WIDTH = (Query("width", "at most so many pixels wide", int, 1024, most=8000),)
_PART = (
    Query("bins", "how many", int, 1000, most=20000),
    Query("start", "s", float, 0.0),
    Query("stop", "s", float, None),
)
DRAWN_OF = Query("of", "what is drawn", default="landmarks", choices=("landmarks", "pose"))
_DRAWN = (Query("face", "which face", int, 0, most=99), DRAWN_OF)
_BYTES, _JPEG = "application/octet-stream", "image/jpeg"
ASSET_ROUTES = (
    Route(
        "POST", "/api/assets", "Upload a file", asynchronous=_upload, query=_SENT, schema=_ASSET, status=201
    ),
    Route("GET", "/api/assets", "List what was given, newest first", _list, query=_LISTED),
    Route("GET", "/api/assets/{id}", "One asset", _get, schema=_ASSET),
    Route("DELETE", "/api/assets/{id}", "Delete it, unless takes use it", _delete, status=204),
    Route("GET", "/api/assets/{id}/file", "Its bytes", _file, answer=_BYTES),
    Route("GET", "/api/assets/{id}/picture", "A portrait, upright", _picture, query=_WIDTH, answer=_JPEG),
    Route("GET", "/api/assets/{id}/faces", "Faces in a portrait", _faces),
    Route(
        "GET", "/api/assets/{id}/map", "Its landmarks or pose, drawn", _map, query=_DRAWN, answer="image/png"
    ),
    Route("GET", "/api/assets/{id}/peaks", "Loudness of a speech", _peaks, query=_PART),
    Route("POST", "/api/still", "One frame at these settings", _still, body=ref("Still"), answer=_JPEG),
)
