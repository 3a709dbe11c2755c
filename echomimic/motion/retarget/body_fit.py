"""V2's synchronisation: a driver's body and hands fitted to a portrait, limb by limb.

Shoulders stand as far apart as the portrait's, every limb keeps the driver's direction and foreshortening and
gets the portrait's length, hands are moved rigidly. So wrists never leave the reach of the portrait's arms.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from echomimic.arrays import Doubles
from echomimic.errors import DriverError
from echomimic.motion.body_pose import (
    BODY,
    HAND,
    L_ELBOW,
    L_SHOULDER,
    L_WRIST,
    NECK,
    R_ELBOW,
    R_SHOULDER,
    R_WRIST,
    BodyPose,
    empty,
)
from echomimic.motion.tracks import bridge

# DWPose's own threshold: its drawing leaves points of a lower score away.
SEEN = 0.3
ARMS = ((L_SHOULDER, L_ELBOW, L_WRIST), (R_SHOULDER, R_ELBOW, R_WRIST))
"""Shoulder, elbow and wrist of the left and of the right arm, in the order of a pose's hands."""
_LIMBS = frozenset({L_SHOULDER, L_ELBOW, L_WRIST, R_SHOULDER, R_ELBOW, R_WRIST, NECK})
_UPPER, _FORE = 0.85, 0.75
"""Length of upper arm and forearm in shoulder widths
(biacromial 0.37 m, segments after Winter 2009, Fig. 4.1)."""
# An elbow seen in fewer frames than this share is laid on the line from shoulder to wrist: little seen is
# mostly wrong.
_OFTEN = 0.1


@dataclass(frozen=True)
class Arms:
    """A person's shoulders and arms in one picture, left then right.

    shoulders: (2, 2) pixels. lengths: (2, 2) pixels of upper arm and forearm when stretched out in the
    picture.
    """

    shoulders: Doubles
    lengths: Doubles

    @property
    def width(self) -> float:
        """Distance of the shoulders."""
        return float(np.linalg.norm(self.shoulders[0] - self.shoulders[1]))

    @property
    def reach(self) -> Doubles:
        """(2,) how far each wrist can be from its shoulder."""
        return np.asarray(self.lengths.sum(1))


def arms_of(pose: BodyPose) -> Arms:
    """Shoulders (median over the frames) and arm lengths of a pose. Raises DriverError when no shoulders are
    in it.

    An arm is at least as long as a mean person's with these shoulders: a bent arm shows less than its length.
    """
    seen = _both_shoulders(pose)
    if not seen.any():
        raise DriverError(
            "no shoulders are in the body pose; use a picture or video in which both shoulders show"
        )
    shoulders = np.median(pose.body[seen][:, [L_SHOULDER, R_SHOULDER]], axis=0)
    width = float(
        np.median(np.linalg.norm(pose.body[seen, L_SHOULDER] - pose.body[seen, R_SHOULDER], axis=1))
    )
    if width < 1:
        raise DriverError(
            "the shoulders of the body pose lie on one point; use a picture seen from the front"
        )
    lengths = [[_longest(pose, a, b, share * width) for a, b, share in _segments(arm)] for arm in ARMS]
    return Arms(shoulders, np.array(lengths))


def shoulders_seen(pose: BodyPose) -> bool:
    """Whether both shoulders show in any frame, which `arms_of` needs."""
    return bool(_both_shoulders(pose).any())


def _both_shoulders(pose: BodyPose) -> npt.NDArray[np.bool_]:
    return np.asarray(np.all(pose.body_score[:, [L_SHOULDER, R_SHOULDER]] > SEEN, axis=1))


def sync_body(motion: BodyPose, portrait: BodyPose) -> BodyPose:
    """`motion` fitted to the person of `portrait` (a pose of one frame or more), in the portrait's picture.

    Raises DriverError when the shoulders of either are not seen.
    """
    own, driver = arms_of(portrait), arms_of(motion)
    scale = own.width / driver.width
    torso = _Torso.of(motion, own, scale)
    body = torso.retarget(motion.body, portrait)
    hands = np.zeros_like(motion.hands)
    for side, arm in enumerate(ARMS):
        joints = _arm(motion, side, driver, own, torso.shoulders[:, side])
        body[:, arm[0]], body[:, arm[1]], body[:, arm[2]] = (
            torso.shoulders[:, side],
            joints[:, 0],
            joints[:, 1],
        )
        local = motion.hands[:, side] - motion.hands[:, side, :1]
        hands[:, side] = joints[:, 1][:, None] + scale * local
    hands[~hands_seen(motion)] = 0.0
    face = None if motion.face is None else torso.similar(motion.face)
    return replace(motion, body=body, hands=hands, face=face, size=portrait.size)


