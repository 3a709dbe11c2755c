"""A closing eyelid as an exact one-dimensional monotone warp along the eye's vertical, in the photo."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from echomimic.preview.curves import smooth_curve
from echomimic.preview.mesh import Array, Mesh, smoothstep
from echomimic.preview.warp import Pixels, Texture


@dataclass(frozen=True)
class Lid:
    """One eye's lids as heights over the line through its corners; all lengths in pixels."""

    corner: Array
    across: Array
    """(2,) direction from the left corner to the right"""
    width: float
    stations: Array
    """(n,) positions along the eye"""
    upper: Array
    """(n,) the upper lid's edge, positive down"""
    travel: Array
    """(n,) how far it goes down to close"""
    fold: float
    """how far above the lid its skin unfolds"""

    def close(self, eye: Array, texture: Texture, source: Array, aperture: Array, blink: float) -> Array:
        """(h, w, 3) the eye with its lid down by `blink`. source: (h, w, 2) photo coordinates each pixel shows."""
        along, down = self._local(source)
        edge = np.interp(along, self.stations, self.upper).astype(np.float32)
        drop = blink * np.interp(along, self.stations, self.travel).astype(np.float32)
        top = edge - self.fold
        place = np.clip((down - top) / np.maximum(edge + drop - top, 1e-3), 0, 1)
        stretch = self.fold / np.maximum(edge + drop - top, 1e-3)
        start = np.maximum(2 - 1 / stretch, 0.22)
        from_down = top + self.fold * (start * place + (1 - start) * place * place)
        covered = (down > top) & (down <= edge + drop)
        slide = np.where(covered, from_down, down) - down
        vertical = np.array([-self.across[1], self.across[0]], np.float32)
        skin = texture.sample((source + slide[..., None] * vertical).astype(np.float32)).astype(np.float32)
        below = np.clip((down - edge - drop) / 1.5 + 0.5, 0, 1)[..., None]
        shadow = np.clip((down - edge - drop) / (0.10 * self.width), 0, 1)[..., None]
        eye = eye * (1 - 0.25 * min(1.0, blink * 1.5) * (1 - shadow) * aperture)
        return np.asarray(skin + (eye - skin) * below, dtype=np.float32)

    def _local(self, at: Array) -> tuple[Array, Array]:
        offset = at - self.corner
        return offset @ self.across, offset @ np.array([-self.across[1], self.across[0]], np.float32)


def make_lid(mesh: Mesh, picture: Pixels, upper: tuple[int, ...], lower: tuple[int, ...], brow: tuple[int, ...]) -> Lid:
    first, last = mesh.points[upper[0], :2], mesh.points[upper[-1], :2]
    if first[0] > last[0]:
        first, last = last, first
    width = max(float(np.linalg.norm(last - first)), 1.0)
    across = ((last - first) / width).astype(np.float32)
    vertical = np.array([-across[1], across[0]], np.float32)

    def heights(ids: tuple[int, ...]) -> Array:
        curve = smooth_curve(mesh.points[list(ids), :2]) - first
        along = curve @ across
        order = np.argsort(along)
        return np.interp(stations, along[order], (curve @ vertical)[order]).astype(np.float32)

    stations = np.linspace(-0.12, 1.12, 125, dtype=np.float32) * width
    top = heights(upper)
    gap = np.maximum(heights(lower) - top, 0.0)
    ends = smoothstep(stations / width, -0.02, 0.24) * (1 - smoothstep(stations / width, 0.76, 1.02))
    gap = gap * ends
    travel = gap * 1.07 + 0.02 * width * np.clip(gap / (0.25 * gap.max() + 1e-6), 0, 1)
    brows = (mesh.points[list(brow), :2] - first) @ vertical
    fold = float(np.clip(0.72 * (top.mean() - brows.max()), 0.10 * width, 0.30 * width))
    return Lid(first, across, width, stations, top - 0.012 * width, travel.astype(np.float32), fold)
