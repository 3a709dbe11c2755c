"""The preview as an engine: conditions in, frames out, on two threads, a few frames ahead of the reader."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from echomimic.conditions import Conditions
from echomimic.driving import performance
from echomimic.errors import NoFaceError
from echomimic.faces.detect import Face
from echomimic.media.image import resize
from echomimic.motion.performance import Performance
from echomimic.preview.mesh.warp import Pixels
from echomimic.preview.renderer import PreviewRenderer
from echomimic.progress import Progress, Report, silent

MASK_SIDE = 2048
THREADS = 2
AHEAD = 4
"""Frames in flight: enough to keep the threads busy, few enough to keep memory flat."""


class PreviewEngine:
    """Renders a portrait on the CPU; see :class:`echomimic.engine.Engine`."""

    def frames(self, conditions: Conditions, report: Report = silent) -> Generator[Pixels, None, None]:
        """Exactly ``conditions.frames`` pictures; raises :class:`NoFaceError` without a face."""
        acted = performance(conditions, report)
        report(Progress("preparing", 0, 1))
        renderer = renderer_for(conditions)
        report(Progress("preparing", 1, 1))
        yield from rendered(renderer, acted, conditions.frames)

    def finished(self, conditions: Conditions) -> None:
        """Nothing was kept."""


def renderer_for(conditions: Conditions) -> PreviewRenderer:
    """The portrait of ``conditions``, ready to render."""
    if conditions.face is None:
        raise NoFaceError("the preview needs a face; use a picture that shows one clearly, from the front")
    view, face = conditions.view, moved(conditions.face, -conditions.view.left, -conditions.view.top)
    mask = mask_for(conditions, conditions.face)
    return PreviewRenderer(view.cut(conditions.picture), face, mask, *view.size)


def mask_for(conditions: Conditions, face: Face) -> NDArray[np.float32]:
    """Where the person is in the shown part, (h, w) 0…1; finer than ``MASK_SIDE`` a large picture is not looked at."""
    from echomimic.faces.segment import person_mask

    picture, view = conditions.picture, conditions.view
    scale = min(1.0, MASK_SIDE / max(picture.shape[:2]))
    small = resize(picture, round(picture.shape[1] * scale), round(picture.shape[0] * scale))
    mask = person_mask(small, face.points * np.float32(scale))
    top, bottom, left, right = (round(edge * scale) for edge in (view.top, view.bottom, view.left, view.right))
    return mask[top:bottom, left:right]


def moved(face: Face, x: float, y: float) -> Face:
    """The same face in a picture whose corner lies elsewhere."""
    left, top, right, bottom = face.box
    points = face.points + np.array([x, y, 0], np.float32)
    return replace(face, points=points, box=(left + x, top + y, right + x, bottom + y))


def rendered(renderer: PreviewRenderer, acted: Performance, count: int) -> Generator[Pixels, None, None]:
    """The first `count` frames of `acted`, in order. Closing it cancels what was not yet drawn.

    OpenCV's own threads are off meanwhile, for the whole process: they would fight with ours. At the end they are back.
    """
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    waiting: deque[Future[Pixels]] = deque()
    pool = ThreadPoolExecutor(THREADS, thread_name_prefix="preview")
    try:
        for i in range(count):
            waiting.append(pool.submit(renderer.render, acted, i))
            if len(waiting) >= AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        cv2.setNumThreads(before)
