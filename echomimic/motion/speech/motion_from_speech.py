"""Motion generated from the speech alone: lips, jaw, brows, blinks and head for V1, hands for V2."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from echomimic.media.audio import RATE
from echomimic.motion.body_pose import BodyPose
from echomimic.motion.files.motion_file import Motion
from echomimic.motion.retarget.from_performance import motion_from_performance
from echomimic.motion.speech.hands_from_speech import hands_from_speech, unseen_hands
from echomimic.motion.speech.log_mel import Sound
from echomimic.motion.speech.performance_from_speech import perform
from echomimic.progress import Report, say, silent


def speak(
    speech: Sound,
    points: npt.NDArray[np.float32],
    size: tuple[int, int],
    *,
    frames: int | None = None,
    fps: float = 25.0,
    seed: int = 0,
    expressiveness: float = 1.0,
    head_motion: float = 1.0,
    blink_rate: float = 1.0,
    gaze: float = 1.0,
    body: BodyPose | None = None,
    gestures: float = 1.0,
    report: Report = silent,
) -> Motion:
    """The motion of a portrait that says `speech`.

    points: (478, 3) of the portrait in pixels of `size`. frames: as long as the speech when not given. The
    strengths are those of `perform`: 0 off, 1 natural, 2 the most. body: the portrait's body and hands;
    then the motion has hands too, moved by `gestures` times the natural amount, hands that are not in it stay
    empty, and `report` is told. Equal inputs and seed give equal motion.
    """
    count = frames or max(1, math.ceil(speech.samples / RATE * fps))
    performance = perform(
        speech,
        count,
        fps,
        seed=seed,
        expressiveness=expressiveness,
        head_motion=head_motion,
        blink_rate=blink_rate,
        gaze=gaze,
        report=report,
    )
    face = motion_from_performance(performance, points, size)
    if body is None:
        return Motion(face=face)
    if remark := unseen_hands(body):
        say(report, remark)
    return Motion(face, hands_from_speech(speech, body, count, fps, seed=seed, strength=gestures))
