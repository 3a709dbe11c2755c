"""What V2's hands follow: the speech, the bundled pose, or a driver's body fitted to the portrait's."""

from __future__ import annotations

from dataclasses import replace

from echomimic.conditions import Conditions
from echomimic.driving.face import portrait_points
from echomimic.driving.timing import at_rate, to_length
from echomimic.errors import DriverError
from echomimic.motion.body_pose import BodyPose
from echomimic.motion.retarget.body_fit import body_from_face, shoulders_seen, sync_body
from echomimic.motion.speech.default_pose import default_pose
from echomimic.motion.speech.hands_from_speech import hands_from_speech, unseen_hands
from echomimic.motion.track.body_tracker import portrait_body
from echomimic.progress import Report, say, silent


def hands(conditions: Conditions, report: Report = silent, frames: range | None = None) -> BodyPose:
    """What V2's hand maps draw in ``frames`` (the whole video when None), in pixels of the video.

    ``auto``: the portrait's own hands, moved by the speech; ``none``: the bundled pose. A driver's body is
    fitted to the portrait's shoulders and reach; ``faithful`` takes it as it is. Raises :class:`DriverError`
    when the driver shows no body.
    """
    whole = to_length(_whole(conditions, report), conditions, report)
    return whole if frames is None else whole[frames.start : frames.stop]


def _whole(conditions: Conditions, report: Report) -> BodyPose:
    size, count, fps = conditions.view.size, conditions.frames, conditions.fps
    if conditions.driver.name == "none":
        return default_pose(count, fps, size)
    if conditions.driver.generated:
        own = portrait_pose(conditions)
        if remark := unseen_hands(own):
            say(report, remark)
        return hands_from_speech(conditions.speech, own, count, fps, seed=conditions.settings.seed)
    body = at_rate(_driver_body(conditions, report), conditions)
    return body if conditions.settings.faithful else _fitted(body, conditions, report)


def _driver_body(conditions: Conditions, report: Report) -> BodyPose:
    body = conditions.driver.motion(report).body
    if body is None:
        named = f"{conditions.driver.name} shows no hands"
        raise DriverError(
            f"{named}; {conditions.settings.model} needs a body pose to follow; give one, or auto"
        )
    return body


def _fitted(body: BodyPose, conditions: Conditions, report: Report) -> BodyPose:
    own = portrait_pose(conditions)
    if shoulders_seen(body) and shoulders_seen(own):
        return sync_body(body, own)
    say(report, "no shoulders were seen, so the driver's hands were not fitted to the portrait")
    return body.resized(*conditions.view.size)


def portrait_pose(conditions: Conditions) -> BodyPose:
    """The portrait's body in pixels of the video, its shoulders guessed from the face
    when they do not show."""
    view = conditions.view
    shift = -view.left * view.scale[0], -view.top * view.scale[1]
    seen = portrait_body(conditions.picture).moved(view.scale, shift, view.size)
    if shoulders_seen(seen) or conditions.face is None:
        return seen
    guessed = body_from_face(portrait_points(conditions), view.size)
    return replace(guessed, hands=seen.hands, hand_score=seen.hand_score)
