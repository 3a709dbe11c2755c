"""Who may ask: the token, where the request comes from, and what every answer says about itself.

Threats: another web site that the user visits (its requests carry a foreign Origin, or by DNS rebinding a
foreign Host), other users of the network or the computer (they lack the token), and files with hostile
content (see ``judge``).
"""

import hashlib
import hmac
import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from echomimic.studio.problems import Refused

COOKIE = "echomimic_studio"
OPEN_PATHS = frozenset({"/api/login"})
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class Guard:
    """Stands before the application.

    ``token`` None lets everybody in. ``hosts`` are the names under which the studio may be called besides
    loopback; with ``any_address`` any plain address will do too: those cannot be rebound.
    """

    def __init__(
        self, app: ASGIApp, token: str | None, hosts: Iterable[str] = (), any_address: bool = False
    ) -> None:
        self.app, self.token, self.any_address = app, token, any_address
        self.hosts = LOOPBACK | {host.lower() for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers what is not allowed, passes on the rest."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] == "websocket":
            await self._socket(scope, receive, send)
            return
        told = _telling(send)
        if refused := self._refusal(scope):
            headers = {"www-authenticate": "Bearer"} if refused.status == 401 else None
            await JSONResponse(refused.body(), refused.status, headers)(scope, receive, told)
            return
        await self.app(scope, receive, told)

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A WebSocket is refused before it is open (the browser sees 403)."""
        if self._refusal(scope):
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        await self.app(scope, receive, send)

    def _refusal(self, scope: Scope) -> Refused | None:
        headers = Headers(scope=scope)
        if not self._known_host(headers.getlist("host")):
            return Refused(
                "forbidden", "this name is not the studio's; start it with --allow-host NAME to use it"
            )
        if not self._same_origin(headers):
            return Refused("forbidden", "another web site may not use the studio")
        path = path_of(scope)
        if (
            not (path == "/api" or path.startswith("/api/"))
            or path in OPEN_PATHS
            or self._knows_token(headers)
        ):
            return None
        return Refused(
            "unauthorized", "the token is missing or wrong; open the address that the studio printed"
        )

    def _known_host(self, given: list[str]) -> bool:
        if len(given) != 1:
            return False
        name = host_name(given[0])
        return name in self.hosts or (self.any_address and _is_address(name))

    def _same_origin(self, headers: Headers) -> bool:
        origins = headers.getlist("origin")
        if not origins:
            return headers.get("sec-fetch-site") not in ("cross-site", "same-site")
        parts = urlsplit(origins[0]) if len(origins) == 1 else None
        if parts is None or parts.scheme not in ("http", "https"):
            return False
        same = parts.netloc.lower() == headers.get("host", "").lower()
        return same or (host_name(parts.netloc) in self.hosts - LOOPBACK)

    def _knows_token(self, headers: Headers) -> bool:
        if self.token is None:
            return True
        given = headers.get("authorization", "")
        if given[:7].lower() == "bearer ":
            return is_token(given[7:].strip(), self.token)
        return is_token(cookie_of("; ".join(headers.getlist("cookie")), self.token), self.token)


def is_token(given: str, token: str | None) -> bool:
    """Whether this is the token, in constant time; where there is none, anything is."""
    return token is None or hmac.compare_digest(given.encode(), token.encode())


def path_of(scope: Scope) -> str:
    """The path below the root path, however the proxy passes it on."""
    path, root = scope["path"], scope.get("root_path", "")
    return path[len(root) :] or "/" if root and (path == root or path.startswith(root + "/")) else path


def cookie_name(token: str) -> str:
    """The cookie of one studio; of the same name, another one on the same computer would replace it."""
    return f"{COOKIE}_{hashlib.sha256(token.encode()).hexdigest()[:8]}"


def cookie_of(text: str, token: str) -> str:
    """The studio's cookie in a Cookie header, or nothing. Other programs of this computer may have put
    anything else there, so each part is read by itself."""
    parts = (part.strip().partition("=") for part in text.split(";"))
    return next((value for name, _, value in parts if name == cookie_name(token)), "")


def host_name(host: str) -> str:
    """``name:port`` without the port, lower case; nothing when it is not well formed."""
    try:
        return (urlsplit(f"//{host}").hostname or "") if host and not set(host) & set("/@?#\\ ") else ""
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _telling(send: Send) -> Send:
    async def told(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return told
