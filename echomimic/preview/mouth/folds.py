"""The folds from the nose to the corners of the mouth: they deepen where the mouth widens or its corners
rise."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from echomimic.faces.geometry import MOUTH_CORNERS
from echomimic.preview.curves import smooth_curve
from echomimic.preview.mesh.face_mesh import Array, Mesh, soft_step
from echomimic.preview.mesh.warp import FINER, Pixels, remap

_LEFT = (129, 203, 206, 216, 212)
_RIGHT = (358, 423, 426, 436, 432)
_DEEPEST = 0.095
"""How much darker a fold gets, and …"""
_LIT = 0.035
"""… how much lighter the cheek that rises beside it."""
_TINT = np.array([0.72, 1.05, 1.12], np.float32)
"""Skin in shade turns red, not grey."""
_FULL = 0.11
"""The corner's way, in units, that makes a full fold."""


@dataclass(frozen=True)
class Folds:
    box: tuple[int, int, int, int]
    shades: tuple[Array, Array]
    """(h, w) of the box for the left and the right fold: what a full fold adds to the light"""
    outward: tuple[Array, Array]
    """(2,) the way of each corner that makes a fold"""
    unit: float
    tint: Array
    """(3,) how much of a shade each colour takes"""
    offset: float
    """where the frame's first pixel lies in the texture"""

    def paint(self, frame: Pixels, source: Array, moved: Array, skin: Array) -> None:
        """Shades `frame`.

        source: (H, W, 2) which place of the texture each pixel shows. moved: (478, 2) how far the mesh points
        moved in all, skin: (…, 2) how far by the expression; pixels.
        """
        depth = [
            float(soft_step(skin[corner] @ way / self.unit, 0.008, _FULL))
            for corner, way in zip(MOUTH_CORNERS, self.outward, strict=True)
        ]
        if max(depth) < 0.02:
            return
        left, top = self.box[:2]
        x, y = np.round(moved[list(_LEFT + _RIGHT)].mean(0)).astype(int)
        x0, x1 = (int(np.clip(v + x, 0, frame.shape[1])) for v in self.box[::2])
        y0, y1 = (int(np.clip(v + y, 0, frame.shape[0])) for v in self.box[1::2])
        if x1 <= x0 or y1 <= y0:
            return
        shade = self.shades[0] * np.float32(depth[0]) + self.shades[1] * np.float32(depth[1])
        at = (source[y0:y1, x0:x1] - self.offset) / FINER - np.array([left, top], np.float32)
        light = remap(shade, np.asarray(at, np.float32), "zero")
        part = frame[y0:y1, x0:x1]
        part[:] = np.round(np.minimum(part * (1.0 + light[..., None] * self.tint), 255.0))


def make_folds(mesh: Mesh, width: int, height: int, chroma: float, offset: float) -> Folds:
    """chroma: 0 for a grey picture, 1 for a coloured one. offset: the texture's."""
    points, unit = mesh.points[:, :2], mesh.unit
    around = points[list(_LEFT + _RIGHT)]
    low, high = around.min(0) - 0.32 * unit, around.max(0) + 0.32 * unit
    x0, y0 = int(np.clip(low[0], 0, width - 2)), int(np.clip(low[1], 0, height - 2))
    x1, y1 = int(np.clip(high[0], x0 + 2, width)), int(np.clip(high[1], y0 + 2, height))
    corners = points[list(MOUTH_CORNERS)]
    across = (corners[1] - corners[0]) / max(float(np.linalg.norm(corners[1] - corners[0])), 1e-6)
    down = np.array([-across[1], across[0]], np.float32)
    shades = []
    for ids, side in ((_LEFT, -1.0), (_RIGHT, 1.0)):
        line = smooth_curve(points[list(ids)]) - (x0, y0)
        dark = _ridge(line, x1 - x0, y1 - y0, 0.036 * unit)
        lit = _ridge(line + across * side * 0.11 * unit - down * 0.03 * unit, x1 - x0, y1 - y0, 0.075 * unit)
        shades.append(np.asarray(_LIT * lit - _DEEPEST * dark, dtype=np.float32))
    ways = tuple((0.85 * side * across - 0.75 * down).astype(np.float32) for side in (-1.0, 1.0))
    return Folds(
        (x0, y0, x1, y1),
        (shades[0], shades[1]),
        (ways[0], ways[1]),
        unit,
        1 + (_TINT - 1) * np.float32(chroma),
        offset,
    )


def _ridge(line: Array, width: int, height: int, sigma: float) -> Array:
    """(height, width) 1 along a line, strongest in its upper half, soft around it and at its ends."""
    drawn = np.zeros((height, width), np.float32)
    at = np.round(line * 16).astype(np.int32)
    count = len(line)
    for k in range(count - 1):
        weight = float(np.sin(np.pi * ((k + 0.5) / count) ** 0.8))
        cv2.line(drawn, at[k].tolist(), at[k + 1].tolist(), weight, 1, cv2.LINE_8, 4)
    soft = cv2.GaussianBlur(drawn, (0, 0), max(0.8, sigma))
    return np.asarray(soft / max(float(soft.max()), 1e-6), dtype=np.float32)
