"""The studio itself: the data, the children and the workers that the routes speak to."""

import time
from pathlib import Path
from typing import Any

from echomimic.studio.assets import Assets
from echomimic.studio.child import Child
from echomimic.studio.database import Database, Row
from echomimic.studio.home import Home
from echomimic.studio.jobs import OPEN, Jobs
from echomimic.studio.supervisor import Supervisor
from echomimic.studio.takes import Takes

DEFAULT_UPLOAD = 1024 << 20
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""For a process that forks: a fork of one with threads may wait for them for ever."""
STANDS_STILL, _LOOK = 5.0, 0.05
"""Seconds to wait for a job that was stopped, and between two looks at it."""


class Studio:
    """Everything of one data folder.

    ``token`` None lets everybody in. ``working`` starts workers; without, jobs only wait (for tests).
    """

    def __init__(
        self, folder: Path, token: str | None, most_upload: int = DEFAULT_UPLOAD, working: bool = True
    ) -> None:
        self.token = token
        self.home, self.most_upload, self.started = Home(folder), most_upload, time.time()
        self.home.prepare()
        self.database = Database(self.home.database)
        self.judge = Child("echomimic.studio.judge", "judging the file", **ONE_THREAD)
        self.bench = Child("echomimic.studio.bench", "drawing")
        self.meter = Child("echomimic.studio.meter", "evaluating the take")
        self.voice = Child("echomimic.studio.voice", "the voice")
        self.assets = Assets(self.home, self.database, self.judge)
        self.jobs, self.takes = Jobs(self.database), Takes(self.home, self.database)
        self.supervisor = Supervisor(self.home, self.database) if working else None
        self.leaving = False

    def start(self) -> None:
        """Starts the workers; what was half come in at the last end goes."""
        for part in self.home.incoming.iterdir():
            part.unlink(missing_ok=True)
        if self.supervisor is not None:
            self.supervisor.start()
            self.bench.warm()
            self.judge.warm()

    def leave(self) -> None:
        """The studio is about to end: what waits for something gives up. Returns at once."""
        self.leaving = True

    def hush(self) -> None:
        """Ends the processes that answer; questions that wait, and later ones, are refused."""
        for child in (self.judge, self.bench, self.voice, self.meter):
            child.end()

    def close(self) -> None:
        """Ends every process of it."""
        self.leave()
        if self.supervisor is not None:
            self.supervisor.close()
        self.hush()
        self.database.close()

    def stand_still(self, job: Row) -> None:
        """Stops a job that waits or runs, and waits until it stands still."""
        if job["state"] not in OPEN:
            return
        self.jobs.stop(job["id"])
        until = time.monotonic() + STANDS_STILL
        while (
            time.monotonic() < until and not self.leaving and self.jobs.get(job["id"])["state"] == "running"
        ):
            time.sleep(_LOOK)

    def sizes(self) -> dict[str, Any]:
        """Bytes that assets and takes use, and that are free."""
        queries = {
            "assets": "SELECT sum(bytes) AS n FROM assets",
            "takes": "SELECT sum(bytes) AS n FROM takes",
        }
        used = {name: (self.database.row(query) or {})["n"] or 0 for name, query in queries.items()}
        return used | {"total": sum(used.values()), "free": self.home.free()}

    def workers(self) -> list[dict[str, Any]]:
        """The workers, for the page."""
        return self.supervisor.shown() if self.supervisor is not None else []
