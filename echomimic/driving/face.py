"""What a face follows: a performance for the preview, landmarks for V1.

Either is generated from the speech, or taken over from a driver and fitted to the portrait's face.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from echomimic.conditions import Conditions
from echomimic.driving.timing import at_rate, to_length
from echomimic.errors import DriverError, NoFaceError
from echomimic.motion.face_motion import FaceMotion
from echomimic.motion.performance import Performance
from echomimic.motion.retarget.fit import sync_face
from echomimic.motion.retarget.from_performance import motion_from_performance
from echomimic.motion.retarget.to_performance import performance_from_motion
from echomimic.motion.speech.performance_from_speech import perform
from echomimic.progress import Report, silent


def performance(conditions: Conditions, report: Report = silent, frames: range | None = None) -> Performance:
    """What the preview acts out in ``frames`` (the whole video when None), at the strengths of the settings.

    Raises :class:`DriverError` when the driver cannot be used.
    """
    whole = _spoken(conditions, report) if conditions.driver.generated else _driven(conditions, report)
    return whole if frames is None else whole[frames.start : frames.stop]


def landmarks(conditions: Conditions, report: Report = silent, frames: range | None = None) -> FaceMotion:
    """What V1's landmark maps draw in ``frames`` (the whole video when None), in pixels of the video.

    A driver's motion is transferred to the portrait's face; ``faithful`` stretches the driver's own points
    instead.
    Raises :class:`DriverError` when the driver shows no face, :class:`NoFaceError` when the portrait shows
    none.
    """
    size, points = conditions.view.size, portrait_points(conditions)
    if conditions.driver.generated:
        seed = conditions.settings.seed
        spoken = perform(conditions.speech, conditions.frames, conditions.fps, seed=seed, report=report)
        whole = motion_from_performance(spoken, points, size)
    else:
        face = at_rate(_driver_face(conditions, report), conditions)
        fitted = face.resized(*size) if conditions.settings.faithful else sync_face(face, points, size)
        whole = to_length(fitted, conditions, report)
    return whole if frames is None else whole[frames.start : frames.stop]


def portrait_points(conditions: Conditions) -> npt.NDArray[np.float32]:
    """(478, 3) the portrait's face in pixels of the video. Raises :class:`NoFaceError`."""
    if conditions.face is None:
        raise NoFaceError("landmarks need a face in the portrait; use a picture that shows one clearly")
    return conditions.view.to_video(conditions.face.points)


def _driver_face(conditions: Conditions, report: Report) -> FaceMotion:
    face = conditions.driver.motion(report).face
    if face is None:
        named = f"{conditions.driver.name} shows a body without a face"
        raise DriverError(f"{named}; {conditions.settings.model} needs a face to follow; give one, or auto")
    return face


def _spoken(conditions: Conditions, report: Report) -> Performance:
    """The performance that the speech alone gives."""
    settings = conditions.settings
    return perform(
        conditions.speech,
        conditions.frames,
        conditions.fps,
        seed=settings.seed,
        expressiveness=settings.expressiveness,
        head_motion=settings.head_motion,
        blink_rate=settings.blink_rate,
        gaze=settings.gaze,
        style=settings.style,
        report=report,
    )


def _driven(conditions: Conditions, report: Report) -> Performance:
    """The driver's performance, the lips from the speech where that is wanted."""
    face = to_length(at_rate(_driver_face(conditions, report), conditions), conditions, report)
    points = None if conditions.face is None else conditions.face.points
    driven = _scaled(performance_from_motion(face, points), conditions)
    if conditions.settings.lips == "driver":
        return driven
    spoken = _spoken(conditions, report)
    return replace(driven, expression=spoken.expression, basis=spoken.basis)


def _scaled(given: Performance, conditions: Conditions) -> Performance:
    """A driver's performance at the strengths of the settings; blinks can be weakened, not added."""
    settings = conditions.settings
    return replace(
        given,
        expression=given.expression * settings.expressiveness,
        brow=given.brow * settings.expressiveness,
        rotation=given.rotation * settings.head_motion,
        translation=given.translation * settings.head_motion,
        body=given.body * settings.head_motion,
        blink=given.blink * min(1.0, settings.blink_rate),
        gaze=given.gaze * settings.gaze,
    )
