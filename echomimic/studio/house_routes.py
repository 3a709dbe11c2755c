"""Routes about the studio itself: what can be chosen, how it stands, logging in, keeping house."""

import dataclasses

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from echomimic.option import Option
from echomimic.studio.api import TYPES, Call, Route, json_body, taken
from echomimic.studio.database import Row
from echomimic.studio.guard import COOKIE, is_token
from echomimic.studio.models import models
from echomimic.studio.problems import Refused
from echomimic.studio.studio import Studio
from echomimic.studio.takes import REQUEST, SETTINGS
from echomimic.version import VERSION

YEAR = 365 * 24 * 3600
TEXT_MOST = 5000


def as_option(option: Option) -> Row:
    """One option as forms need it."""
    shown = dataclasses.asdict(option)
    shown["type"] = TYPES.get(option.type, "string")
    shown["default"] = None if option.default is dataclasses.MISSING else option.default
    return shown


def standing(studio: Studio) -> Row:
    """How the studio stands, without what takes time."""
    return {"version": VERSION, "started": studio.started, "sizes": studio.sizes(), "workers": studio.workers()}


def _options(studio: Studio, call: Call) -> Response:
    settings, request = ([as_option(o) for o in known.values()] for known in (SETTINGS, REQUEST))
    edits: Row = {"ops": [], "tracks": []}
    return JSONResponse({"settings": settings, "request": request, "models": models(), "edits": edits})


def _status(studio: Studio, call: Call) -> Response:
    limits = {"upload_bytes": studio.most_upload, "text_chars": TEXT_MOST}
    voice = {"ready": False, "remedy": 'pip install "hibari-tts"', "voices": [], "voice": None}
    return JSONResponse(standing(studio) | {"models": models(), "voice": voice, "limits": limits})


def _sizes(studio: Studio, call: Call) -> Response:
    return JSONResponse(studio.sizes())


async def _login(studio: Studio, request: Request) -> Response:
    if not is_token(taken(await json_body(request), "token", str, ""), studio.token):
        raise Refused("unauthorized", "the token is wrong; open the address that the studio printed")
    return with_cookie(Response(status_code=204), request, studio.token)


async def _logout(studio: Studio, request: Request) -> Response:
    answer = Response(status_code=204)
    answer.delete_cookie(COOKIE, path=request.scope.get("root_path") or "/")
    return answer


def with_cookie(answer: Response, request: Request, token: str | None) -> Response:
    """The answer, with the cookie that lets its browser in."""
    if token is not None:
        path, secure = request.scope.get("root_path") or "/", request.url.scheme == "https"
        answer.set_cookie(COOKIE, token, max_age=YEAR, path=path, httponly=True, samesite="strict", secure=secure)
    return answer


_TOKEN = {"type": "object", "properties": {"token": {"type": "string"}}}
HOUSE_ROUTES = (
    Route("POST", "/api/login", "Get the cookie for the token", asynchronous=_login, body=_TOKEN, status=204),
    Route("POST", "/api/logout", "Drop the cookie", asynchronous=_logout, status=204),
    Route("GET", "/api/options", "What can be chosen", _options),
    Route("GET", "/api/status", "How the studio stands", _status),
    Route("GET", "/api/sizes", "What it keeps, in bytes", _sizes),
)
