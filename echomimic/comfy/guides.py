"""What drives a job, as pictures of the video's size: for Echo_PreviewMotion."""

from collections.abc import Iterator

import numpy as np

from echomimic.conditions import Conditions
from echomimic.media.image import Picture
from echomimic.progress import Progress, Report


def pictures(job: Conditions, report: Report) -> Iterator[Picture]:
    """One (H, W, 3) uint8 drawing per frame."""
    for done, picture in enumerate(_drawn(job, report), 1):
        report(Progress("rendering", done, job.frames, preview=picture))
        yield picture


def _drawn(job: Conditions, report: Report) -> Iterator[Picture]:
    if job.settings.variant.engine == "preview":
        return _landmarks(job, report)
    from echomimic.diffusion.guides import guide_pictures

    return guide_pictures(job)


def _landmarks(job: Conditions, report: Report) -> Iterator[Picture]:
    """The whole face's lines as the preview will move them, the lips included."""
    from echomimic.driving import performance
    from echomimic.motion.draw.guide_maps import face_map
    from echomimic.motion.retarget.from_performance import motion_from_performance
    from echomimic.preview.engine import moved

    assert job.face is not None
    view = job.view
    size = (view.right - view.left, view.bottom - view.top)
    face = moved(job.face, -view.left, -view.top)
    motion = motion_from_performance(performance(job, report), face.points, size)
    across, down = view.scale
    stretch = np.array([across, down, across], np.float32)
    for points in motion.points[: job.frames]:
        yield face_map(points * stretch, view.size, draw_mouth=True, draw_iris=True, draw_oval=True)
