"""What lips can do: they meet without passing through each other, keep some thickness, and take the chin
along."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from echomimic.faces.geometry import (
    LOWER_LIP_INNER,
    LOWER_LIP_OUTER,
    MESH_POINTS,
    MOUTH_CORNERS,
    UPPER_LIP_INNER,
    UPPER_LIP_OUTER,
)
from echomimic.preview.mesh.face_mesh import LOWER_LIP_BETWEEN, UPPER_LIP_BETWEEN, Array, Mesh, direction

# From this gap on, in units, opening is eased …
_WIDE_OPEN = 0.30
# … towards this one …
_WIDEST = 0.42
# … in a mouth as wide as this, in units. A smaller one, or one seen from the side, opens less, but at least
# by this share of it.
_NARROW = (0.47, 0.55)
THINNEST = 0.70
"""A lip keeps this share of its height in the photo."""
SQUEEZE = 0.45
"""Skin under the lower lip is compressed by at most this share; beyond, it moves along."""

SHEAR = 0.7
"""The same around the corners of the mouth."""
# What of the way between the two points of a corner the inner one makes towards their mean.
_CORNER_HELD = 0.7
# From so far under the line through the corners on, in units, skin is chin and cheek and can be pushed
# down.
_CHIN = 0.02
# A gap that is this little too wide, in units, needs no easing.
_SAME_GAP = 1e-4


@dataclass(frozen=True)
class Lips:
    """Corrects an expression so that it is one a mouth can make."""

    mesh: Mesh
    down: Array
    """(2,) the face's own downward direction in the picture"""
    below: NDArray[np.int64]
    """(n,) mesh points of chin and cheeks"""
    slack: Array
    """(n, 9) how far each point of the lower lip may move before a point of `below` has to follow, pixels"""
    corner_slack: Array
    """(468, 2) the same for the corners of the mouth and every point"""
    room: float
    """share of the usual greatest opening that this mouth has room for; a small one is eased sooner, too"""

    def plausible(self, skin: Array, rest: Array | None = None) -> Array:
        """(468, 2) displacement in pixels, changed in place. rest: (468, 2) the part of it that closes the
        photo."""
        rest = np.zeros_like(skin) if rest is None else rest
        self._hold_corners(skin)
        self._ease_opening(skin, rest)
        self._keep_apart(skin, whole=True)
        self._keep_thickness(skin)
        self._take_chin_along(skin, rest)
        self._keep_apart(skin, whole=False)
        return skin

    def _hold_corners(self, skin: Array) -> None:
        """The two points of a corner lie close together and hardly move apart."""
        for inner, outer in (
            (LOWER_LIP_INNER[0], LOWER_LIP_OUTER[0]),
            (LOWER_LIP_INNER[-1], LOWER_LIP_OUTER[-1]),
        ):
            middle = (skin[inner] + skin[outer]) / 2
            skin[inner] += _CORNER_HELD * (middle - skin[inner])
            skin[outer] += 0.5 * (middle - skin[outer])

    def _ease_opening(self, skin: Array, rest: Array) -> None:
        upper, lower = list(UPPER_LIP_INNER), list(LOWER_LIP_INNER)
        points = self.mesh.points[:, :2]
        apart = (points[lower] + skin[lower] - points[upper] - skin[upper]) @ self.down
        gap = float(apart.max()) / self.mesh.unit
        # What the photo itself shows is never too wide.
        own = (points[lower] + rest[lower] - points[upper] - rest[upper]) @ self.down
        widen = max(float(own.max()) / self.mesh.unit - self.room**2 * _WIDE_OPEN, 0.0)
        wide, widest = self.room**2 * _WIDE_OPEN + widen, self.room * _WIDEST + widen
        if gap <= wide + _SAME_GAP:
            return
        share = (wide + (widest - wide) * np.tanh((gap - wide) / (widest - wide))) / gap
        skin[lower] -= (np.maximum(apart, 0.0) * (1 - share))[:, None] * self.down

    def _keep_thickness(self, skin: Array) -> None:
        points = self.mesh.points[:, :2]
        for outer, inner, rows, sign in (
            (UPPER_LIP_OUTER, UPPER_LIP_INNER, UPPER_LIP_BETWEEN, 1.0),
            (LOWER_LIP_OUTER, LOWER_LIP_INNER, LOWER_LIP_BETWEEN, -1.0),
        ):
            rim, edge = list(outer[1:-1]), list(inner[1:-1])
            own = (points[edge] - points[rim]) @ self.down * sign
            now = own + (skin[edge] - skin[rim]) @ self.down * sign
            lack = np.maximum(0.0, np.minimum(THINNEST * own, own) - now)
            skin[edge] += (lack * sign)[:, None] * self.down
            for share, row in zip((1 / 3, 2 / 3), rows, strict=True):
                skin[list(row[1:-1])] += (share * lack * sign)[:, None] * self.down

    def _take_chin_along(self, skin: Array, rest: Array) -> None:
        moved = (skin - rest) @ self.down
        least = (moved[list(MOUTH_CORNERS)] - self.corner_slack).max(1)
        pushed = np.maximum(0.0, least - moved)
        moved += pushed
        least = (moved[list(LOWER_LIP_OUTER[1:-1])] - self.slack).max(1)
        pushed[self.below] += np.maximum(0.0, least - moved[self.below])
        skin += pushed[:, None] * self.down

    def _keep_apart(self, skin: Array, *, whole: bool) -> None:
        """Lips do not pass each other further than the photo's points do. `whole` lips yield, or only their
        edges."""
        upper, lower = list(UPPER_LIP_INNER), list(LOWER_LIP_INNER)
        own = (self.mesh.points[upper, :2] - self.mesh.points[lower, :2]) @ self.down
        crossing = own + (skin[upper] - skin[lower]) @ self.down
        back = np.maximum(0.0, crossing - np.maximum(own, 0.0))[:, None] * self.down / 2
        skin[upper] -= back
        skin[lower] += back
        if whole:
            for row in (UPPER_LIP_OUTER, *UPPER_LIP_BETWEEN):
                skin[list(row[1:-1])] -= back[1:-1]
            for row in (LOWER_LIP_OUTER, *LOWER_LIP_BETWEEN):
                skin[list(row[1:-1])] += back[1:-1]


