"""The node's progress bar: one bar for the whole job, preview pictures, and the place where an interruption lands."""

import time
from typing import Any

from echomimic.progress import Progress

UNITS = 1000
_LAST = "rendering"
_BEFORE = 0.1
"""Part of the bar for everything before the first frame."""
_PREVIEW_SIDE = 512
_PREVIEW_SECONDS = 0.5


class Bar:
    """A :data:`~echomimic.progress.Report` that never runs backwards and raises where the user interrupted."""

    def __init__(self) -> None:
        import comfy.model_management
        import comfy.utils

        self._check = comfy.model_management.throw_exception_if_processing_interrupted
        self._bar = comfy.utils.ProgressBar(UNITS)
        self._shown, self._pictured = -1, 0.0

    def __call__(self, progress: Progress) -> None:
        self._check()
        done = max(self._shown, int(UNITS * self._part(progress)), 1)
        preview = self._preview(progress.preview)
        if done != self._shown or preview is not None:
            self._shown = done
            self._bar.update_absolute(done, UNITS, preview)

    def _part(self, progress: Progress) -> float:
        """How much of the whole job is done, 0…1."""
        within = progress.done / progress.total if progress.total else 0.0
        if progress.stage == _LAST:
            return _BEFORE + (1.0 - _BEFORE) * within
        left = max(0.0, _BEFORE - max(self._shown, 0) / UNITS)
        return max(self._shown, 0) / UNITS + (0.3 * left if within >= 1.0 else 0.0)

    def _preview(self, frame: Any) -> Any:
        """The newest frame as the server wants it, at most twice a second."""
        now = time.monotonic()
        if frame is None or now - self._pictured < _PREVIEW_SECONDS:
            return None
        from PIL import Image

        self._pictured = now
        return ("JPEG", Image.fromarray(frame), _PREVIEW_SIDE)
