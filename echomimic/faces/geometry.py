"""The geometry of the 478-point face mesh: index lists, the canonical face, rigid fits and a few measures.

Indices 0–467 are MediaPipe's face mesh, 468–472 the iris of the image-left eye (centre first), 473–477 of the
other. Lists run from image left to image right. Picture coordinates: x right, y down, z away from the viewer,
pixels. Canonical coordinates: x right, y up, z to the viewer, unit = outer eye distance, origin between the
eye corners.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from echomimic.arrays import Floats

POINTS = 478
"""Points of a face with irises."""
MESH_POINTS = 468
"""Points of a face without irises, as in the canonical face."""

# The outline, clockwise from the middle of the forehead.
OVAL = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)

# Lips: the contours of each share their two corners.
UPPER_LIP_OUTER = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291)
LOWER_LIP_OUTER = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291)
UPPER_LIP_INNER = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
LOWER_LIP_INNER = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)

# Eyes: the outer corner first, then the lid, then the inner corner; a wider ring (the crease) follows.
LEFT_EYE_UPPER = (33, 246, 161, 160, 159, 158, 157, 173, 133)
LEFT_EYE_LOWER = (33, 7, 163, 144, 145, 153, 154, 155, 133)
RIGHT_EYE_UPPER = (263, 466, 388, 387, 386, 385, 384, 398, 362)
RIGHT_EYE_LOWER = (263, 249, 390, 373, 374, 380, 381, 382, 362)
LEFT_EYE_CREASE = (130, 247, 30, 29, 27, 28, 56, 190, 243)
RIGHT_EYE_CREASE = (359, 467, 260, 259, 257, 258, 286, 414, 463)

# Brows: the upper edge from the temple inwards, then the lower edge.
LEFT_BROW = (70, 63, 105, 66, 107, 55, 65, 52, 53, 46)
RIGHT_BROW = (300, 293, 334, 296, 336, 285, 295, 282, 283, 276)

# Irises: centre, then four points of the rim (they need a face of 478 points).
LEFT_IRIS = (468, 469, 470, 471, 472)
RIGHT_IRIS = (473, 474, 475, 476, 477)

# Points that speech and expression hardly move: the forehead, the temples, the bridge of the nose, the eye
# corners.
STABLE = (
    *(10, 338, 297, 332, 284, 109, 67, 103, 54, 151, 9, 8, 168, 6, 197, 195, 5, 33, 133, 263, 362),
    *(127, 356, 21, 251, 234, 454, 117, 346, 50, 280, 193, 417, 122, 351, 188, 412),
)

LEFT_EYE_CORNERS = (33, 133)
RIGHT_EYE_CORNERS = (263, 362)
MOUTH_CORNERS = (61, 291)
FOREHEAD, CHIN = 10, 152

FLIP = np.array([1.0, -1.0, -1.0], np.float32)
"""From canonical to picture axes and back: they differ by the sign of y and z."""


@functools.cache
def _canonical() -> dict[str, NDArray[np.generic]]:
    with files(__package__).joinpath("models/canonical_face.npz").open("rb") as file, np.load(file) as stored:
        arrays = {name: np.array(stored[name]) for name in stored.files}
    for array in arrays.values():
        array.flags.writeable = False
    return arrays


def canonical_face() -> Floats:
    """The mean face, (468, 3) float32, read-only, canonical coordinates (see the module's text)."""
    return _canonical()["mean"].astype(np.float32, copy=False)


def mesh_mirror() -> NDArray[np.int64]:
    """For each of the 468 points its partner on the other half of the face:
    `points[mirror()] * (-1, 1, 1)` mirrors."""
    return _canonical()["mirror"].astype(np.int64, copy=False)


@functools.cache
def mirror_points() -> NDArray[np.int64]:
    """As `mirror`, for all 478 points."""
    # iris rims: image right, top, image left, bottom
    irises = [473, 476, 475, 474, 477, 468, 471, 470, 469, 472]
    return np.concatenate([mesh_mirror(), np.array(irises)])


def triangles() -> NDArray[np.int64]:
    """MediaPipe's own tessellation, (852, 3); eyes and mouth are holes, so the two lips are never joined."""
    return _canonical()["triangles"].astype(np.int64, copy=False)


def umeyama(source: Floats, target: Floats, *, scale: bool = True) -> tuple[float, Floats, Floats]:
    """The similarity (s, R, t) that brings `source` nearest to `target`: target ≈ s · source @ R.T + t.

    source, target: (n, d); R: (d, d), a rotation; t: (d,). Umeyama 1991, eq. 40–42.
    """
    a = np.asarray(source, np.float64)
    b = np.asarray(target, np.float64)
    centre_a, centre_b = a.mean(0), b.mean(0)
    u, d, vt = np.linalg.svd((b - centre_b).T @ (a - centre_a))
    sign = np.ones(a.shape[1])
    sign[-1] = np.sign(np.linalg.det(u @ vt))
    rotation = (u * sign) @ vt
    s = float((d * sign).sum() / ((a - centre_a) ** 2).sum()) if scale else 1.0
    return s, rotation.astype(np.float32), (centre_b - s * rotation @ centre_a).astype(np.float32)


def rotation_matrix(pitch: float, yaw: float, roll: float) -> Floats:
    """(3, 3) rotation of a head in picture coordinates, radians: roll after yaw after pitch.

    pitch > 0 nods down, yaw > 0 moves the nose to the image's right, roll > 0 turns clockwise as seen.
    """
    cp, sp, cy, sy, cr, sr = (
        np.cos(pitch),
        np.sin(pitch),
        np.cos(yaw),
        -np.sin(yaw),
        np.cos(roll),
        np.sin(roll),
    )
    nod = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    turn = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    tilt = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    rotation: Floats = (tilt @ turn @ nod).astype(np.float32)
    return rotation


def rotation_angles(rotation: Floats) -> tuple[float, float, float]:
    """(pitch, yaw, roll) in radians of a rotation in picture coordinates;
    the inverse of `rotation_matrix`."""
    r = np.asarray(rotation, np.float64)
    yaw = np.arcsin(np.clip(r[2, 0], -1, 1))
    return float(np.arctan2(r[2, 1], r[2, 2])), float(yaw), float(np.arctan2(r[1, 0], r[0, 0]))


@dataclass(frozen=True)
class HeadPose:
    """How the canonical face lies in a picture:
    picture = scale · (canonical · flip) @ rotation.T + translation."""

    scale: float
    """Pixels per outer eye distance, as if seen from the front."""
    rotation: Floats
    """(3, 3), picture coordinates."""
    translation: Floats
    """(3,), pixels: where the middle between the eye corners lies."""

    @property
    def angles(self) -> tuple[float, float, float]:
        """(pitch, yaw, roll) in radians, signs as in `rotation_matrix`."""
        return rotation_angles(self.rotation)

    def to_picture(self, points: Floats) -> Floats:
        """Canonical points (n, 3) → picture pixels (n, 3)."""
        picture: Floats = (self.scale * (points * FLIP) @ self.rotation.T + self.translation).astype(
            np.float32
        )
        return picture

    def to_canonical(self, points: Floats) -> Floats:
        """Picture pixels (n, 3) → canonical points (n, 3)."""
        canonical: Floats = ((points - self.translation) @ self.rotation / self.scale * FLIP).astype(
            np.float32
        )
        return canonical


def head_pose(points: Floats) -> HeadPose:
    """Fits the canonical face to a face in a picture, by the points that speech does not move.

    points: (468 or 478, 3) pixels.
    """
    stable = list(STABLE)
    scale, rotation, translation = umeyama(canonical_face()[stable] * FLIP, points[stable])
    return HeadPose(scale, rotation, translation)


def eye_distance(points: Floats) -> float:
    """The distance between the outer eye corners in the picture, pixels."""
    return float(np.linalg.norm(points[33, :2] - points[263, :2]))


def mouth_width(points: Floats) -> float:
    """The distance between the mouth corners in the picture, in the units of `points`."""
    return float(np.linalg.norm(points[61, :2] - points[291, :2]))


def mouth_opening(points: Floats) -> float:
    """The distance between the middles of the inner lips, in the units of `points` (0 when closed)."""
    return float(np.linalg.norm(points[13, :2] - points[14, :2]))


def eye_opening(points: Floats) -> tuple[float, float]:
    """How far the lids are apart, image-left eye first, as a fraction of that eye's width."""
    return _lid_gap(points, 159, 145, LEFT_EYE_CORNERS), _lid_gap(points, 386, 374, RIGHT_EYE_CORNERS)


def _lid_gap(points: Floats, upper: int, lower: int, corners: tuple[int, int]) -> float:
    gap = float(np.linalg.norm(points[upper, :2] - points[lower, :2]))
    return gap / max(float(np.linalg.norm(points[corners[0], :2] - points[corners[1], :2])), 1e-6)
