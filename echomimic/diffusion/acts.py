"""The motion that a guide draws: made from the speech, bundled, or taken over from a driver and fitted to the portrait.

All motions come out in pixels of the video and at its frame rate, so that frame i of a guide is entry i of the motion.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from echomimic.conditions import Conditions
from echomimic.diffusion.pictures import shown, target
from echomimic.errors import DriverError, NoFaceError
from echomimic.framing.crop import Rect, Size
from echomimic.motion.body_pose import BodyPose
from echomimic.motion.edit import resample, there_and_back
from echomimic.motion.face_motion import FaceMotion
from echomimic.motion.files.official_poses import OFFICIAL_FPS
from echomimic.motion.load import GENERATED, motion_from
from echomimic.motion.retarget.body import body_from_face, shoulders_seen, sync_body
from echomimic.motion.retarget.fit import sync_face
from echomimic.motion.retarget.from_performance import motion_from_performance
from echomimic.motion.speech.default_pose import default_pose
from echomimic.motion.speech.hands_from_speech import hands_from_speech
from echomimic.motion.speech.performance_from_speech import perform
from echomimic.motion.track.body import portrait_body
from echomimic.progress import Progress, Report, silent

Order = npt.NDArray[np.intp]
Points = npt.NDArray[np.float32]


def face_motion(conditions: Conditions, report: Report = silent) -> FaceMotion:
    """What V1's landmarks follow. Raises :class:`DriverError` when the driver shows no face.

    A driver's motion is transferred to the portrait's face; ``faithful`` stretches the driver's own points instead.
    """
    size, points = target(conditions), _points(conditions)
    if conditions.driver in GENERATED:
        seed = conditions.settings.seed
        performance = perform(conditions.speech, conditions.frames, conditions.fps, seed=seed, report=report)
        return motion_from_performance(performance, points, size)
    motion = motion_from(conditions.driver, report, _rate(conditions)).face
    if motion is None:
        raise DriverError(f"{conditions.driver} shows hands only; {conditions.settings.model} needs a face to follow")
    if conditions.settings.faithful:
        return motion.resized(*size)
    return sync_face(resample(motion, conditions.fps), points, size)


def hand_motion(conditions: Conditions, report: Report = silent) -> BodyPose:
    """What V2's hands follow. Raises :class:`DriverError` when the driver shows no body.

    ``auto``: the portrait's own hands, moved by the speech; ``none``: the bundled pose. A driver's body is fitted to
    the portrait's shoulders and reach; ``faithful`` takes it as it is.
    """
    size, frames, fps = target(conditions), conditions.frames, conditions.fps
    if conditions.driver == "none":
        return default_pose(frames, fps, size)
    if conditions.driver in GENERATED:
        return hands_from_speech(conditions.speech, _body(conditions), frames, fps, seed=conditions.settings.seed)
    motion = motion_from(conditions.driver, report, _rate(conditions), hands=True).body
    if motion is None:
        raise DriverError(
            f"{conditions.driver} shows no hands; {conditions.settings.model} needs a body pose to follow"
        )
    if conditions.settings.faithful:
        return motion
    motion, own = resample(motion, fps), _body(conditions)
    if shoulders_seen(motion) and shoulders_seen(own):
        return sync_body(motion, own)
    report(Progress("note", note="no shoulders were seen, so the driver's hands were not fitted to the portrait"))
    return motion.resized(*size)


def _body(conditions: Conditions) -> BodyPose:
    """The portrait's body in pixels of the video, its shoulders guessed from the face when they do not show."""
    (x0, y0, x1, y1), size = shown(conditions), target(conditions)
    scale = size[0] / (x1 - x0), size[1] / (y1 - y0)
    seen = portrait_body(conditions.picture).moved(scale, (-x0 * scale[0], -y0 * scale[1]), size)
    if shoulders_seen(seen) or conditions.face is None:
        return seen
    guessed = body_from_face(_points(conditions), size)
    return replace(guessed, hands=seen.hands, hand_score=seen.hand_score)


def order_of(motion: "FaceMotion | BodyPose", conditions: Conditions, report: Report = silent) -> Order:
    """(F,) which of the motion's frames each frame of the video shows: there and back when it is too short."""
    if len(motion) < conditions.frames:
        lasts = f"the driver lasts {motion.seconds:.1f} s, the video {conditions.seconds:.1f} s"
        report(Progress("note", note=f"{lasts}: it is played there and back"))
    return there_and_back(len(motion), conditions.frames)


def placed(points: Points, rect: Rect, size: Size) -> Points:
    """Points (…, 3) of the picture in pixels of the video, which shows ``rect`` at ``size``."""
    scale = np.array([size[0] / (rect[2] - rect[0]), size[1] / (rect[3] - rect[1])], np.float32)
    corner = np.array([rect[0], rect[1], 0], np.float32)
    return np.asarray((points - corner) * np.append(scale, scale[0]), np.float32)


def _points(conditions: Conditions) -> Points:
    """The portrait's face in the video."""
    if conditions.face is None:
        raise NoFaceError("landmarks need a face in the portrait; use a picture that shows one clearly")
    return placed(conditions.face.points, shown(conditions), target(conditions))


def _rate(conditions: Conditions) -> float:
    """Frame rate of official folders, which do not name theirs; ``faithful``: one file per frame."""
    return conditions.fps if conditions.settings.faithful else OFFICIAL_FPS
