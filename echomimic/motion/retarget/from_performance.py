"""A performance given by a portrait, as face motion: the portrait's own points, moved.

What V1's landmark maps are drawn from when the motion is generated from speech.
"""

from __future__ import annotations

import numpy as np

from echomimic.arrays import Floats
from echomimic.faces.geometry import (
    FLIP,
    LOWER_LIP_INNER,
    MESH_POINTS,
    POINTS,
    UPPER_LIP_INNER,
    HeadPose,
    head_pose,
    rotation_matrix,
)
from echomimic.motion.face_motion import FaceMotion
from echomimic.motion.performance import Performance
from echomimic.motion.retarget.face_regions import EYES, PIVOT, EyePoints, brow_weight, lips_meeting

_BETWEEN_EYES = 168
# How much of a closing eye is done by the upper lid.
_UPPER_SHARE = 0.92
# The crease over an eye goes down with its lid by this share.
_CREASE_SHARE = 0.35


def motion_from_performance(performance: Performance, points: Floats, size: tuple[int, int]) -> FaceMotion:
    """The motion of a portrait that gives `performance`.

    points: (478, 3) of the portrait in pixels of `size` (width, height). The portrait's own pose and identity
    are kept, an open mouth is closed first: a performance is relative to closed lips.
    """
    points = np.asarray(points, np.float32)
    pose = head_pose(points)
    moved = np.repeat(points[None], len(performance), axis=0)
    moved[:, :MESH_POINTS] += _expression(performance, pose) + lips_meeting(points)
    _uncross(moved)
    for side, eye in enumerate(EYES):
        _look(moved, eye, performance.gaze * pose.scale)
        _close(moved, eye, performance.blink[:, side])
    return FaceMotion(_turned(moved, performance, pose, points), fps=performance.fps, size=size)


def _expression(performance: Performance, pose: HeadPose) -> Floats:
    """(F, 468, 3) displacement in the picture, the head not yet turned."""
    basis = performance.basis.reshape(len(performance.basis), -1)
    moved = (performance.expression @ basis).reshape(-1, MESH_POINTS, 3)
    moved[:, :, 1] += performance.brow[:, None] * brow_weight()
    return np.asarray(pose.scale * (moved * FLIP) @ pose.rotation.T, dtype=np.float32)


def _uncross(moved: Floats) -> None:
    """Lips meet, they do not pass each other."""
    upper, lower = list(UPPER_LIP_INNER), list(LOWER_LIP_INNER)
    across = moved[:, 291, :2] - moved[:, 61, :2]
    down = np.stack([-across[:, 1], across[:, 0]], 1)
    down /= np.maximum(np.linalg.norm(down, axis=1, keepdims=True), 1e-6)
    past = np.einsum("fnd,fd->fn", moved[:, upper, :2] - moved[:, lower, :2], down)
    half = np.maximum(past, 0)[..., None] * down[:, None] / 2
    moved[:, upper, :2] -= half
    moved[:, lower, :2] += half


def _look(moved: Floats, eye: EyePoints, shift: Floats) -> None:
    moved[:, list(eye.iris), :2] += shift[:, None]


def _close(moved: Floats, eye: EyePoints, blink: Floats) -> None:
    """Brings the lids of one eye together by `blink`, 0…1; the crease follows."""
    upper, lower, crease = list(eye.upper), list(eye.lower), list(eye.crease)
    gap = moved[:, lower] - moved[:, upper]
    closed = np.clip(blink, 0, 1)[:, None, None] * gap
    moved[:, upper] += _UPPER_SHARE * closed
    moved[:, lower] -= (1 - _UPPER_SHARE) * closed
    moved[:, crease] += _CREASE_SHARE * closed


def _turned(moved: Floats, performance: Performance, pose: HeadPose, points: Floats) -> Floats:
    """The moved points turned about the neck and shifted so that the place between the eyes lands as told."""
    pivot = pose.to_picture(PIVOT[None])[0]
    turns = np.stack([rotation_matrix(*(float(a) for a in angles)) for angles in performance.rotation])
    arm = points[_BETWEEN_EYES] - pivot
    swing = turns @ arm - arm
    turned = np.einsum("fij,fnj->fni", turns, moved - pivot) + pivot
    shift = np.zeros((len(turned), 3), np.float32)
    shift[:, :2] = performance.translation * pose.scale - swing[:, :2]
    assert turned.shape[1] == POINTS
    return np.asarray(turned + shift[:, None], dtype=np.float32)
