"""Where the lips really part in the photo: the mesh is a pixel or two off, and that is what would be seen."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from echomimic.faces.geometry import (
    LOWER_LIP_INNER,
    LOWER_LIP_OUTER,
    MOUTH_CORNERS,
    UPPER_LIP_INNER,
    UPPER_LIP_OUTER,
)
from echomimic.preview.mesh.face_mesh import (
    LOWER_LIP_BETWEEN,
    SMALL,
    TINY,
    UPPER_LIP_BETWEEN,
    Array,
    direction,
)
from echomimic.preview.mesh.warp import LUMA, Pixels, remap
from echomimic.preview.mouth.rest import REST

# Places between a lip's inner and outer edge that are looked at.
_PROBES = np.linspace(0.0, 0.6, 19, dtype=np.float32)


@dataclass(frozen=True)
class _Tuning:
    """Lengths in mouth widths. Tuned by eye on photos and painted portraits, where the mesh misses the lips
    by a pixel or two."""

    upper: float = 0.010
    lower: float = 0.014
    # The contour of an open mouth is moved into the lips by at least this, and so many pixels: what is
    # beside it is a mixture of lip and dark.
    pixels: float = 0.3
    # Where between a lip's two contours the rows between them may lie: on one they would fold over.
    between: tuple[float, float] = (0.1, 0.9)
    # Weights of neighbours along the lip: one wrong probe makes no dent.
    smooth: tuple[float, float, float] = (0.25, 0.5, 0.25)
    # Lips are at least so much redder than grey.
    least_red: float = 0.08
    # What is darker than the lip by this is the mouth's inside; …
    dark: float = 0.68
    bright: float = 1.1
    # … so is what is brighter by the first, if it is not redder than the second share of the lip: a tooth.
    tooth_red: float = 0.45
    # Smoothing before the line of closed lips is looked for: pixels at least, and lengths.
    blur: tuple[float, float] = (0.6, 0.008)
    # How far from the mesh's line it is looked for, …
    reach: float = 0.055
    # … where a place at the end of the reach has to be darker by this share of the contrast.
    far: float = 0.315


_TUNING = _Tuning()


def fit_lip_line(points: Array, picture: Pixels) -> Array:
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
        _widen(points, picture, UPPER_LIP_INNER, UPPER_LIP_OUTER, _TUNING.upper * width + _TUNING.pixels)
        _widen(points, picture, LOWER_LIP_INNER, LOWER_LIP_OUTER, _TUNING.lower * width + _TUNING.pixels)
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
            length = np.maximum(np.square(before).sum(1), TINY)
            share = ((found[ids, :2] - found[rim, :2]) * before).sum(1) / length
            share = np.clip(share, *_TUNING.between)
            points[ids, :2] = found[ids, :2] + share[:, None] * (points[edge, :2] - found[edge, :2])


def _widen(
    points: Array, picture: Pixels, inner: tuple[int, ...], outer: tuple[int, ...], least: float
) -> None:
    """Moves an open mouth's inner contour out to where lip begins, so that no tooth or dark sticks to it."""
    edge, rim = points[list(inner[1:-1]), :2], points[list(outer[1:-1]), :2]
    across = rim - edge
    height = np.maximum(np.linalg.norm(across, axis=1), TINY)
    seen = remap(picture, (edge[:, None] + _PROBES[:, None] * across[:, None]).astype(np.float32)).astype(
        np.float32
    )
    depth = np.maximum(least, _inside_until(seen) * height + 0.5 * least)
    soft = np.convolve(np.pad(depth, 1, mode="edge"), _TUNING.smooth, mode="valid")
    points[list(inner[1:-1]), :2] += (
        across / height[:, None] * np.minimum(np.maximum(soft, depth), 0.5 * height)[:, None]
    )


def _inside_until(seen: Array) -> Array:
    """(n,) up to which share of the lip's height the probes (n, 19, 3) show the mouth's inside."""
    lip = np.median(seen[:, -4:], axis=(0, 1))
    bright = seen @ LUMA / max(float(lip @ LUMA), 1.0)
    red = (seen[..., 0] - seen[..., 1:].mean(-1)) / np.maximum(seen @ LUMA, 1.0)
    lip_red = max(float((lip[0] - lip[1:].mean()) / max(float(lip @ LUMA), 1.0)), _TUNING.least_red)
    tooth = (bright > _TUNING.bright) & (red < _TUNING.tooth_red * lip_red)
    inside = (bright < _TUNING.dark) | tooth
    # From the opening outwards, until two probes in a row show lip.
    lip_begins = ~inside & ~np.roll(inside, -1, axis=1)
    first = np.where(lip_begins[:, :-1].any(1), lip_begins[:, :-1].argmax(1), 0)
    return np.asarray(_PROBES[first])


def _snap(points: Array, picture: Pixels, width: float) -> None:
    """Moves the line of closed lips onto the dark line between them, by a smooth curve through the darkest
    places."""
    grey: Array = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    grey = cv2.GaussianBlur(grey, (0, 0), max(_TUNING.blur[0], width * _TUNING.blur[1]))
    line = 0.5 * (points[list(UPPER_LIP_INNER), :2] + points[list(LOWER_LIP_INNER), :2])
    across = direction(line[-1] - line[0])
    down = np.array([-across[1], across[0]], np.float32)
    reach = np.linspace(-_TUNING.reach, _TUNING.reach, 45, dtype=np.float32) * width
    probes = (line[1:-1, None] + reach[None, :, None] * down).astype(np.float32)
    seen = remap(grey, probes)
    away = (reach / (_TUNING.reach * width)) ** 2
    cost = seen + _TUNING.far * away * np.ptp(seen, axis=1, keepdims=True)
    best = cost.argmin(1)
    depth = np.maximum(SMALL, np.median(seen, 1) - seen[np.arange(len(best)), best])
    x = np.linspace(-1, 1, len(best))
    shift = np.polyval(np.polyfit(x, reach[best], 2, w=np.sqrt(depth)), x)
    for a, b, by in zip(UPPER_LIP_INNER[1:-1], LOWER_LIP_INNER[1:-1], shift, strict=True):
        points[a, :2] += down * by
        points[b, :2] += down * by
