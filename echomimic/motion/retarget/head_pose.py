"""A face motion taken apart into head and face, and put together again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from echomimic.arrays import Doubles, Floats
from echomimic.faces.geometry import FLIP, STABLE, canonical_face, rotation_angles, rotation_matrix, umeyama
from echomimic.motion.face_motion import FaceMotion

_BRIDGE_OF_NOSE = [168, 6, 197]


@dataclass(frozen=True, eq=False)
class Heads:
    """F frames of one head.

    face: (F, 478, 3) float32 points in the head's canonical frame (unit = outer eye distance, y up).
    turn: (F, 3, 3) head rotation in picture axes. scale: (F,) pixels per outer eye distance.
    place: (F, 2) where the bridge of the nose lies in the picture. depth: (F,) the same along z.
    """

    face: Floats
    turn: Doubles
    scale: Doubles
    place: Doubles
    depth: Doubles

    @cached_property
    def mean_turn(self) -> Doubles:
        """(3, 3) the mean rotation."""
        u, _, vt = np.linalg.svd(self.turn.mean(0))
        mean: Doubles = u @ np.diag([1.0, 1.0, np.linalg.det(u @ vt)]) @ vt
        return mean

    @cached_property
    def angles(self) -> Floats:
        """(F, 3) pitch, yaw, roll against the mean rotation, radians."""
        relative = self.turn @ self.mean_turn.T
        return np.array([rotation_angles(turn) for turn in relative.astype(np.float32)], np.float32)

    @cached_property
    def home(self) -> Doubles:
        """(2,) the usual place."""
        return np.median(self.place, axis=0)

    def with_rotations(self, angles: npt.NDArray[np.floating]) -> Heads:
        """The same heads with other rotations (F, 3) against the mean one."""
        turns = [rotation_matrix(*(float(a) for a in row)) for row in angles]
        return replace(self, turn=np.array(turns, np.float64) @ self.mean_turn)

    def points(self) -> Floats:
        """(F, 478, 3) pixels."""
        spun = np.einsum("fij,fnj->fni", self.turn, self.face * FLIP) * self.scale[:, None, None]
        anchor = spun[:, _BRIDGE_OF_NOSE].mean(1)
        target = np.concatenate([self.place, self.depth[:, None]], axis=1)
        return np.asarray(spun + (target - anchor)[:, None], dtype=np.float32)

    def to_motion(self, motion: FaceMotion) -> FaceMotion:
        """`motion` with these points; its rate, size and flags are kept, the camera pose is dropped."""
        return replace(motion, points=self.points(), pose=None)


def split_heads(motion: FaceMotion) -> Heads:
    """Takes the head pose out of the points, by the points that expression hardly moves."""
    stable = list(STABLE)
    target = canonical_face()[stable] * FLIP
    fits = [umeyama(target, points[stable]) for points in motion.points]
    scale = np.array([fit[0] for fit in fits])
    turn = np.array([fit[1] for fit in fits], np.float64)
    shift = np.array([fit[2] for fit in fits], np.float64)
    face = np.einsum("fji,fnj->fni", turn, motion.points - shift[:, None]) / scale[:, None, None] * FLIP
    anchor = motion.points[:, _BRIDGE_OF_NOSE].mean(1).astype(np.float64)
    return Heads(face.astype(np.float32), turn, scale, anchor[:, :2], anchor[:, 2])


def closed_mouth(face: Floats) -> Floats:
    """(478, 3) the neutral of (F, 478, 3) canonical faces: the mean of those with the most closed mouths."""
    gap = np.linalg.norm(face[:, 13] - face[:, 14], axis=1)
    neutral: Floats = face[gap <= np.quantile(gap, 0.15)].mean(0)
    return neutral
