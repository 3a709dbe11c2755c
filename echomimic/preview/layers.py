"""The photo taken apart into the person, a soft matte, and the background behind the person."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from echomimic.faces.geometry import OVAL
from echomimic.preview.mesh import Array, Mesh
from echomimic.preview.warp import Pixels, resized


@dataclass(frozen=True)
class Layers:
    """person·matte + background·(1 − matte) is the photo again, to rounding."""

    person: Pixels
    """(th, tw, 3) the texture the head moves, colours free of background where the matte is soft."""
    matte: Array
    """(H, W) float32 0…1"""
    background: Pixels
    """(H, W, 3)"""


def split(texture: Pixels, picture: Pixels, mask: Array, mesh: Mesh) -> Layers:
    """texture: (s·H, s·W, 3); picture: (H, W, 3) the same at the frame's size; mask: (H, W) rough person mask."""
    height, width = mask.shape
    matte = _matte(picture, _with_face(mask, mesh), mesh.unit)
    behind = _fill(picture, _cover(matte, mesh.unit), mesh.unit)
    fine = resized_float(matte, texture.shape[1], texture.shape[0])[..., None]
    plate = cv2.resize(behind, (texture.shape[1], texture.shape[0]), interpolation=cv2.INTER_LINEAR)
    person = (texture - plate * (1 - fine)) / np.maximum(fine, 0.04)
    person = np.where(fine > 0.04, np.clip(person, 0, 255), texture)
    shown = cv2.resize(person, (width, height), interpolation=cv2.INTER_AREA)
    alpha = matte[..., None]
    exact = (picture - shown * alpha) / np.maximum(1 - alpha, 1e-3)
    behind = np.where(alpha > 0.98, behind, np.clip(exact, 0, 255))
    return Layers(np.round(person).astype(np.uint8), matte, np.round(behind.clip(0, 255)).astype(np.uint8))


def resized_float(values: Array, width: int, height: int) -> Array:
    if values.shape == (height, width):
        return values
    how = cv2.INTER_AREA if values.shape[1] > width else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(values, (width, height), interpolation=how), dtype=np.float32)


def _with_face(mask: Array, mesh: Mesh) -> Array:
    """The mask, certain inside the face."""
    sure = np.zeros(mask.shape, np.uint8)
    cv2.fillPoly(sure, [np.round(mesh.points[list(OVAL), :2]).astype(np.int32)], 1)
    return np.maximum(mask, sure.astype(np.float32))


def _matte(picture: Pixels, mask: Array, unit: float) -> Array:
    """A soft matte that follows the photo's edges, a little wider than the person."""
    guided = _guided(
        cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255, mask, max(2, round(unit * 0.06))
    )
    wide = max(1, round(unit * 0.035))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * wide + 1, 2 * wide + 1))
    grown = cv2.dilate(np.clip(np.maximum(guided, mask), 0, 1).astype(np.float32), kernel)
    soft = cv2.GaussianBlur(grown, (0, 0), max(0.8, wide * 0.6))
    return np.asarray(np.clip((soft - 0.08) / 0.72, 0.0, 1.0), dtype=np.float32)


def _guided(guide: Array, values: Array, radius: int, smoothing: float = 1e-3) -> Array:
    """Guided filter (He, Sun, Tang 2010): `values` with the edges of `guide`."""

    def mean(x: Array) -> Array:
        return np.asarray(cv2.blur(x, (2 * radius + 1, 2 * radius + 1)), dtype=np.float32)

    centre, level = mean(guide), mean(values)
    slope = (mean(guide * values) - centre * level) / (mean(guide * guide) - centre * centre + smoothing)
    return np.asarray(mean(slope) * guide + mean(level - slope * centre), dtype=np.float32)


def _cover(matte: Array, unit: float) -> Array:
    """1 where the background is not known."""
    wide = max(1, round(unit * 0.03))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * wide + 1, 2 * wide + 1))
    return np.asarray(cv2.dilate((matte > 0.05).astype(np.float32), kernel), dtype=np.float32)


def _fill(picture: Pixels, cover: Array, unit: float) -> Array:
    """The background continued behind the person, with the grain of what is seen of it."""
    image = picture.astype(np.float32)
    known = 1.0 - cover
    if known.mean() < 0.002:
        return image
    filled = push_pull(image, known)
    grain = image - cv2.GaussianBlur(image, (0, 0), 2.0)
    spread = np.minimum(grain[known > 0].std(0), 2.5) * 0.6
    noise = np.random.default_rng(0).standard_normal(picture.shape[:2], dtype=np.float32)[..., None]
    return np.asarray(filled + cover[..., None] * noise * spread, dtype=np.float32)


def push_pull(image: Array, known: Array) -> Array:
    """Fills where `known` is 0 from ever coarser averages of what is known (Gortler 1996)."""
    levels = [(image * known[..., None], known)]
    while min(levels[-1][1].shape) > 4:
        colour, weight = levels[-1]
        half = (max(1, weight.shape[1] // 2), max(1, weight.shape[0] // 2))
        small = cv2.resize(colour, half, interpolation=cv2.INTER_AREA)
        levels.append((small, cv2.resize(weight, half, interpolation=cv2.INTER_AREA)))
    colour, weight = levels[-1]
    result: Array = colour / np.maximum(weight, 1e-4)[..., None]
    average = levels[0][0].sum((0, 1)) / max(float(known.sum()), 1.0)
    result = np.where(weight[..., None] > 1e-4, result, average).astype(np.float32)
    for colour, weight in levels[-2::-1]:
        result = cv2.resize(result, (weight.shape[1], weight.shape[0]), interpolation=cv2.INTER_LINEAR)
        share = weight[..., None]
        result = np.where(share > 1e-3, colour + result * (1 - share), result).astype(np.float32)
    return result


__all__ = ["Layers", "resized", "resized_float", "split"]
