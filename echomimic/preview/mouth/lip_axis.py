"""A mouth's own coordinates: along the line through its corners and down from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from echomimic.faces.geometry import MOUTH_CORNERS
from echomimic.preview.mesh.face_mesh import TINY, Array


@dataclass(frozen=True)
class LipAxis:
    """Directions and lengths in pixels of the picture."""

    origin: Array
    """(2,) the middle between the two ends"""
    across: Array
    """(2,) from the end on the image's left to the other"""
    width: float
    """between the ends"""

    @property
    def down(self) -> Array:
        """(2,)"""
        return np.array([-self.across[1], self.across[0]], np.float32)

    def local(self, points: Array) -> tuple[Array, Array]:
        """Positions (…, 2) → how far to the right of the origin and how far below it, (…) each, pixels."""
        offset = points - self.origin
        return np.asarray(offset @ self.across), np.asarray(offset @ self.down)

    def place(self, x: Array, y: Array) -> Array:
        """The inverse of `local`: (…, 2)."""
        return np.asarray(
            self.origin + x[..., None] * self.across + y[..., None] * self.down, dtype=np.float32
        )


def axis_between(first: Array, last: Array) -> LipAxis:
    """The axis through two points (2,)."""
    way = last - first
    width = max(float(np.linalg.norm(way)), TINY)
    return LipAxis(((first + last) / 2).astype(np.float32), (way / width).astype(np.float32), width)


def corner_axis(points: Array) -> LipAxis:
    """The axis through the outer corners of the mouth of mesh points (n, 2 or more)."""
    return axis_between(*(points[k, :2] for k in MOUTH_CORNERS))
