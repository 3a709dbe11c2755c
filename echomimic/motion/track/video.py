"""Motion borrowed from a video: the face mesh, and body and hands where wanted, frame by frame."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from echomimic.arrays import Picture
from echomimic.errors import DriverError
from echomimic.faces.body import Body, VideoBody
from echomimic.faces.detect import Face, find_faces
from echomimic.faces.geometry import POINTS
from echomimic.faces.track import FaceTracker
from echomimic.media.video import VideoReader
from echomimic.motion.face_motion import FaceMotion
from echomimic.motion.files.motion_file import Motion
from echomimic.motion.metric_face import metric_motion
from echomimic.motion.track.body_tracker import video_body
from echomimic.motion.tracks import bridge
from echomimic.progress import Progress, Report, say, silent

_EVERY = 5
# Frames at the start in which the wanted one of several faces is looked for.
_SEARCHED = 250
# What stays visible around the wanted face when all else is painted over, in sides of it: faces beside it
# must not.
_AROUND = 0.35


def extract(
    path: str | os.PathLike[str], report: Report = silent, *, face: int = 0, hands: bool = False
) -> Motion:
    """The motion of one face in a video; with `hands` also of the most visible person's body and hands.

    face: which one, 0 the largest in the first frame that shows so many. Frames without the face, and short
    moments without a hand, are bridged by interpolation; `report` is told how many. Raises DriverError when
    the file is no video or shows no such face.
    """
    video = VideoReader(os.fspath(path))
    for note in video.notes:
        say(report, note)
    bodies: list[Body] = []
    frames = _watched(video, bodies) if hands else video
    points = list(_tracked(frames, video.frames, face, report, str(path)))
    motion = _face_motion(points, video, report, _missing(str(path), face))
    if not hands:
        return Motion(face=motion)
    pose, bridged = video_body(bodies, video.fps, video.size)
    if bridged:
        say(report, f"{bridged} gaps of a frame without a hand were bridged")
    return Motion(motion, pose)


def _watched(frames: Iterable[Picture], bodies: list[Body]) -> Iterator[Picture]:
    """The same frames; what is seen of a body in each is put into `bodies` on the way."""
    tracker = VideoBody()
    for picture in frames:
        bodies.append(tracker.track(picture))
        yield picture


def _face_motion(
    points: list[npt.NDArray[np.float32] | None], video: VideoReader, report: Report, missing: str
) -> FaceMotion:
    found = np.array([frame is not None for frame in points], bool)
    if not found.any():
        raise DriverError(missing)
    track = np.stack([np.zeros((POINTS, 3), np.float32) if frame is None else frame for frame in points])
    if not found.all():
        lost = len(found) - int(found.sum())
        say(report, f"{lost} of {len(found)} frames without a face were bridged")
    track = bridge(track, found)
    poses = metric_motion(track, video.size)[1]
    return FaceMotion(track, fps=video.fps, size=video.size, found=found, pose=poses.astype(np.float32))


def _tracked(
    frames: Iterable[Picture], count: int, face: int, report: Report, name: str
) -> Iterator[npt.NDArray[np.float32] | None]:
    """The points of the wanted face in every frame, None where it is not seen."""
    tracker: FaceTracker | None = FaceTracker() if face == 0 else None
    for number, picture in enumerate(frames):
        if number % _EVERY == 0:
            report(Progress("extract", number, max(count, number)))
        if tracker is None and number < _SEARCHED:
            tracker = _tracker_of(picture, face)
        elif tracker is None:
            raise DriverError(_missing(name, face))
        found = None if tracker is None else tracker.track(picture)
        yield None if found is None else found.points


def _tracker_of(picture: Picture, face: int) -> FaceTracker | None:
    """A tracker that already follows the face of that number, or None when there are not so many."""
    faces = find_faces(picture, most=face + 1, refine=False)
    if len(faces) <= face:
        return None
    tracker = FaceTracker()
    tracker.track(_alone(picture, faces[face]))
    return tracker


def _missing(name: str, face: int) -> str:
    if face == 0:
        return f"no face was found in {name}; use a video in which a face shows from the front"
    return f"{name} shows fewer than {face + 1} faces at once; ask for face 0 to {face - 1}"


def _alone(picture: Picture, face: Face) -> Picture:
    """The picture with everything but the surroundings of one face painted grey."""
    (x0, y0), (x1, y1) = face.points[:, :2].min(0), face.points[:, :2].max(0)
    margin = _AROUND * max(x1 - x0, y1 - y0)
    left, top = max(0, int(x0 - margin)), max(0, int(y0 - margin))
    right, bottom = int(x1 + margin) + 1, int(y1 + margin) + 1
    alone = np.full_like(picture, 128)
    alone[top:bottom, left:right] = picture[top:bottom, left:right]
    return alone
