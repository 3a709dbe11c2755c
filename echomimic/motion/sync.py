"""Motion made to fit a portrait: whose motion it was no longer shows.

For V1 the official arithmetic (`transfer`), for V2 a rigid fit of the body (`body_sync`), for the preview engine a
performance (`reenact`) and back (`portray`).
"""

from __future__ import annotations

import numpy as np

from echomimic.faces.geometry import STABLE, head_pose
from echomimic.motion.body import BodyPose
from echomimic.motion.body_sync import body_from_face, shoulders_seen, sync_body
from echomimic.motion.driver import Motion
from echomimic.motion.face import POINTS, FaceMotion, Points
from echomimic.motion.portray import motion_from_performance
from echomimic.motion.reenact import performance_from_motion
from echomimic.motion.transfer import geometry_of, transfer

__all__ = [
    "body_from_face",
    "made_for",
    "motion_from_performance",
    "performance_from_motion",
    "sync_body",
    "sync_face",
    "sync_motion",
]

_SAME = 0.12
"""Mean distance, in outer eye distances, within which two faces are taken for one."""


def sync_motion(motion: Motion, points: Points, size: tuple[int, int], body: BodyPose | None = None) -> Motion:
    """Face and body fitted to a portrait; a face that was made for the portrait is only brought to its size.

    points: (478, 3) in pixels of `size`. body: the portrait's body and hands; guessed from the face when not given.
    """
    face, pose = motion.face, motion.body
    if face is not None:
        face = face.resized(*size) if made_for(face, points, size) else sync_face(face, points, size)
    if pose is not None:
        pose = sync_body(pose, body_from_face(points, size) if body is None or not shoulders_seen(body) else body)
    return Motion(face, pose)


def made_for(motion: FaceMotion, points: Points, size: tuple[int, int]) -> bool:
    """Whether the face that moves is the portrait's own: same picture shape, same features in the same place.

    points: (478, 3) of the portrait in pixels of `size`. The features compared are those that expression hardly moves.
    """
    width, height = motion.size
    if abs(width / height - size[0] / size[1]) > 0.01:
        return False
    stable, scale = list(STABLE), size[0] / width
    apart = motion.points[:, stable, :2] * scale - points[stable, :2]
    return bool(np.linalg.norm(apart, axis=2).mean(1).min() < _SAME * head_pose(points).scale)


def sync_face(motion: FaceMotion, points: Points, size: tuple[int, int], *, align: bool = True) -> FaceMotion:
    """`motion` transferred to a portrait by the official V1 arithmetic.

    points: (478, 3) of the portrait in pixels of `size` (width, height). The result is in pixels of `size`; its depth
    is the portrait's own. `align` fits the features to the portrait's, without it only the head's pose is transferred.
    The official code is square only; here a picture of another shape is padded to a square for the projection.
    """
    side = max(size)
    margin = np.append((side - np.array(size, np.float64)) / 2, 0.0)
    padded = np.asarray(points, np.float64) + margin
    moved = transfer(geometry_of(motion.points, motion.size), geometry_of(padded, (side, side)), align=align, size=side)
    result = np.broadcast_to(np.asarray(points, np.float32), (len(motion), POINTS, 3)).copy()
    result[..., :2] = moved - margin[:2]
    return FaceMotion(result, fps=motion.fps, size=size, found=motion.seen)
