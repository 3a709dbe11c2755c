"""What moves together in a face: the knowledge that turns points into a performance and back.

Canonical coordinates (see `echomimic.faces.geometry`): x right, y up, z to the viewer, unit = outer eye
distance.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from echomimic.arrays import Floats, smoothstep
from echomimic.faces.geometry import (
    LEFT_EYE_CORNERS,
    LEFT_EYE_CREASE,
    LEFT_EYE_LOWER,
    LEFT_EYE_UPPER,
    LEFT_IRIS,
    LOWER_LIP_INNER,
    LOWER_LIP_OUTER,
    MESH_POINTS,
    RIGHT_EYE_CORNERS,
    RIGHT_EYE_CREASE,
    RIGHT_EYE_LOWER,
    RIGHT_EYE_UPPER,
    RIGHT_IRIS,
    UPPER_LIP_INNER,
    UPPER_LIP_OUTER,
    canonical_face,
)

PIVOT = np.array([0.0, -0.62, -0.95], np.float32)
"""Where the head turns: in the neck under the skull."""

BROW_PULL = (
    (1.0, (105, 66, 63, 334, 296, 293, 107, 336, 70, 300)),
    (0.9, (52, 53, 65, 46, 55, 282, 283, 295, 276, 285)),
    (0.55, (104, 69, 108, 151, 337, 299, 333, 68, 298)),
    (0.45, (223, 222, 224, 443, 442, 444, 221, 441, 225, 445)),
    (0.25, (10, 109, 338, 67, 297, 9)),
)
"""How much a raised brow moves the points around it."""

BROWS = (105, 66, 63, 107, 70, 334, 296, 293, 336, 300)
"""The upper edges, by which a raise is measured."""


@dataclass(frozen=True)
class EyePoints:
    """Mesh points of one eye, outer corner first along each list."""

    corners: tuple[int, int]
    upper: tuple[int, ...]
    lower: tuple[int, ...]
    crease: tuple[int, ...]
    iris: tuple[int, ...]

    @property
    def lids(self) -> tuple[int, int]:
        """The middles of the upper and the lower lid."""
        return self.upper[len(self.upper) // 2], self.lower[len(self.lower) // 2]


EYES = (
    EyePoints(LEFT_EYE_CORNERS, LEFT_EYE_UPPER, LEFT_EYE_LOWER, LEFT_EYE_CREASE, LEFT_IRIS),
    EyePoints(RIGHT_EYE_CORNERS, RIGHT_EYE_UPPER, RIGHT_EYE_LOWER, RIGHT_EYE_CREASE, RIGHT_IRIS),
)
"""The eye on the image's left first."""


@functools.cache
def brow_weight() -> Floats:
    """(468,) how much each point follows a raised brow."""
    weight = np.zeros(MESH_POINTS, np.float32)
    for pull, points in BROW_PULL:
        weight[list(points)] = pull
    weight.flags.writeable = False
    return weight


@functools.cache
def speech_weight() -> Floats:
    """(468,) how much of a point's motion belongs to mouth, jaw and cheeks:
    1 below the nose, 0 from the eyes up."""
    face = canonical_face()
    weight = np.asarray(1 - smoothstep(face[:, 1], -0.45, -0.12), dtype=np.float32)
    weight.flags.writeable = False
    return weight


@functools.cache
def forehead_weight() -> Floats:
    """(468,) how much of a point's motion belongs to brows and forehead:
    0 from the eyes down and at the sides."""
    face = canonical_face()
    weight = smoothstep(face[:, 1], 0.12, 0.25) * (1 - smoothstep(np.abs(face[:, 0]), 0.6, 0.75))
    result = np.asarray(weight, dtype=np.float32)
    result.flags.writeable = False
    return result


def lips_meeting(points: Floats) -> Floats:
    """(468, d) displacement that brings the lips of (478, d) `points` together;
    zero where they already meet."""
    closing = np.zeros((MESH_POINTS, points.shape[1]), np.float32)
    upper, lower = list(UPPER_LIP_INNER), list(LOWER_LIP_INNER)
    middle = 0.55 * points[upper] + 0.45 * points[lower]
    closing[upper], closing[lower] = middle - points[upper], middle - points[lower]
    for outer, inner, share in ((UPPER_LIP_OUTER, upper, 0.75), (LOWER_LIP_OUTER, lower, 0.85)):
        closing[list(outer[1:-1])] = share * closing[inner[1:-1]]
    for share, leader, followers in _FOLLOWERS:
        closing[list(followers)] = share * closing[leader]
    return closing


_FOLLOWERS = (
    (0.2, 13, (164, 167, 393, 165, 391, 2)),
    (0.6, 14, (18, 83, 313, 200, 201, 421, 199, 208, 428, 182, 406)),
    (0.5, 14, (152, 175, 148, 377, 171, 396, 176, 400)),
)


@functools.cache
def eye_weight() -> Floats:
    """(478,) how much of a point's motion belongs to the lids and irises."""
    weight = np.zeros(MESH_POINTS + 10, np.float32)
    for eye in EYES:
        weight[list(eye.crease)] = 0.6
        weight[[*eye.upper, *eye.lower, *eye.iris]] = 1.0
    weight.flags.writeable = False
    return weight
