"""Smooth outlines through mesh points, and soft masks drawn from them."""

from __future__ import annotations

import cv2
import numpy as np

from echomimic.arrays import smoothstep
from echomimic.preview.mesh.face_mesh import Array


def smooth_curve(points: Array, steps: int = 6) -> Array:
    """A Catmull-Rom curve through (n, 2) points, `steps` pieces per span → ((n − 1)·steps + 1, 2)."""
    ends = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    t = np.linspace(0, 1, steps, endpoint=False, dtype=np.float32)[None, :, None]
    a, b, c, d = (ends[k : len(ends) - 3 + k, None] for k in range(4))
    spans = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    return np.concatenate([spans.reshape(-1, 2), points[-1:]]).astype(np.float32)


def polygon_mask(
    points: Array, x0: float, y0: float, width: int, height: int, *, fine: int = 4, blur: float = 0.0
) -> Array:
    """(height, width) coverage 0…1 of a polygon,
    pixel (0, 0) of the mask centred on (x0, y0) of the points."""
    mask = np.zeros((height * fine, width * fine), np.uint8)
    at = np.round(((points - (x0, y0)) * fine + (fine - 1) / 2) * 16).clip(-(2**24), 2**24).astype(np.int32)
    cv2.fillPoly(mask, [at], 255, cv2.LINE_AA, 4)
    small = cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    return np.asarray(cv2.GaussianBlur(small, (0, 0), blur) if blur else small, dtype=np.float32)


def feather(width: int, height: int, reach: int) -> Array:
    """(height, width, 1) weights falling to 0 at the edges of a box."""
    x = np.minimum(np.arange(width), np.arange(width)[::-1])
    y = np.minimum(np.arange(height), np.arange(height)[::-1])
    ramp = np.clip(np.minimum(x[None], y[:, None]) / reach, 0, 1).astype(np.float32)
    return smoothstep(ramp)[..., None]
