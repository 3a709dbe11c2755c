"""One route of the API: where it is, what it does, what it takes and gives; and all of them as OpenAPI."""

import dataclasses
import json
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route as StarletteRoute

from echomimic.option import Option
from echomimic.studio.problems import STATUS, Refused, refusal
from echomimic.studio.studio import Studio
from echomimic.version import VERSION

BODY_LIMIT = 4 << 20
"""Bytes of a JSON body."""
TYPES = {int: "integer", float: "number", bool: "boolean"}


@dataclass(frozen=True)
class Query:
    """One value in the address: ``type`` is int, float, bool or str."""

    name: str
    help: str
    type: type = str
    default: Any = ""
    choices: tuple[str, ...] = ()
    most: float | None = None


@dataclass(frozen=True)
class Call:
    """A request to a handler: the path's values, the query's and the JSON body's."""

    path: Mapping[str, str]
    query: Mapping[str, Any]
    body: Any
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Route:
    """One method of one path.

    ``handler`` runs in a thread and takes a :class:`Call`; ``asynchronous`` handlers take Starlette's own
    request.
    """

    method: str
    path: str
    summary: str
    handler: Callable[[Studio, Call], Response] | None = None
    asynchronous: Callable[[Studio, Request], Awaitable[Response]] | None = None
    query: Sequence[Query] = ()
    body: Mapping[str, Any] | None = None
    answer: str = "application/json"
    schema: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200

    def mounted(self, studio: Studio) -> StarletteRoute:
        """The same for Starlette."""

        async def answered(request: Request) -> Response:
            return await self._answered(studio, request)

        return StarletteRoute(self.path, answered, methods=[self.method], name=f"{self.method} {self.path}")

    async def _answered(self, studio: Studio, request: Request) -> Response:
        try:
            if self.asynchronous is not None:
                return await self.asynchronous(studio, request)
            assert self.handler is not None
            body = await json_body(request) if self.body is not None else None
            call = Call(request.path_params, self.asked(request), body, request.headers)
            return await run_in_threadpool(self.handler, studio, call)
        except (HTTPException, ClientDisconnect):
            raise
        except Exception as error:
            return refused(error)

    def asked(self, request: Request) -> dict[str, Any]:
        """The query's values, checked; raises :class:`Refused`."""
        return {q.name: _value(q, request.query_params.get(q.name)) for q in self.query}


def refused(error: Exception) -> Response:
    """The answer to what went wrong; faults of the program go to the log."""
    known = refusal(error)
    if known.kind == "internal":
        import traceback

        traceback.print_exception(error)
    return JSONResponse(known.body(), known.status)


async def json_body(request: Request) -> Any:
    """The JSON in the body; raises :class:`Refused` when it is none or too long."""
    data = b""
    async for chunk in request.stream():
        data += chunk
        if len(data) > BODY_LIMIT:
            raise Refused("too_large", f"the body is larger than {BODY_LIMIT >> 20} MB")
    try:
        return json.loads(data or b"{}", parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise Refused(
            "invalid", "the body is not JSON; send an object with Content-Type: application/json"
        ) from None


def _no_number(name: str) -> Any:
    raise ValueError(name)


def _value(query: Query, text: str | None) -> Any:
    if text is None or text == "":
        return query.default
    try:
        value = text not in ("0", "false", "no") if query.type is bool else query.type(text)
    except ValueError:
        raise Refused(
            "invalid", f"{query.name} takes {TYPES.get(query.type, 'a text')}, not {text[:80]!r}"
        ) from None
    if isinstance(value, float) and not math.isfinite(value):
        raise Refused("invalid", f"{query.name} is not a number")
    if query.choices and value not in query.choices:
        raise Refused(
            "invalid", f"{query.name} {text[:80]!r} is unknown; choose one of {', '.join(query.choices)}"
        )
    if query.most is not None and not isinstance(value, str) and not 0 <= value <= query.most:
        raise Refused("invalid", f"{query.name} {text[:80]} is out of range; choose 0 to {query.most:g}")
    return value


def taken(body: Any, name: str, kind: type | tuple[type, ...], default: Any = None) -> Any:
    """A value of a JSON object, of that kind; raises :class:`Refused`."""
    if not isinstance(body, dict):
        raise Refused("invalid", "the body is an object of names and values")
    value = body.get(name)
    if value is None:
        if default is ...:
            raise Refused("invalid", f"{name} is missing")
        return default
    wrong = not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool)
    if wrong or (isinstance(value, float) and not math.isfinite(value)):
        raise Refused("invalid", f"{name} is of the wrong type")
    return value


def ref(schema: str) -> dict[str, str]:
    """A schema by its name in the components."""
    return {"$ref": f"#/components/schemas/{schema}"}


def option_schema(option: Option) -> dict[str, Any]:
    """JSON schema of one option."""
    schema: dict[str, Any] = {"type": TYPES.get(option.type, "string"), "description": option.help}
    if option.default is not dataclasses.MISSING:
        schema["default"] = option.default
    if option.choices:
        schema["enum"] = list(option.choices)
    for name, bound in (("minimum", option.low), ("maximum", option.high)):
        if bound is not None:
            schema[name] = bound
    return schema


def openapi(routes: Sequence[Route], schemas: Mapping[str, Any]) -> dict[str, Any]:
    """The document."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    security = {
        "token": {"type": "http", "scheme": "bearer"},
        "cookie": {"type": "apiKey", "in": "cookie", "name": "echomimic_studio"},
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "EchoMimic Studio", "version": VERSION, "description": "See docs/studio-api.md."},
        "paths": paths,
        "components": {"schemas": {**schemas, "Error": _ERROR}, "securitySchemes": security},
        "security": [{"token": []}, {"cookie": []}],
    }


_ERROR = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "properties": {
                "status": {"type": "integer"},
                "kind": {"type": "string", "enum": sorted(STATUS)},
                "message": {"type": "string"},
                "remedy": {"type": ["string", "null"]},
            },
        }
    },
}


def _operation(route: Route) -> dict[str, Any]:
    names = [part[1:-1] for part in route.path.split("/") if part.startswith("{")]
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names
    ]
    for query in route.query:
        schema = {"type": TYPES.get(query.type, "string"), "default": query.default}
        schema |= {"enum": list(query.choices)} if query.choices else {}
        parameters.append({"name": query.name, "in": "query", "description": query.help, "schema": schema})
    error = {
        "description": "refused",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    }
    good: dict[str, Any] = {"description": "done"}
    if route.status != 204:
        good["content"] = {route.answer: {"schema": route.schema}}
    operation: dict[str, Any] = {
        "summary": route.summary,
        "parameters": parameters,
        "responses": {str(route.status): good, "default": error},
    }
    if route.body is not None:
        operation["requestBody"] = {"content": {"application/json": {"schema": route.body}}}
    return operation
