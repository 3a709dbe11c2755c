"""The folds from the nose to the corners of the mouth: they deepen where the mouth widens or its corners
rise."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from echomimic.faces.geometry import MOUTH_CORNERS
from echomimic.preview.curves import smooth_curve
from echomimic.preview.mesh.face_mesh import TINY, Array, Mesh, direction, soft_step
from echomimic.preview.mesh.warp import FINER, WHITE, Pixels, remap

_LEFT = (129, 203, 206, 216, 212)
_RIGHT = (358, 423, 426, 436, 432)


@dataclass(frozen=True)
class _Tuning:
    """Lengths in units (outer eye distances), shades in shares of the light. Tuned by eye on photos and
    painted portraits."""

    # How much darker a fold gets, and …
    deepest: float = 0.095
    # … how much lighter the cheek that rises beside it.
    lit: float = 0.035
    # Skin in shade turns red, not grey.
    tint: tuple[float, float, float] = (0.72, 1.05, 1.12)
    # The way of a corner of the mouth that begins a fold, and that makes a full one, …
    way: tuple[float, float] = (0.008, 0.11)
    # … outwards, …
    aside: float = 0.85
    # … and upwards: a smile does both.
    upwards: float = 0.75
    # A fold less deep than this share changes no level.
    seen: float = 0.02
    # Room for the shades around the points of the folds.
    margin: float = 0.32
    dark_blur: float = 0.036
    # How soft both are: a cheek is rounder than a fold.
    lit_blur: float = 0.075
    lit_aside: float = 0.11
    # How far the lit cheek lies outside the fold and above it.
    lit_above: float = 0.03
    # Pixels: a sharper line would show the steps of its pixels.
    least_blur: float = 0.8
    # Below 1 a fold is deepest in its upper half, beside the nose.
    upper: float = 0.8


_TUNING = _Tuning()


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

    def paint(self, frame: Pixels, source: Array, corner: tuple[int, int], moved: Array, skin: Array) -> None:
        """Shades `frame`.

        source: (h, w, 2) which place of the texture each pixel of a part of the frame shows; corner: where
        that part begins, x first. moved: (478, 2) how far the mesh points moved in all, skin: (…, 2) how far
        by the expression; pixels.
        """
        depth = [
            float(soft_step(skin[corner] @ way / self.unit, *_TUNING.way))
            for corner, way in zip(MOUTH_CORNERS, self.outward, strict=True)
        ]
        if max(depth) < _TUNING.seen:
            return
        left, top = self.box[:2]
        x, y = np.round(moved[list(_LEFT + _RIGHT)].mean(0)).astype(int)
        x0, x1 = (int(np.clip(v + x, corner[0], corner[0] + source.shape[1])) for v in self.box[::2])
        y0, y1 = (int(np.clip(v + y, corner[1], corner[1] + source.shape[0])) for v in self.box[1::2])
        if x1 <= x0 or y1 <= y0:
            return
        shade = self.shades[0] * np.float32(depth[0]) + self.shades[1] * np.float32(depth[1])
        shown = source[y0 - corner[1] : y1 - corner[1], x0 - corner[0] : x1 - corner[0]]
        at = (shown - self.offset) / FINER - np.array([left, top], np.float32)
        light = remap(shade, np.asarray(at, np.float32), "zero")
        part = frame[y0:y1, x0:x1]
        part[:] = np.round(np.minimum(part * (1.0 + light[..., None] * self.tint), WHITE))


def make_folds(mesh: Mesh, width: int, height: int, chroma: float, offset: float) -> Folds:
    """chroma: 0 for a grey picture, 1 for a coloured one. offset: the texture's."""
    points, unit = mesh.points[:, :2], mesh.unit
    around = points[list(_LEFT + _RIGHT)]
    low, high = around.min(0) - _TUNING.margin * unit, around.max(0) + _TUNING.margin * unit
    x0, y0 = int(np.clip(low[0], 0, width - 2)), int(np.clip(low[1], 0, height - 2))
    x1, y1 = int(np.clip(high[0], x0 + 2, width)), int(np.clip(high[1], y0 + 2, height))
    corners = points[list(MOUTH_CORNERS)]
    across = direction(corners[1] - corners[0])
    down = np.array([-across[1], across[0]], np.float32)
    shades = []
    for ids, side in ((_LEFT, -1.0), (_RIGHT, 1.0)):
        line = smooth_curve(points[list(ids)]) - (x0, y0)
        dark = _ridge(line, x1 - x0, y1 - y0, _TUNING.dark_blur * unit)
        cheek = line + across * side * _TUNING.lit_aside * unit - down * _TUNING.lit_above * unit
        lit = _ridge(cheek, x1 - x0, y1 - y0, _TUNING.lit_blur * unit)
        shades.append(np.asarray(_TUNING.lit * lit - _TUNING.deepest * dark, dtype=np.float32))
    ways = tuple(
        (_TUNING.aside * side * across - _TUNING.upwards * down).astype(np.float32) for side in (-1.0, 1.0)
    )
    return Folds(
        (x0, y0, x1, y1),
        (shades[0], shades[1]),
        (ways[0], ways[1]),
        unit,
        1 + (np.array(_TUNING.tint, np.float32) - 1) * np.float32(chroma),
        offset,
    )


def _ridge(line: Array, width: int, height: int, sigma: float) -> Array:
    """(height, width) 1 along a line, strongest in its upper half, soft around it and at its ends."""
    drawn = np.zeros((height, width), np.float32)
    at = np.round(line * 16).astype(np.int32)
    count = len(line)
    for k in range(count - 1):
        weight = float(np.sin(np.pi * ((k + 0.5) / count) ** _TUNING.upper))
        cv2.line(drawn, at[k].tolist(), at[k + 1].tolist(), weight, 1, cv2.LINE_8, 4)
    soft = cv2.GaussianBlur(drawn, (0, 0), max(_TUNING.least_blur, sigma))
    return np.asarray(soft / max(float(soft.max()), TINY), dtype=np.float32)
