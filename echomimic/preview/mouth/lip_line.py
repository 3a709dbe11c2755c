"""Where the lips really part in the photo: the mesh is a pixel or two off, and that is what would be seen."""

from __future__ import annotations

import cv2
import numpy as np

from echomimic.faces.geometry import (
    LOWER_LIP_INNER,
    LOWER_LIP_OUTER,
    MOUTH_CORNERS,
    UPPER_LIP_INNER,
    UPPER_LIP_OUTER,
)
from echomimic.preview.mesh.face_mesh import LOWER_LIP_BETWEEN, UPPER_LIP_BETWEEN, Array
from echomimic.preview.mesh.warp import LUMA, Pixels, remap
from echomimic.preview.mouth.rest import REST

_PROBES = np.linspace(0.0, 0.6, 19, dtype=np.float32)
"""Places between a lip's inner and outer edge that are looked at."""


def prepared(points: Array, picture: Pixels) -> Array:
    """(478, 3) the points with the lip line laid where the photo shows it. picture: (H, W, 3) at the frame's
    size."""
    found, points = points, points.copy()
    width = float(np.linalg.norm(points[MOUTH_CORNERS[0], :2] - points[MOUTH_CORNERS[1], :2]))
    unit = float(np.linalg.norm(points[33, :2] - points[263, :2]))
    for inner, outer in ((UPPER_LIP_INNER[0], MOUTH_CORNERS[0]), (UPPER_LIP_INNER[-1], MOUTH_CORNERS[1])):
        # The lips part almost up to the corner, further than the mesh has it.
        points[inner] += 0.5 * (points[outer] - points[inner])
    gap = np.linalg.norm(points[list(UPPER_LIP_INNER), :2] - points[list(LOWER_LIP_INNER), :2], axis=1).max()
    if gap > REST.open_photo * unit:
        _widen(points, picture, UPPER_LIP_INNER, UPPER_LIP_OUTER, 0.010 * width + 0.3)
        _widen(points, picture, LOWER_LIP_INNER, LOWER_LIP_OUTER, 0.014 * width + 0.3)
    else:
        _snap(points, picture, width)
    _spread_rows(found, points)
    return points


def _spread_rows(found: Array, points: Array) -> None:
    """Lets the rows between a lip's contours keep their place between them: `found` before, `points`
    after."""
    for outer, inner, rows in (
        (UPPER_LIP_OUTER, UPPER_LIP_INNER, UPPER_LIP_BETWEEN),
        (LOWER_LIP_OUTER, LOWER_LIP_INNER, LOWER_LIP_BETWEEN),
    ):
        for row in rows:
            ids, rim, edge = (list(part[1:-1]) for part in (row, outer, inner))
            before = found[edge, :2] - found[rim, :2]
            length = np.maximum(np.square(before).sum(1), 1e-6)
            share = np.clip(((found[ids, :2] - found[rim, :2]) * before).sum(1) / length, 0.1, 0.9)
            points[ids, :2] = found[ids, :2] + share[:, None] * (points[edge, :2] - found[edge, :2])


def _widen(
    points: Array, picture: Pixels, inner: tuple[int, ...], outer: tuple[int, ...], least: float
) -> None:
    """Moves an open mouth's inner contour out to where lip begins, so that no tooth or dark sticks to it."""
    edge, rim = points[list(inner[1:-1]), :2], points[list(outer[1:-1]), :2]
    across = rim - edge
    height = np.maximum(np.linalg.norm(across, axis=1), 1e-6)
    seen = remap(picture, (edge[:, None] + _PROBES[:, None] * across[:, None]).astype(np.float32)).astype(
        np.float32
    )
    depth = np.maximum(least, _inside_until(seen) * height + 0.5 * least)
    soft = np.convolve(np.pad(depth, 1, mode="edge"), [0.25, 0.5, 0.25], mode="valid")
    points[list(inner[1:-1]), :2] += (
        across / height[:, None] * np.minimum(np.maximum(soft, depth), 0.5 * height)[:, None]
    )


def _inside_until(seen: Array) -> Array:
    """(n,) up to which share of the lip's height the probes (n, 19, 3) show the mouth's inside."""
    lip = np.median(seen[:, -4:], axis=(0, 1))
    bright = seen @ LUMA / max(float(lip @ LUMA), 1.0)
    red = (seen[..., 0] - seen[..., 1:].mean(-1)) / np.maximum(seen @ LUMA, 1.0)
    lip_red = max(float((lip[0] - lip[1:].mean()) / max(float(lip @ LUMA), 1.0)), 0.08)
    inside = (bright < 0.68) | ((bright > 1.1) & (red < 0.45 * lip_red))
    # From the opening outwards, until two probes in a row show lip.
    lip_begins = ~inside & ~np.roll(inside, -1, axis=1)
    first = np.where(lip_begins[:, :-1].any(1), lip_begins[:, :-1].argmax(1), 0)
    return np.asarray(_PROBES[first])


def _snap(points: Array, picture: Pixels, width: float) -> None:
    """Moves the line of closed lips onto the dark line between them, by a smooth curve through the darkest
    places."""
    grey: Array = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    grey = cv2.GaussianBlur(grey, (0, 0), max(0.6, width * 0.008))
    line = 0.5 * (points[list(UPPER_LIP_INNER), :2] + points[list(LOWER_LIP_INNER), :2])
    across = (line[-1] - line[0]) / max(float(np.linalg.norm(line[-1] - line[0])), 1e-6)
    down = np.array([-across[1], across[0]], np.float32)
    reach = np.linspace(-0.055, 0.055, 45, dtype=np.float32) * width
    probes = (line[1:-1, None] + reach[None, :, None] * down).astype(np.float32)
    seen = remap(grey, probes)
    cost = seen + 0.315 * (reach / (0.055 * width)) ** 2 * np.ptp(seen, axis=1, keepdims=True)
    best = cost.argmin(1)
    depth = np.maximum(1e-3, np.median(seen, 1) - seen[np.arange(len(best)), best])
    x = np.linspace(-1, 1, len(best))
    shift = np.polyval(np.polyfit(x, reach[best], 2, w=np.sqrt(depth)), x)
    for a, b, by in zip(UPPER_LIP_INNER[1:-1], LOWER_LIP_INNER[1:-1], shift, strict=True):
        points[a, :2] += down * by
        points[b, :2] += down * by
