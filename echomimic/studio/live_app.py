"""``echomimic live``: a page with one portrait that speaks what it hears."""

import contextlib
import functools
import io
import secrets
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from PIL import Image
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from echomimic.arrays import Picture
from echomimic.live import LivePortrait, prepare
from echomimic.media.image import read_picture
from echomimic.request import Settings
from echomimic.studio.app import PAGE, PageFiles
from echomimic.studio.child import Child
from echomimic.studio.guard import Guard, is_token
from echomimic.studio.house_routes import ONE_DAY, with_cookie
from echomimic.studio.live_routes import live_routes
from echomimic.studio.live_socket import Sessions
from echomimic.studio.saying import Sayer
from echomimic.studio.serve import Serving, address, listening


def make_live_app(
    portrait: Path | Picture, settings: Settings, token: str | None, face: int = 0, kept: Path | None = None
) -> ASGIApp:
    """The application, and its portrait, looked at now so that errors come before anything is served.

    ``kept`` is a folder for sentences that were typed; without one nothing can be typed.
    """
    picture = portrait if not isinstance(portrait, Path) else read_picture(portrait)
    ready = prepare(picture, settings, face=face)
    voice = Child("echomimic.studio.voice", "the voice")
    sessions = Sessions(Sayer(voice, kept))

    @contextlib.asynccontextmanager
    async def life(_: Starlette) -> AsyncIterator[None]:
        yield
        await sessions.end()
        voice.end()

    async def front(request: Request) -> Response:
        given = request.query_params.get("token")
        if given is not None and is_token(given, token):
            # the token is another one each time: a lasting cookie would be left behind by every run
            return with_cookie(RedirectResponse("/", 303), request, token, ONE_DAY)
        return FileResponse(PAGE / "live.html", headers={"Cache-Control": "no-cache"})

    async def shown(_: Request) -> Response:
        return Response(_jpeg(picture), media_type="image/jpeg")

    routes = [
        Route("/", front),
        Route("/api/live/portrait", shown),
        *live_routes(sessions, lambda _: ready),
        Mount("/", PageFiles(directory=PAGE)),
    ]
    return Guard(Starlette(routes=routes, lifespan=life), token)


def serve_live(
    portrait: Path, settings: Settings, serving: Serving, face: int, tell: Callable[[str], None]
) -> None:
    """Serves until it is interrupted; ``tell`` gets the address with its token."""
    from echomimic.studio.server import EndingServer

    token = secrets.token_urlsafe(24) if serving.token else None
    with tempfile.TemporaryDirectory(prefix="echomimic-live-") as kept, listening(serving) as place:
        app = make_live_app(portrait, settings, token, face, Path(kept))
        tell(address(serving, place.getsockname()[1], "", token))
        EndingServer(app, lambda: None).run(sockets=[place])


def _jpeg(picture: Picture) -> bytes:
    image, file = Image.fromarray(picture), io.BytesIO()
    image.thumbnail((1024, 1024))
    image.save(file, "JPEG", quality=85)
    return file.getvalue()


@functools.lru_cache(maxsize=4)
def asset_portrait(path: str, face: int, size: int) -> LivePortrait:
    """A portrait of the studio, ready to be live; kept, since a second session is likely."""
    return prepare(Path(path), Settings(size=size), face=face)
