"""A take of the preview, ready to be drawn as a whole or in part."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from echomimic.conditions import Conditions
from echomimic.driving import performance
from echomimic.errors import OutputError
from echomimic.flow import label_for, video_shape
from echomimic.media.editable import EditableWriter, Span, replace_frames
from echomimic.media.image import Picture
from echomimic.media.output import write_whole
from echomimic.motion.files.performance_file import read_performance, write_performance
from echomimic.motion.performance import Performance
from echomimic.motion.region import frame_keys, spans_of
from echomimic.preview.acting import talking_track
from echomimic.preview.engine import rendered, renderer_for
from echomimic.preview.renderer import PreviewRenderer
from echomimic.progress import Progress, Report
from echomimic.provenance.marks import marks_for
from echomimic.provenance.seal import seal_for
from echomimic.studio.sources import PERFORMANCE

VIDEO, PLAYING, KEYS, SCENE_POINTS, THUMB = "video.mp4", "playing.mp4", "keys.npy", "points.npy", "thumb.jpg"
THUMB_SIDE = 320
UNKNOWN = np.uint64(0)
"""The key of a frame that may be anything."""
Keys = npt.NDArray[np.uint64]


@dataclass(eq=False)
class TakeScene:
    """The conditions of a take, its portrait ready to move, and its performance before edits."""

    job: Conditions
    renderer: PreviewRenderer
    base: Performance


def prepare_scene(job: Conditions, folder: Path, report: Report) -> TakeScene:
    """Reads the take's performance, or makes and keeps it."""
    kept = folder / PERFORMANCE
    if kept.is_file() and len(base := read_performance(kept)) == job.frames:
        return TakeScene(job, renderer_for(job), base)
    base = performance(job, report)
    report(Progress("preparing", 0, 1))
    scene = TakeScene(job, renderer_for(job), base)
    assert job.face is not None
    _save(folder / SCENE_POINTS, job.view.to_video(job.face.points))
    write_performance(kept, base)
    return scene


def draw_all(scene: TakeScene, acted: Performance, folder: Path, report: Report) -> None:
    """Renders the take as a whole; it can be played while it grows."""
    writes = EditableWriter(folder / VIDEO, video_shape(scene.job), scene.job.speech, folder / PLAYING)
    writes.seal = _seal(scene, folder)
    with writes as writer:
        for number, frame in enumerate(_drawn(scene, acted, range(scene.job.frames), report)):
            writer.add(frame)
            if number == scene.job.frames // 3:
                keep_thumb(frame, folder)
    _save(folder / KEYS, keys_of(acted))


def draw_changes(scene: TakeScene, acted: Performance, folder: Path, report: Report) -> list[Span]:
    """Renders only what differs from the video that is there; the frames that were drawn."""
    keys, wanted = np.load(folder / KEYS), keys_of(acted)
    changed = keys != wanted
    if not changed.any():
        return []
    _save(folder / KEYS, np.where(changed, UNKNOWN, wanted))
    count = int(changed.sum())

    def draw(frames: range) -> Iterator[Picture]:
        return _drawn(scene, acted, frames, report, max(count, len(frames)))

    drawn = replace_frames(
        folder / VIDEO, video_shape(scene.job), spans_of(changed), draw, _seal(scene, folder)
    )
    _save(folder / KEYS, wanted)
    return drawn


def _seal(scene: TakeScene, folder: Path) -> Callable[[Path], None]:
    """Marks and signs a finished file, as for every video of the package."""
    return seal_for(scene.job, marks_for(scene.job), folder / VIDEO, overwrite=True)


def can_change(folder: Path, frames: int) -> bool:
    """Whether there is a video of so many frames whose frames are known."""
    if not (folder / VIDEO).is_file() or not (folder / KEYS).is_file():
        return False
    try:
        return len(np.load(folder / KEYS)) == frames
    except (OSError, ValueError):
        return False


def redraw(scene: TakeScene, acted: Performance, folder: Path, report: Report) -> list[Span]:
    """What differs, or everything where that cannot be told or the encoder is another one."""
    if can_change(folder, scene.job.frames):
        try:
            return draw_changes(scene, acted, folder, report)
        except OutputError as error:
            if "as a whole" not in str(error):
                raise
    draw_all(scene, acted, folder, report)
    return [(0, scene.job.frames)]


def keys_of(acted: Performance) -> Keys:
    """(F,) what each frame shows, as a number."""
    keys = frame_keys(acted, [talking_track(acted)])
    return np.asarray(np.maximum(keys, np.uint64(1)))


def _drawn(
    scene: TakeScene, acted: Performance, frames: range, report: Report, total: int | None = None
) -> Iterator[Picture]:
    canvas, label = scene.job.canvas, label_for(scene.job)
    for done, frame in enumerate(rendered(scene.renderer, acted, frames), 1):
        report(Progress("rendering", done, total or len(frames), preview=frame))
        whole = scene.job.view.paste(frame, canvas) if canvas is not None else frame
        yield label.draw(whole, frames[done - 1]) if label else whole


def keep_thumb(frame: Picture, folder: Path) -> None:
    """A small picture of the take."""
    image = Image.fromarray(frame)
    image.thumbnail((THUMB_SIDE, THUMB_SIDE))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=85)
    write_whole(folder / THUMB, out.getvalue())


def _save(path: Path, array: npt.NDArray[np.generic]) -> None:
    out = io.BytesIO()
    np.save(out, array)
    write_whole(path, out.getvalue())
