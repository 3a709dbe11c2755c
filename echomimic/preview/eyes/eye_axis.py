"""An eye's own coordinates: along the line through its corners and down from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from echomimic.preview.curves import smooth_curve
from echomimic.preview.eyes.tuning import EYE_TUNING
from echomimic.preview.mesh.face_mesh import Array, Mesh
from echomimic.preview.mesh.warp import remap


@dataclass(frozen=True)
class EyeAxis:
    """The line through an eye's corners, and the eye's contours as heights over it; lengths in pixels."""

    corner: Array
    """(2,) the corner on the image's left"""
    across: Array
    """(2,) direction to the other corner"""
    width: float
    stations: Array
    """(n,) positions along the eye, some beyond its corners"""
    upper: Array
    """(n,) the upper lid's edge, positive down"""
    lower: Array
    brow: float
    """how far the brow lies above the upper lid, on average"""

    @property
    def down(self) -> Array:
        """(2,)"""
        return np.array([-self.across[1], self.across[0]], np.float32)

    def local(self, at: Array) -> tuple[Array, Array]:
        """(h, w, 2) photo coordinates → how far along the eye and how far below the line, pixels."""
        offset = at - self.corner
        return np.asarray(offset @ self.across), np.asarray(offset @ self.down)

    def along(self, row: Array, along: Array) -> Array:
        """A value given at the stations, (n,) or (n, C), at every `along`."""
        place = (along - self.stations[0]) / (self.stations[1] - self.stations[0])
        return remap(row[None], np.stack([place, np.zeros_like(place)], -1).astype(np.float32))


def make_axis(mesh: Mesh, contours: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]) -> EyeAxis:
    """The eye's own axis and contours."""
    upper, lower, brow = contours
    outer_first = mesh.points[upper[0], 0] < mesh.points[upper[-1], 0]
    first, last = (mesh.points[upper[k], :2] for k in ((0, -1) if outer_first else (-1, 0)))
    width = max(float(np.linalg.norm(last - first)), 1.0)
    across = ((last - first) / width).astype(np.float32)
    down = np.array([-across[1], across[0]], np.float32)
    stations = np.linspace(*EYE_TUNING.axis_ends, 201, dtype=np.float32) * width

    def heights(ids: tuple[int, ...]) -> Array:
        curve = smooth_curve(mesh.points[list(ids), :2]) - first
        along = curve @ across
        order = np.argsort(along)
        return np.asarray(np.interp(stations, along[order], (curve @ down)[order]), dtype=np.float32)

    top, bottom = heights(upper), heights(lower)
    lowest_brow = float(((mesh.points[list(brow), :2] - first) @ down).max())
    inside = (stations >= 0) & (stations <= width)
    return EyeAxis(
        first, across, width, stations, top, bottom, max(float(top[inside].mean()) - lowest_brow, 1.0)
    )
