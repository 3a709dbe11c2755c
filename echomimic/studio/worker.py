"""One worker: takes jobs of its lane, one after the other, in a process of its own.

``python -m echomimic.studio.worker HOME LANE``. It ends when its standard input closes (the server is
gone), when it has had nothing to do for a while and holds networks, or when a job that shall stop does not
within a second.
"""

import contextlib
import os
import secrets
import sqlite3
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from echomimic.engine import Engine, load
from echomimic.errors import EchoMimicError
from echomimic.request import Settings
from echomimic.studio.database import Database, Row, update
from echomimic.studio.home import Home
from echomimic.studio.jobs import Jobs
from echomimic.studio.problems import is_full
from echomimic.studio.report import JobReport, Stopped
from echomimic.studio.work import Work

_EXAMPLE = Path(__file__).resolve().parents[1] / "example"
# Seconds between two looks for a job; a person does not feel a tenth.
POLL = 0.1
AGAIN = 1.0
"""Seconds after which the database is tried again when it could not be written: the disk is full."""
# Seconds: often enough that a stopped job is noticed within `GRACE`, and many times within its lease.
_HEARTBEAT = 0.25
GRACE = 1.0
"""Seconds a job has to stand still after it was told to; then the process ends."""
IDLE = 120.0
"""Seconds after which a worker that holds networks ends, to free their memory."""


class Worker:
    """Does the jobs of one lane."""

    def __init__(self, home: Home, database: Database, lane: str) -> None:
        self.home, self.database, self.lane = home, database, lane
        self.jobs, self.name = Jobs(database), f"{lane}-{os.getpid()}-{secrets.token_hex(3)}"
        self._work = Work(home, database, self.engine)
        self._engine: tuple[Any, Engine] | None = None
        self.last = time.monotonic()

    def work_once(self) -> bool:
        """Does the next job; False when there is none."""
        job = self.jobs.claim(self.lane, self.name)
        if job is None:
            return False
        with self._beating(job["id"]):
            result = self._result(job)
            while not self._end(job, result):
                time.sleep(AGAIN)
        self.last = time.monotonic()
        return True

    def engine(self, settings: Settings, report: JobReport) -> Engine:
        """The engine for these settings; the last one stays loaded."""
        key = (
            settings.model,
            settings.device,
            settings.dtype,
            settings.weights,
            settings.vae,
            settings.offload,
        )
        if self._engine is None or self._engine[0] != key:
            self._engine = None
            self._engine = (key, load(settings, report))
        return self._engine[1]

    @property
    def idle(self) -> bool:
        """Whether it holds networks that nobody has used for a while."""
        return self._engine is not None and self.lane != "preview" and time.monotonic() - self.last > IDLE

    def _result(self, job: Row) -> Row:
        """What becomes of the job: its new columns."""
        report = JobReport(self.home, self.jobs, job, self.name)
        try:
            self._work.do(job, report)
            return {"state": "done", "fraction": 1.0, "left": 0.0, "notes": report.notes}
        except Stopped:
            return {"state": "stopped"}
        except Exception as error:
            return {"state": "failed", "error": _told(error), "notes": report.notes}

    def _end(self, job: Row, result: Row) -> bool:
        """Writes the result down, unless the job is no longer ours; False when the disk is full."""
        with contextlib.suppress(sqlite3.OperationalError), self.database.write() as connection:
            query = "SELECT stopping FROM jobs WHERE id = ? AND worker = ? AND state = 'running'"
            if connection.execute(query, [job["id"], self.name]).fetchone():
                ended = {"ended": time.time(), "worker": None, "lease": None, "stopping": 0}
                update(connection, "jobs", job["id"], result | ended)
            return True
        return False

    @contextlib.contextmanager
    def _beating(self, job: str) -> Iterator[None]:
        """Renews the lease while the job is worked on, and ends the process when it does not stop in time."""
        over = threading.Event()
        thread = threading.Thread(target=self._beat, args=(job, over.wait), daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _beat(self, job: str, wait: Callable[[float], bool]) -> None:
        while not wait(_HEARTBEAT):
            with contextlib.suppress(sqlite3.OperationalError):  # the disk is full: the job will say so
                if self.jobs.hold(job, self.name):
                    continue
                if not wait(GRACE):
                    os._exit(3)
                break
        self.database.close()


def _told(error: Exception) -> str:
    """One line about what went wrong; the whole of a fault goes to the log."""
    if isinstance(error, EchoMimicError):
        return str(error)
    if is_full(error):
        return "the disk is full; free some room, or run: echomimic studio clean"
    if isinstance(error, MemoryError):
        return "memory ran out; choose a smaller size, or close other programs"
    traceback.print_exception(error)
    reason = ": ".join([type(error).__name__, *str(error).splitlines()[:1]])
    return f"a fault in this program ({reason}); please report it"


def _end_with_the_server() -> None:
    while sys.stdin.buffer.read(1):
        pass
    os._exit(0)


def warm() -> None:
    """Loads what every preview needs, so that the first one does not wait for it."""
    from echomimic.conditions import gather
    from echomimic.driving import performance
    from echomimic.preview.engine import renderer_for

    with contextlib.suppress(EchoMimicError):
        job = gather(_EXAMPLE / "portrait.jpg", _EXAMPLE / "speech.flac", Settings(size=64, length=5))
        performance(job)
        renderer_for(job)


def main(home: str, lane: str) -> None:
    """Works until the server ends."""
    threading.Thread(target=_end_with_the_server, daemon=True).start()
    folder = Home(Path(home))
    worker = Worker(folder, Database(folder.database), lane)
    if lane == "preview":
        warm()
    while not worker.idle:
        try:
            if not worker.work_once():
                time.sleep(POLL)
        except sqlite3.OperationalError:
            time.sleep(AGAIN)


if __name__ == "__main__":
    main(*sys.argv[1:])
