"""The node's progress bar: one bar for the whole job, preview pictures,
and the place where an interruption lands."""

import logging
import time
from collections.abc import Iterable
from typing import Any

from echomimic.progress import Progress, Stage

_LOG = logging.getLogger(__package__)

# The server's bar counts whole steps; so many are finer than it is wide.
_UNITS = 1000
# How far the bar is when the stages that take long are done.
_ENDS: dict[Stage, float] = {"weights": 1.0, "denoising": 0.9, "rendering": 1.0}
# What any other stage gets of it.
_SHORT = 0.02
# What the server's own samplers send, and not more often than the page can draw.
_PREVIEW_SIDE = 512
_PREVIEW_SECONDS = 0.5


class NodeBar:
    """A :data:`~echomimic.progress.Report` that never runs backwards; notes go to the log and are kept in
    ``notes``.

    It raises the server's own exception where the user interrupted.
    """

    def __init__(self, notes: Iterable[str] = ()) -> None:
        import comfy.model_management
        import comfy.utils

        self._check = comfy.model_management.throw_exception_if_processing_interrupted
        self._bar = comfy.utils.ProgressBar(_UNITS)
        self._shown, self._pictured = 0, 0.0
        self._stage: Stage | None = None
        self._start = 0.0
        self._share, self._whole = 0, 1
        self.notes = list(notes)

    def __call__(self, progress: Progress) -> None:
        self._check()
        done = max(self._shown, round(_UNITS * (self._share + self._part(progress)) / self._whole), 1)
        preview = self._preview(progress.preview)
        if done != self._shown or preview is not None:
            self._shown = done
            self._bar.update_absolute(done, _UNITS, preview)

    def note(self, text: str) -> None:
        """A remark for the user goes to the server's log, and is kept for the node; none twice."""
        if text not in self.notes:
            _LOG.info("%s", text)
            self.notes.append(text)

    def begin(self, job: int, jobs: int) -> None:
        """The bar is that of ``jobs`` jobs, and number ``job`` of them begins."""
        self._check()
        self._share, self._whole, self._stage = job, jobs, None

    def _part(self, progress: Progress) -> float:
        """How much of the job at hand is done, 0…1."""
        if progress.stage != self._stage:
            self._stage, self._start = (
                progress.stage,
                max(0.0, self._shown / _UNITS * self._whole - self._share),
            )
        end = max(self._start, _ENDS.get(progress.stage, min(self._start + _SHORT, 0.1)))
        return self._start + (end - self._start) * (progress.done / progress.total if progress.total else 0.0)

    def _preview(self, frame: Any) -> Any:
        """The newest frame as the server wants it, at most twice a second."""
        now = time.monotonic()
        if frame is None or now - self._pictured < _PREVIEW_SECONDS:
            return None
        from PIL import Image

        self._pictured = now
        return ("JPEG", Image.fromarray(frame), _PREVIEW_SIDE)
