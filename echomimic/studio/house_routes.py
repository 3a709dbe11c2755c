"""Routes about the studio itself: what can be chosen, how it stands, logging in, keeping house."""

import dataclasses
from collections.abc import AsyncIterator
from typing import get_args

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from echomimic.motion.region import Eyes, Op, _Track
from echomimic.option import Option
from echomimic.studio.api import TYPES, Call, Route, json_body, ref, taken
from echomimic.studio.assets import as_asset, receive
from echomimic.studio.clean import clean_up
from echomimic.studio.database import Row
from echomimic.studio.guard import cookie_name, is_token
from echomimic.studio.models import models
from echomimic.studio.problems import Refused
from echomimic.studio.saying import SAID, TEXT_MOST
from echomimic.studio.studio import Studio
from echomimic.studio.takes import REQUEST, SETTINGS
from echomimic.studio.voice import QUICKEST_VOICE, REMEDY, SLOWEST_VOICE, voice_ready
from echomimic.version import VERSION

ONE_DAY = 24 * 3600
YEAR = 365 * ONE_DAY
NAME_SHOWN = 60
KEPT_DAYS = 30


def as_option(option: Option) -> Row:
    """One option as forms need it."""
    shown = dataclasses.asdict(option)
    shown["type"] = TYPES.get(option.type, "string")
    shown["default"] = None if option.default is dataclasses.MISSING else option.default
    return shown


def standing(studio: Studio) -> Row:
    """How the studio stands, without what takes time."""
    return {
        "version": VERSION,
        "started": studio.started,
        "sizes": studio.sizes(),
        "workers": studio.workers(),
    }


def _options(studio: Studio, call: Call) -> Response:
    settings, request = ([as_option(o) for o in known.values()] for known in (SETTINGS, REQUEST))
    edits = {"ops": get_args(Op), "tracks": get_args(_Track), "eyes": get_args(Eyes)}
    return JSONResponse({"settings": settings, "request": request, "models": models(), "edits": edits})


def _status(studio: Studio, call: Call) -> Response:
    limits = {"upload_bytes": studio.most_upload, "text_chars": TEXT_MOST}
    voice = {"ready": voice_ready(), "remedy": None if voice_ready() else REMEDY, "voices": _voices(studio)}
    return JSONResponse(standing(studio) | {"models": models(), "voice": voice, "limits": limits})


def _voices(studio: Studio) -> list[Row]:
    return list(studio.voice.ask({"do": "voices"}, SAID)[0]["voices"]) if voice_ready() else []


async def _say(studio: Studio, request: Request) -> Response:
    body = await json_body(request)
    text, voice = taken(body, "text", str, ...), taken(body, "voice", str, "")
    speed = taken(body, "speed", (int, float), 1.0)
    if not voice_ready():
        raise Refused("missing", f"the voice is not installed; run: {REMEDY}", REMEDY)
    if len(text) > TEXT_MOST or not SLOWEST_VOICE <= speed <= QUICKEST_VOICE:
        speeds = f"{SLOWEST_VOICE:g} to {QUICKEST_VOICE:g}"
        limits = f"a text has up to {TEXT_MOST} characters, and the speed is {speeds}"
        raise Refused("invalid", f"{limits}; shorten the text, or change the speed")
    question = {"do": "say", "text": text, "voice": voice, "speed": speed, "kept": str(studio.home.voice)}
    head, sound = await run_in_threadpool(studio.voice.ask, question, SAID)
    part, digest = await receive(studio.home, _once(sound), studio.most_upload)
    facts = {"sentences": head["sentences"], "voice": head["voice"]}
    row, new = await run_in_threadpool(studio.assets.keep, part, digest, "speech", text[:NAME_SHOWN], facts)
    return JSONResponse(as_asset(row), 201 if new else 200)


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


def _clean(studio: Studio, call: Call) -> Response:
    days = taken(call.body, "days", (int, float), KEPT_DAYS)
    if days < 0:
        raise Refused("invalid", "days is 0 or more")
    flags = (taken(call.body, "keep_starred", bool, True), taken(call.body, "dry_run", bool, False))
    return JSONResponse(clean_up(studio.home, studio.database, days, *flags))


def _sizes(studio: Studio, call: Call) -> Response:
    return JSONResponse(studio.sizes())


async def _login(studio: Studio, request: Request) -> Response:
    if not is_token(taken(await json_body(request), "token", str, ""), studio.token):
        raise Refused("unauthorized", "the token is wrong; open the address that the studio printed")
    return with_cookie(Response(status_code=204), request, studio.token)


async def _logout(studio: Studio, request: Request) -> Response:
    answer = Response(status_code=204)
    if studio.token is not None:
        answer.delete_cookie(cookie_name(studio.token), path=request.scope.get("root_path") or "/")
    return answer


def with_cookie(answer: Response, request: Request, token: str | None, seconds: int = YEAR) -> Response:
    """The answer, with the cookie that lets its browser in, for so long."""
    if token is not None:
        path, secure = request.scope.get("root_path") or "/", request.url.scheme == "https"
        answer.set_cookie(
            cookie_name(token),
            token,
            max_age=seconds,
            path=path,
            httponly=True,
            samesite="strict",
            secure=secure,
        )
    return answer


_TOKEN = {"type": "object", "properties": {"token": {"type": "string"}}}
HOUSE_ROUTES = (
    Route("POST", "/api/login", "Get the cookie for the token", asynchronous=_login, body=_TOKEN, status=204),
    Route("POST", "/api/logout", "Drop the cookie", asynchronous=_logout, status=204),
    Route("GET", "/api/options", "What can be chosen", _options),
    Route("GET", "/api/status", "How the studio stands", _status),
    Route(
        "POST",
        "/api/speech",
        "Say a text",
        asynchronous=_say,
        body=ref("Text"),
        schema=ref("Asset"),
        status=201,
    ),
    Route("POST", "/api/clean", "Remove what is old and not used", _clean, body=ref("Clean")),
    Route("GET", "/api/sizes", "What it keeps, in bytes", _sizes),
)
