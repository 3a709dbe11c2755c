"""What the head does in the preview: made from the speech, or taken over from a driver."""

from __future__ import annotations

from dataclasses import replace

from echomimic.conditions import Conditions
from echomimic.errors import DriverError
from echomimic.motion.edit import loop, resample
from echomimic.motion.load import GENERATED, motion_from
from echomimic.motion.performance import Performance
from echomimic.motion.retarget.to_performance import performance_from_motion
from echomimic.motion.speech.performance_from_speech import perform
from echomimic.progress import Progress, Report


def performance_for(conditions: Conditions, report: Report) -> Performance:
    """As long as the video; raises :class:`DriverError` when the driver cannot be used."""
    if conditions.driver in GENERATED:
        return _spoken(conditions, report)
    driven = _driven(conditions, report)
    if conditions.settings.lips == "driver":
        return driven
    spoken = _spoken(conditions, report)
    return replace(driven, expression=spoken.expression, basis=spoken.basis)


def _spoken(conditions: Conditions, report: Report) -> Performance:
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
        report=report,
    )


def _driven(conditions: Conditions, report: Report) -> Performance:
    """The driver's performance, looped there and back to the length, at the strengths of the settings."""
    face = motion_from(conditions.driver, report).face
    if face is None:
        raise DriverError(f"{conditions.driver} shows a body without a face; the preview needs a face to follow")
    face = resample(face, conditions.fps)
    if len(face) < conditions.frames:
        lasts = f"the driver lasts {face.seconds:.1f} s, the video {conditions.seconds:.1f} s"
        report(Progress("note", note=f"{lasts}: it is played there and back"))
    points = None if conditions.face is None else conditions.face.points
    done = performance_from_motion(loop(face, conditions.frames), points)
    settings = conditions.settings
    return replace(
        done,
        expression=done.expression * settings.expressiveness,
        brow=done.brow * settings.expressiveness,
        rotation=done.rotation * settings.head_motion,
        translation=done.translation * settings.head_motion,
        body=done.body * settings.head_motion,
        blink=done.blink * min(1.0, settings.blink_rate),
        gaze=done.gaze * settings.gaze,
    )
