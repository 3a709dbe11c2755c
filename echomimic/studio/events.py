"""What changes, as one stream of server-sent events per page.

The database numbers every change (see ``database``). One task looks for new numbers, and every page gets,
for each thing that changed, its newest value: a page that was away gets what it missed, once.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import StreamingResponse

from echomimic.studio.assets import as_asset
from echomimic.studio.database import Row, as_json
from echomimic.studio.jobs import as_job
from echomimic.studio.studio import Studio
from echomimic.version import VERSION

# Seconds between two looks at the database: soon enough to feel live, and a read of one row costs nothing.
_LOOK = 0.1
# Seconds: proxies close streams that stay silent (nginx after 60 seconds).
_HEARTBEAT = 10.0
MOST_MISSED = 500
"""More changes than these are not told one by one: the page loads its lists again."""


class Events:
    """Wakes every stream when the database has changed."""

    def __init__(self, studio: Studio, status: Callable[[], Row]) -> None:
        self.studio, self.status = studio, status
        self.latest = newest(studio)
        self._changed: asyncio.Event | None = None
        self._task: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Looks for changes until it is cancelled."""
        self._changed = asyncio.Event()
        while not self.studio.leaving:
            await asyncio.sleep(_LOOK)
            found = await run_in_threadpool(newest, self.studio)
            if found != self.latest:
                self.latest = found
                changed, self._changed = self._changed, asyncio.Event()
                changed.set()
        self._changed.set()
        await run_in_threadpool(self.studio.hush)

    async def wait(self, seconds: float) -> None:
        """Until something changes, or so long."""
        if self._changed is None:
            await asyncio.sleep(min(seconds, _LOOK))
            return
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._changed.wait(), seconds)

    def answer(self, request: Request) -> StreamingResponse:
        """The stream of one page."""
        last = request.headers.get("last-event-id", "")
        headers = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}
        stream = self._stream(int(last) if last.isdigit() else None)
        return StreamingResponse(stream, media_type="text/event-stream", headers=headers)

    async def _stream(self, seen: int | None) -> AsyncIterator[str]:
        start = await run_in_threadpool(newest, self.studio)
        yield "retry: 1000\n" + event(
            "hello", {"version": VERSION, "seq": start}, start if seen is None else None
        )
        seen, told = start if seen is None else seen, time.monotonic()
        if seen > start:  # another data folder
            yield event("reset", {}, start)
            seen = start
        while not self.studio.leaving:
            for text in await run_in_threadpool(self._since, seen):
                seen, told = text[0], time.monotonic()
                yield text[1]
            if time.monotonic() - told >= _HEARTBEAT:
                told = time.monotonic()
                yield ": heartbeat\n\n"
            if seen >= self.latest:
                await self.wait(_HEARTBEAT - (time.monotonic() - told) + 0.01)

    def _since(self, seen: int) -> list[tuple[int, str]]:
        query = "SELECT seq, kind, id, gone FROM changes WHERE seq > ? ORDER BY seq LIMIT ?"
        rows = self.studio.database.rows(query, [seen, MOST_MISSED + 1])
        if len(rows) > MOST_MISSED:
            last = newest(self.studio)
            return [(last, event("reset", {}, last))]
        return [(row["seq"], text) for row in rows if (text := self._told(row))]

    def _told(self, change: Row) -> str:
        kind, id, seq = change["kind"], change["id"], change["seq"]
        if kind == "queue":
            positions = self.studio.jobs.positions()
            return event("queue", {"order": list(positions), "positions": positions}, seq) + event(
                "status", self.status()
            )
        row = (
            None if change["gone"] else self.studio.database.row(f"SELECT * FROM {kind}s WHERE id = ?", [id])
        )
        if row is None:
            return event("gone", {"kind": kind, "id": id}, seq)
        return event(kind, self._shown(kind, row), seq)

    def _shown(self, kind: str, row: Row) -> Row:
        if kind == "job":
            return as_job(row, self.studio.jobs.positions())
        return self.studio.takes.shown(row) if kind == "take" else as_asset(row)


def newest(studio: Studio) -> int:
    """The number of the newest change."""
    row = studio.database.row("SELECT max(seq) AS seq FROM changes")
    return (row and row["seq"]) or 0


def event(name: str, data: Any, id: int | None = None) -> str:
    """One event as it goes over the wire."""
    number = "" if id is None else f"id: {id}\n"
    return f"{number}event: {name}\ndata: {as_json(data)}\n\n"
