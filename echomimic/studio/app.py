"""The application: every route, behind the guard."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount
from starlette.routing import Route as StarletteRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from echomimic.live import LivePortrait
from echomimic.studio.api import Route, openapi, refused
from echomimic.studio.asset_routes import ASSET_ROUTES
from echomimic.studio.edit_routes import EDIT_ROUTES
from echomimic.studio.events import Events
from echomimic.studio.guard import Guard, is_token
from echomimic.studio.house_routes import HOUSE_ROUTES, standing, with_cookie
from echomimic.studio.job_routes import JOB_ROUTES
from echomimic.studio.live_routes import live_routes
from echomimic.studio.live_socket import Sessions
from echomimic.studio.problems import Refused
from echomimic.studio.saying import Sayer
from echomimic.studio.schemas import schemas
from echomimic.studio.studio import Studio
from echomimic.studio.take_routes import TAKE_ROUTES

PAGE = Path(__file__).parent / "page"


def make_app(
    studio: Studio,
    *,
    hosts: Iterable[str] = (),
    any_address: bool = False,
    page: bool = True,
    root_path: str = "",
) -> ASGIApp:
    """The application for ``studio``. Its start and end are the studio's."""
    events = Events(studio, lambda: standing(studio))
    routes = all_routes(events)
    sessions = Sessions(Sayer(studio.voice, studio.home.voice))
    mounted = [route.mounted(studio) for route in routes]
    inner = Starlette(
        routes=[*mounted, *_live(studio, sessions), *_page(studio.token, page)],
        exception_handlers={HTTPException: _http_error, Exception: _fault},
        lifespan=_life(studio, events, sessions),
    )
    guarded = Guard(inner, studio.token, hosts, any_address)
    return Rooted(guarded, root_path) if root_path else guarded


def all_routes(events: Events) -> list[Route]:
    """The routes of the API, its own description included."""

    async def follow(_: Studio, request: Request) -> Response:
        return events.answer(request)

    async def describe(_: Studio, request: Request) -> Response:
        return JSONResponse(openapi(routes, schemas()))

    stream = "text/event-stream"
    routes = [
        Route("GET", "/api", "This description", asynchronous=describe),
        Route("GET", "/api/events", "What changes, as it changes", asynchronous=follow, answer=stream),
        *HOUSE_ROUTES,
        *ASSET_ROUTES,
        *JOB_ROUTES,
        *TAKE_ROUTES,
        *EDIT_ROUTES,
    ]
    return routes


class Rooted:
    """Puts the root path before the scope's, whether or not the proxy passes it on."""

    def __init__(self, app: ASGIApp, root_path: str) -> None:
        self.app, self.root = app, "/" + root_path.strip("/")

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Passes on."""
        if scope["type"] in ("http", "websocket"):
            path = scope["path"]
            has = path == self.root or path.startswith(self.root + "/")
            scope = {**scope, "root_path": self.root, "path": path if has else self.root + path}
        await self.app(scope, receive, send)


def _life(studio: Studio, events: Events, sessions: Sessions) -> Any:
    @contextlib.asynccontextmanager
    async def life(_: Starlette) -> AsyncIterator[None]:
        studio.start()
        looking = asyncio.create_task(events.run())
        try:
            yield
        finally:
            looking.cancel()
            await sessions.end()
            studio.close()

    return life


def _page(token: str | None, page: bool) -> list[BaseRoute]:
    async def front(request: Request) -> Response:
        given = request.query_params.get("token")
        if given is not None and is_token(given, token):
            home = (request.scope.get("root_path") or "") + "/"
            return with_cookie(RedirectResponse(home, 303), request, token)
        if page and (PAGE / "index.html").is_file():
            return Response((PAGE / "index.html").read_bytes(), media_type="text/html", headers=_FRESH)
        return JSONResponse({"api": "api", "page": None})

    routes: list[BaseRoute] = [StarletteRoute("/", front, methods=["GET"])]
    if page and PAGE.is_dir():
        routes.append(Mount("/", PageFiles(directory=PAGE)))
    return routes


def _live(studio: Studio, sessions: Sessions) -> list[BaseRoute]:
    """Live sessions with portraits of the studio."""
    from echomimic.studio.live_app import asset_portrait

    def portrait(asked: Mapping[str, str]) -> LivePortrait:
        row, face = studio.assets.get(asked.get("portrait", ""), "portrait"), asked.get("face", "0")
        if not face.isdecimal() or len(face) > 2:
            raise Refused("invalid", f"face {face[:80]!r} is no number; give 0 to 99")
        return asset_portrait(str(studio.assets.path(row)), int(face), 512)

    return live_routes(sessions, portrait)


_FRESH = {"Cache-Control": "no-cache"}


class PageFiles(StaticFiles):
    """The page's files; a browser asks whether they are still the same."""

    def file_response(self, *args: Any, **more: Any) -> Response:
        answer = super().file_response(*args, **more)
        answer.headers["Cache-Control"] = "no-cache"
        return answer


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    kind = {404: "not_found", 405: "method", 413: "too_large"}.get(error.status_code, "invalid")
    told = {
        "not_found": "there is no such address; GET /api tells which there are",
        "method": "this address has no such method",
    }
    return JSONResponse(Refused(kind, told.get(kind, error.detail)).body(), error.status_code, error.headers)


async def _fault(_: Request, error: Exception) -> Response:
    return refused(error)