def body_from_face(points: npt.NDArray[np.floating], size: tuple[int, int]) -> BodyPose:
    """A guess at the shoulders of a portrait of which only the face is known; hands are empty.

    points: (478, 3) in pixels of `size`. Proportions of a mean adult: shoulders 4 outer eye distances apart.
    """
    unit = float(np.linalg.norm(points[33, :2] - points[263, :2]))
    chin = np.asarray(points[152, :2], np.float64)
    pose = empty(1, 25.0, size)
    body, score = pose.body.copy(), pose.body_score.copy()
    for point, offset in {NECK: (0, 0.75), L_SHOULDER: (2.0, 0.8), R_SHOULDER: (-2.0, 0.8)}.items():
        body[0, point], score[0, point] = chin + unit * np.array(offset), 1.0
    return replace(pose, body=body, body_score=score)


@dataclass(frozen=True)
class _Torso:
    """How the driver's torso moves, laid on the portrait's."""

    # (F, 2) the driver's own.
    neck: Doubles
    # (F, 2) the neck in the portrait's picture.
    placed: Doubles
    # (F, 2, 2) in the portrait's picture.
    shoulders: Doubles
    scale: float

    @classmethod
    def of(cls, motion: BodyPose, own: Arms, scale: float) -> _Torso:
        pair = motion.body[:, [L_SHOULDER, R_SHOULDER]]
        pair = bridge(pair, _both_shoulders(motion))
        neck, across = pair.mean(1), pair[:, 0] - pair[:, 1]
        angle = np.unwrap(np.arctan2(across[:, 1], across[:, 0]))
        lean = angle - np.median(angle)
        placed = own.shoulders.mean(0) + scale * (neck - np.median(neck, axis=0))
        half = own.shoulders[0] - own.shoulders[1]
        half *= own.width / 2 / np.linalg.norm(half)
        cos, sin = np.cos(lean), np.sin(lean)
        turned = np.stack([half[0] * cos - half[1] * sin, half[0] * sin + half[1] * cos], axis=1)
        return cls(neck, placed, np.stack([placed + turned, placed - turned], axis=1), scale)

    def similar(self, points: Doubles) -> Doubles:
        """Points (F, N, 2) of the driver, scaled and moved with the neck."""
        return self.placed[:, None] + self.scale * (points - self.neck[:, None])

    def retarget(self, body: Doubles, portrait: BodyPose) -> Doubles:
        """All body points; those of head and hips that the portrait shows start from where they are in it."""
        moved = self.similar(body)
        own_neck = np.median(self.placed, axis=0)
        for point in set(range(BODY)) - _LIMBS:
            if portrait.body_score[0, point] > SEEN:
                moved[:, point] += (
                    portrait.body[0, point] - own_neck - np.median(moved[:, point] - self.placed, axis=0)
                )
        moved[:, NECK] = self.placed
        return moved


def _arm(motion: BodyPose, side: int, driver: Arms, own: Arms, shoulder: Doubles) -> Doubles:
    """(F, 2, 2) elbow and wrist of one arm in the portrait's picture."""
    start, elbow, wrist = (motion.body[:, point] for point in ARMS[side])
    known = motion.body_score[:, list(ARMS[side])] > SEEN
    in_hand = hands_seen(motion)[:, side]
    wrist = np.where(in_hand[:, None], motion.hands[:, side, 0], wrist)
    wrist = bridge(wrist, in_hand | known[:, 2])
    start = bridge(start, known[:, 0])
    if known[:, 1].mean() > _OFTEN:
        elbow = bridge(elbow, known[:, 1])
    else:
        elbow = start + (wrist - start) * (_UPPER / (_UPPER + _FORE))
    bent = shoulder + _segment(elbow - start, driver.lengths[side, 0], own.lengths[side, 0])
    return np.stack(
        [bent, bent + _segment(wrist - elbow, driver.lengths[side, 1], own.lengths[side, 1])], axis=1
    )


def _segment(limb: Doubles, longest: float, length: float) -> Doubles:
    """Limbs (F, 2) of a driver whose limb is `longest`, for a person whose limb has `length`."""
    size = np.linalg.norm(limb, axis=1, keepdims=True)
    return np.asarray(limb * np.minimum(length / longest, length / np.maximum(size, 1e-9)), np.float64)


def _segments(arm: tuple[int, int, int]) -> tuple[tuple[int, int, float], tuple[int, int, float]]:
    return (arm[0], arm[1], _UPPER), (arm[1], arm[2], _FORE)


def _longest(pose: BodyPose, a: int, b: int, least: float) -> float:
    seen = np.all(pose.body_score[:, [a, b]] > SEEN, axis=1)
    if not seen.any():
        return least
    return max(
        least, float(np.quantile(np.linalg.norm(pose.body[seen, a] - pose.body[seen, b], axis=1), 0.98))
    )


def hands_seen(motion: BodyPose) -> npt.NDArray[np.bool_]:
    """(F, 2) whether each hand is there, the left one first."""
    assert motion.hand_score.shape[2] == HAND
    return np.asarray(motion.hand_score.mean(2) > SEEN)
