"""Keeps a worker process per lane and device alive, and sees to jobs whose worker is gone."""

import contextlib
import signal
import sqlite3
import subprocess
import threading
import time
from typing import Any

from echomimic.studio.child import start
from echomimic.studio.database import Database, Row
from echomimic.studio.devices import devices
from echomimic.studio.home import Home
from echomimic.studio.jobs import Jobs

# Seconds between two looks whether a worker died.
_LOOK = 0.2
ALWAYS = "preview"
"""The lane whose worker is started at once, so that the first preview does not wait for it."""
BRIEF = 5.0
"""Seconds: a worker that ends sooner could not work (a package is broken, say); the next one waits."""
FIRST_WAIT, LONGEST_WAIT = 0.5, 60.0
"""Seconds before a worker is started again that ended at once, doubled each time: the log stays readable."""


class Supervisor:
    """Owns the workers; a thread of its own looks after them."""

    def __init__(self, home: Home, database: Database) -> None:
        self.home, self.database, self.jobs = home, database, Jobs(database)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._started: dict[str, float] = {}
        self._waits: dict[str, float] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)

    def start(self) -> None:
        """What ran when the last server ended waits again at its old place; then the workers start."""
        self.jobs.requeue()
        self._thread.start()

    def close(self) -> None:
        """Ends the workers; their jobs wait for the next server."""
        self._over.set()
        self._thread.join()
        for process in self._processes.values():
            _end(process)
        with contextlib.suppress(sqlite3.OperationalError):  # the next start does it, too
            self.jobs.requeue()

    def shown(self) -> list[Row]:
        """The workers, for the page."""
        running = self.database.rows("SELECT id, lane, worker FROM jobs WHERE state = 'running'")
        return [
            {
                "device": name,
                "state": "working" if any(_pid(r) == p.pid for r in running) else "waiting",
                "job": next((r["id"] for r in running if _pid(r) == p.pid), None),
            }
            for name, p in list(self._processes.items())
            if p.poll() is None
        ]

    def _watch(self) -> None:
        while not self._over.wait(_LOOK):
            with contextlib.suppress(sqlite3.OperationalError):  # the disk is full: the next round may do it
                self.look()
        self.database.close()

    def look(self) -> None:
        """One round."""
        for name, process in list(self._processes.items()):
            if process.poll() is not None:
                del self._processes[name]
                brief, wait = time.monotonic() - self._started[name] < BRIEF, self._waits.get(name, 0.0)
                self._waits[name] = min(2 * wait or FIRST_WAIT, LONGEST_WAIT) if brief else 0.0
                self._bury(process)
        self._kill_silent()
        queued = {
            r["lane"] for r in self.database.rows("SELECT DISTINCT lane FROM jobs WHERE state = 'queued'")
        }
        for lane in sorted(queued | {ALWAYS}):
            for name, environment in devices(lane).items():
                rested = time.monotonic() - self._started.get(name, -LONGEST_WAIT)
                if name not in self._processes and rested >= self._waits.get(name, 0.0):
                    self._started[name] = time.monotonic()
                    folder = str(self.home.folder)
                    self._processes[name] = start(
                        "echomimic.studio.worker", folder, lane, environment=environment
                    )

    def _bury(self, process: "subprocess.Popen[bytes]") -> None:
        """Ends the jobs of a process that is gone: stopped if they were to stop, failed otherwise."""
        for job in self.database.rows("SELECT * FROM jobs WHERE state = 'running'"):
            if _pid(job) == process.pid:
                self._fail(job, _reason(process.returncode))

    def _kill_silent(self) -> None:
        """A worker whose lease ran out hangs: it is ended, and its job with it."""
        for job in self.database.rows(
            "SELECT * FROM jobs WHERE state = 'running' AND lease < ?", [time.time()]
        ):
            for process in self._processes.values():
                if process.pid == _pid(job):
                    _end(process)
            self._fail(job, "the process that worked on it hung and was ended; try again")

    def _fail(self, job: Row, reason: str) -> None:
        state = "stopped" if job["stopping"] else "failed"
        query = "UPDATE jobs SET state = ?, error = ?, ended = ?, worker = NULL, lease = NULL, stopping = 0 "
        query += "WHERE id = ? AND worker = ? AND state = 'running'"
        error = None if job["stopping"] else reason
        self.database.change(query, [state, error, time.time(), job["id"], job["worker"]])


def _reason(code: int) -> str:
    if code == -getattr(signal, "SIGKILL", 9):
        return (
            "the process that rendered was killed, probably because memory ran out; "
            "choose a smaller size, or try again"
        )
    return f"the process that rendered ended unexpectedly ({code}); the server's log says more; try again"


def _pid(job: Row) -> int:
    """The process of a worker, from its name."""
    parts: list[Any] = (job["worker"] or "").split("-")
    return int(parts[1]) if len(parts) == 3 else 0


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()
    if process.stdin is not None:
        process.stdin.close()
