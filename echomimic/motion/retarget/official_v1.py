"""V1's motion sync: a driver's face motion transferred to a portrait's own face.

The arithmetic is the official one (fixture `v1_motion_sync`): the driver's mean features are fitted to the
portrait's, its head motion is applied relative to its first frame, and the result is projected by a 63 degree
camera.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from echomimic.arrays import Doubles
from echomimic.faces.geometry import POINTS
from echomimic.motion.metric_face import metric_motion, project
from echomimic.motion.retarget.affine import apply_affine, fit_affine

SQUARE = 512
_LEFT_EYE = (249, 263, 362, 373, 374, 380, 381, 382, 384, 385, 386, 387, 388, 390, 398, 466)
_RIGHT_EYE = (7, 33, 133, 144, 145, 153, 154, 155, 157, 158, 159, 160, 161, 163, 173, 246)
_MOUTH = (
    *(
        0,
        13,
        14,
        17,
        37,
        39,
        40,
        61,
        78,
        80,
        81,
        82,
        84,
        87,
        88,
        91,
        95,
        146,
        178,
        181,
        185,
        191,
        267,
        269,
        270,
    ),
    *(291, 308, 310, 311, 312, 314, 317, 318, 321, 324, 375, 402, 405, 409, 415),
)
_NOSE = (1, 4, 5, 44, 45, 51, 220, 274, 275, 281, 440)
_LEFT_BROW = (276, 282, 283, 285, 293, 295, 296, 300, 334, 336)
_RIGHT_BROW = (46, 52, 53, 55, 63, 65, 66, 70, 105, 107)
FEATURES = (*((*_LEFT_EYE, 473), (*_RIGHT_EYE, 468)), _MOUTH, _NOSE, _LEFT_BROW, _RIGHT_BROW)
"""The point sets that are each fitted to the portrait; left is the person's own."""

_EYES = (*_LEFT_EYE, *_RIGHT_EYE)
_IRISES = slice(468, POINTS)


@dataclass(frozen=True)
class Geometry:
    """One or more faces as the face geometry gives them.

    points: (..., 478, 3) relative to the picture. vertices: (..., 468, 3) metric, in the head's own frame.
    pose: (..., 4, 4) from that frame to the camera's.
    """

    points: Doubles
    vertices: Doubles
    pose: Doubles

    def with_irises(self) -> Doubles:
        """(..., 478, 3) vertices with the ten iris points, placed by an affine fit on the eyes."""
        points, vertices = np.atleast_3d(self.points), np.atleast_3d(self.vertices)
        if self.points.ndim == 2:
            return _add_irises(self.points, self.vertices)
        return np.stack([_add_irises(p, v) for p, v in zip(points, vertices, strict=True)])


def _add_irises(points: Doubles, vertices: Doubles) -> Doubles:
    eyes = list(_EYES)
    placed = apply_affine(fit_affine(points[eyes], vertices[eyes]), points[_IRISES])
    return np.concatenate([vertices, placed])


def transfer(driver: Geometry, portrait: Geometry, *, align: bool = True, size: int = SQUARE) -> Doubles:
    """The official motion sync: (F, 478, 2) pixels of a square of `size`.

    `align` fits each feature's mean shape to the portrait's; without it only the head pose is transferred.
    """
    moving, still = driver.with_irises(), portrait.with_irises()
    smooth = window_mean(moving, 1)
    if align:
        mean = moving.mean(0)
        for feature in map(list, FEATURES):
            smooth[:, feature] = apply_affine(fit_affine(mean[feature], still[feature]), smooth[:, feature])
    relative = driver.pose @ np.linalg.inv(driver.pose[0])
    poses = window_mean(relative, 2) @ portrait.pose
    return np.stack([project(v, p, size, size) for v, p in zip(smooth, poses, strict=True)])


def window_mean(values: Doubles, reach: int) -> Doubles:
    """Plain mean over i - reach … i + reach along the first axis, clipped at the ends."""
    count = len(values)
    return np.stack([values[max(0, i - reach) : min(count, i + reach + 1)].mean(0) for i in range(count)])


def geometry_of(points: npt.NDArray[np.floating], size: tuple[int, int]) -> Geometry:
    """The face geometry of (..., 478, 3) pixels of a picture of `size`."""
    many = np.asarray(points, np.float64).reshape(-1, POINTS, 3)
    vertices, poses = metric_motion(many, size)
    relative = many / np.array([size[0], size[1], size[0]], np.float64)
    shape = np.shape(points)[:-2]
    return Geometry(*(a.reshape(*shape, *a.shape[1:]) for a in (relative, vertices, poses)))
