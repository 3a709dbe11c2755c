"""Hands from speech: a portrait's own hands, moved by the rhythm of what is said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from echomimic.arrays import Doubles
from echomimic.motion.body_pose import L_ELBOW, L_SHOULDER, R_ELBOW, R_SHOULDER, BodyPose
from echomimic.motion.retarget.body_fit import ARMS, SEEN, Arms, arms_of, hands_seen
from echomimic.motion.speech import log_mel as mel
from echomimic.motion.speech.gestures import beats_in, gestures, pose_hands
from echomimic.motion.speech.performance_from_speech import frame_energy
from echomimic.motion.tracks import at_times
from echomimic.option import check_number

GESTURES = (0.0, 10.0)
"""How far hands may be asked to move: still, and ten times the natural amount."""

# Log power of the loudest columns below which a recording holds no sound at all.
_NOTHING_SAID = -12.0
# An elbow goes along with its wrist by this share, until the arm is stretched.
_ELBOW_FOLLOWS = 0.4
# An arm is never quite straight.
_STRETCH = 0.98


def hands_from_speech(
    speech: mel.Sound,
    portrait: BodyPose,
    frames: int,
    fps: float,
    *,
    seed: int = 0,
    strength: float = 1.0,
) -> BodyPose:
    """The portrait's body with hands that beat on stressed syllables and rest in silence.

    portrait: a pose of one frame or more, the first is used; hands that are not in it stay absent. `strength`
    scales the gestures, 0 keeps the hands still. Wrists stay within the portrait's arm reach. Equal inputs
    and seed give equal values.
    """
    strength = check_number("gestures", strength, *GESTURES)
    one = portrait[:1]
    still = one[np.zeros(frames, np.intp)]
    still = replace(still, fps=fps)
    present = hands_seen(one)[0]
    if not present.any():
        return replace(still, hands=np.zeros_like(still.hands), hand_score=np.zeros_like(still.hand_score))
    energy = _energy(speech, frames, fps)
    rate = np.arange(frames, dtype=np.float64) * (mel.FRAME_RATE / fps)
    activity = np.asarray(at_times(energy > mel.SPEAKING, rate), np.float64)
    channels = strength * gestures(activity, beats_in(energy, mel.FRAME_RATE), fps, seed)
    arms = _arms(one)
    hands = pose_hands(one.hands[0], channels, arms.width)
    hands += _held_back(hands[:, :, 0], arms)[:, :, None]
    hands[:, ~present] = 0.0
    return replace(still, hands=hands, body=_following(still.body, hands, present))


def unseen_hands(portrait: BodyPose) -> str:
    """What to tell the user of hands that the portrait's first frame does not show; empty when both are
    seen."""
    seen = hands_seen(portrait[:1])[0]
    if seen.all():
        return ""
    which = "neither hand" if not seen.any() else f"only the {'left' if seen[0] else 'right'} hand"
    return (
        f"{which} is seen in the portrait, and what is not seen does not move; use a picture that shows both"
    )


def _energy(speech: mel.Sound, frames: int, fps: float) -> npt.NDArray[np.float32]:
    steps = int(np.ceil(frames * mel.FRAME_RATE / fps)) + 1
    level = mel.measure(speech)
    if level.peak < _NOTHING_SAID:
        return np.zeros(steps, np.float32)
    return frame_energy(speech, steps, level)


def _arms(one: BodyPose) -> Arms:
    """The portrait's arms; guessed from its hands when its shoulders are not seen."""
    if (one.body_score[0, [L_SHOULDER, R_SHOULDER]] > SEEN).all():
        return arms_of(one)
    unit = 4.0 * float(np.linalg.norm(one.hands[0, :, 9] - one.hands[0, :, 0], axis=1).max())
    return Arms(one.hands[0, :, 0] - [0.0, unit], np.full((2, 2), unit))


def _held_back(wrists: Doubles, arms: Arms) -> Doubles:
    """(F, 2, 2) what brings wrists (F, 2, 2) back into the reach of their arms."""
    out = wrists - arms.shoulders
    far = np.linalg.norm(out, axis=-1, keepdims=True)
    share = np.minimum(1.0, _STRETCH * arms.reach[:, None] / np.maximum(far, 1e-9))
    return np.asarray(out * (share - 1.0))


def _following(body: Doubles, hands: Doubles, present: npt.NDArray[np.bool_]) -> Doubles:
    """Wrists go with the hands, elbows follow part of the way."""
    moved: Doubles = body.copy()
    for side, (_, elbow, wrist) in enumerate(ARMS):
        if present[side]:
            shift = hands[:, side, 0] - hands[0, side, 0]
            moved[:, elbow] += _ELBOW_FOLLOWS * shift
            moved[:, wrist] = hands[:, side, 0]
    assert {L_ELBOW, R_ELBOW} == {arm[1] for arm in ARMS}
    return moved