def make_lips(mesh: Mesh, closing: Array | None = None) -> Lips:
    """closing: (468, 2) displacement that brings the photo's lips to rest."""
    points = mesh.points[:MESH_POINTS, :2]
    across = points[291] - points[61]
    down = direction(np.array([-across[1], across[0]], np.float32))
    lip = points[list(LOWER_LIP_OUTER[1:-1])]
    depth = (points - points[[61, 291]].mean(0)) @ down
    free = np.ones(MESH_POINTS, bool)
    for row in (UPPER_LIP_INNER, UPPER_LIP_OUTER, *UPPER_LIP_BETWEEN, LOWER_LIP_INNER, LOWER_LIP_OUTER):
        free[list(row)] = False
    for row in LOWER_LIP_BETWEEN:
        free[list(row)] = False
    below = np.flatnonzero(free & (depth > _CHIN * mesh.unit))
    slack = SQUEEZE * np.linalg.norm(points[below, None] - lip[None], axis=2)
    corner_slack = SHEAR * np.linalg.norm(points[:, None] - points[None, list(MOUTH_CORNERS)], axis=2)
    at_rest = points if closing is None else points + closing
    width = float(np.linalg.norm(at_rest[MOUTH_CORNERS[0]] - at_rest[MOUTH_CORNERS[1]])) / mesh.unit
    room = float(np.clip(width / _NARROW[0], _NARROW[1], 1.0))
    return Lips(mesh, down, below, slack.astype(np.float32), corner_slack.astype(np.float32), room)
