"""The person in a picture, as a soft mask, with MediaPipe's selfie segmentation
and edges taken from the picture."""

from __future__ import annotations

from typing import TypeAlias

import cv2
import numpy as np

from echomimic.arrays import Floats, Picture
from echomimic.faces.network import infer

_Region: TypeAlias = tuple[int, int, int, int]

# The side of the picture that MediaPipe's selfie segmentation takes.
_SIDE = 256
# The filter's coefficients are computed at this size and applied at the picture's own.
_WORK = 512
# A guided filter (He 2010) follows edges within this many pixels of `_WORK`, …
# … and calls colours one that differ by less than the root of this (levels of 0…1): hair stays apart, grain
# not.
_RADIUS = 6
_SMOOTH = 1e-4
_BAND = 128
# A person smaller than this part of the picture is looked at again, closer.
_SMALL = 0.6
# Beside the person the closer look keeps so much of its size, or the network would take the border for an
# end.
_MARGIN = 0.15


def person_mask(rgb: Picture, points: Floats | None = None) -> Floats:
    """(H, W) float32, 1 on the people in a picture (H, W, 3) uint8, 0 elsewhere, soft at hair and edges.

    points: (n, 2 or 3) pixels of a face that the person surely has; a small one is then looked at from
    closer.
    """
    height, width = rgb.shape[:2]
    scale = min(1.0, _WORK / min(height, width))
    small = _picture(rgb, max(1, round(width * scale)), max(1, round(height * scale)))
    coarse = _segment(small)
    near = _around(coarse) if points is None else _bust(points * scale, small.shape[1], small.shape[0])
    guide = small.astype(np.float32) / np.float32(255)
    mask = _guided(guide, _closer(small, coarse, near), rgb)
    # the filter leaves a faint veil
    clear: Floats = np.clip((mask - np.float32(0.08)) / np.float32(0.84), 0, 1)
    return clear


def _segment(rgb: Picture) -> Floats:
    """What the network sees in the picture, at the picture's size."""
    pixels = _picture(rgb, _SIDE, _SIDE).astype(np.float32)[None] / np.float32(255)
    return _resized(infer("person", pixels)["mask"], rgb.shape[1], rgb.shape[0])


def _closer(rgb: Picture, mask: Floats, near: _Region) -> Floats:
    """The mask, with the part `near` seen again from closer when that is a small part of the picture."""
    x0, y0, x1, y1 = near
    if (x1 - x0) * (y1 - y0) > _SMALL * mask.size or min(x1 - x0, y1 - y0) < 8:
        return mask
    again = _segment(rgb[y0:y1, x0:x1])
    # towards the part's own border (not the picture's) the network has seen too little
    weight = np.zeros(mask.shape, np.float32)
    weight[y0:y1, x0:x1] = 1
    soft = max(3, (y1 - y0) // 12) | 1
    weight = np.asarray(
        cv2.blur(cv2.erode(weight, np.ones((soft, soft), np.uint8)), (soft, soft)), np.float32
    )
    joined = mask.copy()
    joined[y0:y1, x0:x1] = again
    faded: Floats = joined * weight + mask * (1 - weight)
    return faded


def _bust(points: Floats, width: int, height: int) -> _Region:
    """Head and shoulders around a face."""
    low, high = points[:, :2].min(0), points[:, :2].max(0)
    size = float((high - low).max())
    x, y = (low + high) / 2
    return (
        max(0, int(x - 2.5 * size)),
        max(0, int(y - 1.6 * size)),
        min(width, int(x + 2.5 * size)),
        min(height, int(y + 3.4 * size)),
    )


def _around(mask: Floats) -> _Region:
    """x0, y0, x1, y1 of the person with a margin, or an empty box."""
    rows, columns = np.flatnonzero((mask > 0.5).any(1)), np.flatnonzero((mask > 0.5).any(0))
    if not len(rows):
        return 0, 0, 0, 0
    height, width = mask.shape
    margin_x, margin_y = (int(_MARGIN * np.ptp(axis)) + 2 for axis in (columns, rows))
    return (
        max(0, int(columns[0]) - margin_x),
        max(0, int(rows[0]) - margin_y),
        min(width, int(columns[-1]) + 1 + margin_x),
        min(height, int(rows[-1]) + 1 + margin_y),
    )


def _guided(guide: Floats, mask: Floats, picture: Picture) -> Floats:
    """Guided filter (He, Sun, Tang 2013, eq. 19–21; coefficients at low resolution as in the fast variant).

    guide: (h, w, 3) 0…1, mask: (h, w); picture: the guide at full size (H, W, 3) uint8. Returns (H, W).
    """
    mean, mean_mask = _blur(guide), _blur(mask)
    covariance = _blur(guide * mask[..., None]) - mean * mean_mask[..., None]
    variance = _blur(_products(guide)) - _products(mean)
    slope = _solve(variance, covariance)
    offset = _blur(mean_mask - (slope * mean).sum(-1))
    return _applied(np.dstack([_blur(slope), offset]).astype(np.float32), picture)


def _applied(model: Floats, picture: Picture) -> Floats:
    """For each pixel of the picture (H, W, 3) the mask that the small (h, w, 4) model makes of its colour."""
    height, width = picture.shape[:2]
    fx, fy = model.shape[1] / width, model.shape[0] / height
    mask = np.empty((height, width), np.float32)
    # in bands: a picture of 8,000 pixels a side would need a gigabyte at once
    for top in range(0, height, _BAND):
        colours = picture[top : top + _BAND]
        place = np.array([[fx, 0, 0.5 * fx - 0.5], [0, fy, (top + 0.5) * fy - 0.5]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        size = (width, len(colours))
        local = cv2.warpAffine(model, place, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
        mask[top : top + _BAND] = local[..., 3]
        for channel in range(3):
            mask[top : top + _BAND] += local[..., channel] * (colours[..., channel] * np.float32(1 / 255))
    return mask


_PAIRS = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))


def _products(colours: Floats) -> Floats:
    """(h, w, 6): the distinct products of the channels."""
    return np.stack([colours[..., i] * colours[..., j] for i, j in _PAIRS], -1)


def _solve(variance: Floats, right: Floats) -> Floats:
    """Solves (V + smooth·1) x = right for each pixel; V symmetric, given by its six distinct elements."""
    a, b, c, d, e, f = np.moveaxis(variance, -1, 0)
    a, d, f = a + _SMOOTH, d + _SMOOTH, f + _SMOOTH
    p, q, r = d * f - e * e, c * e - b * f, b * e - c * d
    determinant = a * p + b * q + c * r
    x, y, z = np.moveaxis(right, -1, 0)
    solved = [
        p * x + q * y + r * z,
        q * x + (a * f - c * c) * y + (b * c - a * e) * z,
        r * x + (b * c - a * e) * y + (a * d - b * b) * z,
    ]
    solution: Floats = np.stack(solved, -1) / determinant[..., None]
    return solution


def _blur(image: Floats) -> Floats:
    side = (2 * _RADIUS + 1, 2 * _RADIUS + 1)
    if image.ndim == 2:
        return np.asarray(cv2.blur(image, side), np.float32)
    return np.stack([_blur(image[..., i]) for i in range(image.shape[2])], -1)


def _resized(image: Floats, width: int, height: int) -> Floats:
    shrink = image.shape[0] > height
    way = cv2.INTER_AREA if shrink else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=way), np.float32)


def _picture(rgb: Picture, width: int, height: int) -> Picture:
    way = cv2.INTER_AREA if rgb.shape[0] > height else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(rgb, (width, height), interpolation=way), np.uint8)
