"""Progress of a job, from the engine into the database: not too often, with the time left and a picture."""

import io
import time
from typing import Any

from PIL import Image

from echomimic.media.output import write_whole
from echomimic.progress import Progress
from echomimic.studio.database import Row
from echomimic.studio.home import Home
from echomimic.studio.jobs import Jobs
from echomimic.variants import VARIANTS

EVERY = 0.2
"""Seconds between two notes in the database."""
# Seconds and pixels: a glimpse must cost less than what it shows.
PICTURE_EVERY = 0.5
PICTURE_SIDE = 320
SHARES = {
    "preview": {"audio": 0.1, "preparing": 0.05, "rendering": 0.85},
    "diffusion": {"weights": 0.02, "denoising": 0.88, "rendering": 0.1},
    "fetch": {"download": 1.0},
}
"""How much of a job's time its stages take, about."""
MOST = 0.5
"""A stage with this share of the time tells by itself how long the rest will take."""
SURE = 0.5
"""Seconds of such a stage after which that is told."""


class Stopped(BaseException):
    """The job shall stop, or is no longer this worker's. No ``Exception``, so that nothing on the way takes
    it for a fault and tries again, as a download does."""


class JobReport:
    """The ``Report`` of one job; ``notes`` are the remarks that came, ``frame`` the newest picture."""

    def __init__(self, home: Home, jobs: Jobs, job: Row, worker: str) -> None:
        self._home, self._jobs, self._job, self._worker = home, jobs, job, worker
        engine = VARIANTS[job["model"]].engine if job["model"] in VARIANTS else "preview"
        self._shares = SHARES["fetch" if job["kind"] == "weights" else engine]
        self._began, self._told, self._drawn, self._fraction = time.monotonic(), 0.0, 0.0, 0.0
        self._pictures, self._from, self._note = job["preview"], 0.0, ""
        self._stage: tuple[str, float, float] = ("", 0.0, 0.0)
        self.notes: list[str] = []
        self.frame: Any = None

    def __call__(self, progress: Progress) -> None:
        """Takes one report; raises :class:`Stopped`."""
        self._note = progress.detail or self._note
        now = time.monotonic()
        if progress.preview is not None:
            self.frame = progress.preview
        if progress.preview is not None and now - self._drawn > PICTURE_EVERY:
            self._drawn = now
            self._keep(progress.preview)
        if now - self._told >= EVERY or progress.detail or progress.done == progress.total:
            self._told = now
            self._tell(progress, now)

    def _tell(self, progress: Progress, now: float) -> None:
        fraction = max(self._fraction, self._whole(progress))
        if not self._fraction and fraction > 0.5:
            self._from, self._began = fraction, now  # it goes on from an earlier run
        self._fraction = fraction
        how_far = {
            "stage": progress.stage,
            "done": progress.done,
            "total": progress.total,
            "fraction": fraction,
        }
        self._hold(**how_far, left=self._left(progress, now))

    def note(self, text: str) -> None:
        """Takes one remark for the user; raises :class:`Stopped`."""
        self._note = text
        self.notes.append(text)
        self._hold()

    def _hold(self, **values: Any) -> None:
        held = {"note": self._note, "preview": self._pictures, **values}
        if not self._jobs.hold(self._job["id"], self._worker, **held):
            raise Stopped

    def _whole(self, progress: Progress) -> float:
        before = 0.0
        for stage, share in self._shares.items():
            if stage == progress.stage:
                return before + (share * min(1.0, progress.done / progress.total) if progress.total else 0.0)
            before += share
        return 0.0

    def _left(self, progress: Progress, now: float) -> float | None:
        """Seconds: by the speed of the stage that takes most of the time, before it by the shares."""
        stage, began, first = self._stage
        if progress.stage != stage or progress.done < first:
            self._stage = stage, began, first = progress.stage, now, progress.done
        share, done = self._shares.get(stage, 0.0), progress.done - first
        if share >= MOST and progress.total:
            if not done or now - began < SURE:
                return None
            whole = (now - began) * progress.total / done
            after = sum(list(self._shares.values())[list(self._shares).index(stage) + 1 :])
            return whole * (1 - progress.done / progress.total + after / share)
        part = self._fraction - self._from
        return None if part < 0.02 else (now - self._began) * (1 - self._fraction) / part

    def _keep(self, picture: Any) -> None:
        image = Image.fromarray(picture)
        image.thumbnail((PICTURE_SIDE, PICTURE_SIDE))
        out = io.BytesIO()
        image.save(out, "JPEG", quality=80)
        folder = self._home.take(self._job["take"])
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / "preview.jpg", out.getvalue())
        self._pictures += 1
