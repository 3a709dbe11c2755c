"""Routes of live sessions: the WebSocket, WebRTC's offer, and what is there."""

from collections.abc import Callable, Mapping

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket

from echomimic.live import LivePortrait
from echomimic.studio.api import json_body, refused, taken
from echomimic.studio.live_socket import Sessions, rtc_ready

Portraits = Callable[[Mapping[str, str]], LivePortrait]
"""The portrait that the query of an address asks for; raises what is wrong with it."""


def live_routes(sessions: Sessions, portrait: Portraits) -> list[BaseRoute]:
    """The routes; ``portrait`` is called in a thread."""

    async def speak(socket: WebSocket) -> None:
        asked = dict(socket.query_params)
        await sessions.serve(socket, lambda: portrait(asked))

    async def connect(request: Request) -> Response:
        asked = dict(request.query_params)
        try:
            body = await json_body(request)
            offer = {name: taken(body, name, str, ...) for name in ("sdp", "type")}
            return JSONResponse(await sessions.connect(offer, lambda: portrait(asked)))
        except Exception as error:
            return refused(error)

    async def facts(_: Request) -> Response:
        told = {"voice": sessions.sayer.ready, "webrtc": rtc_ready()}
        return JSONResponse(told, background=BackgroundTask(sessions.sayer.warm))

    return [
        WebSocketRoute("/api/live", speak),
        Route("/api/live/offer", connect, methods=["POST"]),
        Route("/api/live/facts", facts, methods=["GET"]),
    ]
