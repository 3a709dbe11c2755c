"""The preview as an engine: conditions in, frames out, on two threads, a few frames ahead of the reader."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from threading import Lock
from weakref import WeakKeyDictionary

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
from echomimic.request import Settings

MASK_SIDE = 2048
THREADS = 2
# Frames in flight: enough to keep the threads busy, few enough to keep memory flat.
_AHEAD = 4


class PreviewEngine:
    """Renders a portrait on the CPU; see :class:`echomimic.engine.Engine`.

    What it worked out about a portrait and its performance is kept for as long as the conditions are, so that
    another range of the same video starts at once. ``threads`` draw side by side; their number changes no
    picture.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings, self.threads = settings or Settings(), THREADS
        self._ready: WeakKeyDictionary[Conditions, tuple[PreviewRenderer, Performance]] = WeakKeyDictionary()

    def frames(
        self, conditions: Conditions, report: Report = silent, frames: range | None = None
    ) -> Generator[Pixels, None, None]:
        """The pictures numbered ``frames``, all when None; raises :class:`NoFaceError` without a face."""
        renderer, acted = self._ready.get(conditions) or self._prepare(conditions, report)
        wanted = range(conditions.frames) if frames is None else frames
        yield from rendered(renderer, acted, wanted, self.threads)

    def _prepare(self, conditions: Conditions, report: Report) -> tuple[PreviewRenderer, Performance]:
        # The portrait waits for nothing that is heard, nor the speech for anything that is seen.
        with ThreadPoolExecutor(1, thread_name_prefix="portrait") as beside:
            portrait = beside.submit(renderer_for, conditions)
            acted = performance(conditions, report)
            report(Progress("preparing", 0, 1))
            self._ready[conditions] = portrait.result(), acted
        report(Progress("preparing", 1, 1))
        return self._ready[conditions]

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
    """Where the person is in the shown part, (h, w) 0…1;
    finer than ``MASK_SIDE`` a large picture is not looked at."""
    from echomimic.faces.segment import person_mask

    picture, view = conditions.picture, conditions.view
    scale = min(1.0, MASK_SIDE / max(picture.shape[:2]))
    small = resize(picture, round(picture.shape[1] * scale), round(picture.shape[0] * scale))
    mask = person_mask(small, face.points * np.float32(scale))
    top, bottom, left, right = (
        round(edge * scale) for edge in (view.top, view.bottom, view.left, view.right)
    )
    return mask[top:bottom, left:right]


def moved(face: Face, x: float, y: float) -> Face:
    """The same face in a picture whose corner lies elsewhere."""
    left, top, right, bottom = face.box
    points = face.points + np.array([x, y, 0], np.float32)
    return replace(face, points=points, box=(left + x, top + y, right + x, bottom + y))


def rendered(
    renderer: PreviewRenderer, acted: Performance, frames: range, threads: int = THREADS
) -> Generator[Pixels, None, None]:
    """Those `frames` of `acted`, in order. Closing it cancels what was not yet drawn."""
    waiting: deque[Future[Pixels]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="preview")
    with OPENCV_ALONE:
        try:
            for i in frames:
                waiting.append(pool.submit(renderer.render, acted, i))
                if len(waiting) >= _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


class _OneThread:
    """OpenCV's own threads are off while anybody renders: they would fight with ours.

    OpenCV knows one number for the whole process, so it is counted who is inside; the last one out puts it
    back.
    """

    def __init__(self) -> None:
        self._lock, self._inside, self._before = Lock(), 0, 0

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._before = cv2.getNumThreads()
                cv2.setNumThreads(1)
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                cv2.setNumThreads(self._before)


OPENCV_ALONE = _OneThread()
