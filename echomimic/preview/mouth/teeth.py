"""Drawn teeth and tongue, as small pictures in mouth widths, lit like the portrait's skin."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from echomimic.preview.mesh.face_mesh import Array, soft_step
from echomimic.preview.mesh.warp import LUMA
from echomimic.preview.mouth.mouth_light import Light

HALF = 0.75
"""Pictures reach this far to either side of the middle, in mouth widths."""
TALL = 0.5
"""… and this far down."""

_UPPER = ((0.132, 0.215), (0.104, 0.203), (0.096, 0.206), (0.074, 0.190), (0.060, 0.176), (0.05, 0.160))
_LOWER = ((0.088, 0.150), (0.092, 0.148), (0.092, 0.152), (0.078, 0.142), (0.065, 0.132), (0.055, 0.122))
"""Width and height of the teeth from the middle outwards, in mouth widths, seen from the front."""

_LOWER_TINT = np.array([0.95, 0.86, 0.82], np.float32)
"""Lower teeth lie deeper, in light that lips and tongue have coloured."""


@dataclass(frozen=True)
class Paint:
    """A picture with coverage: (h, w, 4) float32, colours 0…255 premultiplied by coverage 0…1."""

    pixels: Array
    density: float
    """Pixels per mouth width."""


def draw_upper(light: Light, density: float, blur: float) -> Paint:
    """Upper teeth: y = 0 at the gum, growing towards the edge."""
    return _finish(*_row(_UPPER, density, seed=3, soft=blur), light.tooth, light.chroma, density, blur)


def draw_lower(light: Light, density: float, blur: float) -> Paint:
    """Lower teeth, turned over: their edge lies 0.15 above TALL; below the gum they sink into the dark."""
    cover, shade = _row(_LOWER, density, seed=8, soft=blur)
    x, y = _plane(density)
    cover = np.maximum(cover, (y < 0.12) * (np.abs(x) < 0.5))
    return _finish(cover[::-1], shade[::-1] * _LOWER_TINT, light.tooth, light.chroma, density, blur)


def draw_tongue(light: Light, density: float, blur: float) -> Paint:
    """The tongue's back: a soft mound, its top at y = 0."""
    x, y = _plane(density)
    mound = np.hypot(x / 0.30, (y - 0.33) / 0.33)
    cover = 1.0 - soft_step(mound, 0.72, 1.03)
    shade = 1.04 - 0.5 * soft_step(np.abs(x), 0.0, 0.32) - 0.10 * np.exp(-((x / 0.022) ** 2))
    shade = shade + 0.10 * np.exp(-(((y - 0.14) / 0.06) ** 2) - (x / 0.13) ** 2)
    tint = (np.ones((*x.shape, 3)) * shade[..., None]).astype(np.float32)
    soft = max(blur, 0.012 * density)
    return _finish(cover.astype(np.float32), tint, light.tongue, light.chroma, density, soft)


def _plane(density: float) -> tuple[Array, Array]:
    height, width = round(TALL * density), round(2 * HALF * density)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    return (x + 0.5) / density - HALF, (y + 0.5) / density


def _row(
    sizes: tuple[tuple[float, float], ...], density: float, *, seed: int, soft: float
) -> tuple[Array, Array]:
    """Coverage (h, w) and shade (h, w, 3) of one row. No two teeth are alike: small seeded size, tilt and
    tint."""
    rng = np.random.default_rng(seed)
    x, y = _plane(density)
    cover, shade = np.zeros_like(x), np.ones((*x.shape, 3), np.float32)
    gap = max(0.0035, 0.45 / density)
    for side in (-1, 1):
        inner = 0.0
        for number, (width, height) in enumerate(sizes):
            width *= 1 + 0.03 * rng.standard_normal()
            height *= 1 + 0.010 * rng.standard_normal()
            tilt = 0.012 * rng.standard_normal()
            across = (side * x - inner - width / 2 + tilt * (y - height)) / (width / 2)
            cover = np.maximum(cover, _tooth(across, y, height, number, gap / width, density))
            own = np.abs(across) <= 1.02
            shade = np.where(own[..., None], _enamel(across, y / height, rng), shade)
            inner += width
    shade *= 1.0 - 0.66 * soft_step(np.abs(x), 0.12, 0.48)[..., None]
    return cover, shade


def _tooth(across: Array, y: Array, height: float, number: int, gap: float, density: float) -> Array:
    """Coverage of one tooth; `across` is −1…1 over its width, +1 away from the middle of the mouth."""
    corner = 0.020 * np.abs(across) ** 5 + 0.016 * np.clip(across, 0, None) ** 3
    if number == 2:
        corner = 0.022 * np.abs(across - 0.05) ** 1.7
    edge = height - corner
    below = np.clip((edge - y) * density + 0.5, 0, 1)
    beside = np.clip((1.0 - gap - np.abs(across)) / max(gap, 1e-3) + 0.5, 0, 1)
    # Teeth touch for most of their height and part only near the edge and under the gum.
    touch = 0.80 - 0.55 * soft_step(y, height * 0.72, height)
    return np.asarray(
        below * np.where(np.abs(across) <= 1.0 + gap, np.maximum(beside, touch * (np.abs(across) <= 1)), 0)
    )


def _enamel(across: Array, down: Array, rng: np.random.Generator) -> Array:
    """(h, w, 3) shade of one tooth: rounder at the sides, warmer at the gum, cooler and thinner at the
    edge."""
    level = (
        1.0 + 0.018 * rng.standard_normal() - 0.13 * np.abs(across) ** 3 - 0.07 * soft_step(down, 0.86, 1.0)
    )
    level = level - 0.14 * (1 - soft_step(down, 0.0, 0.55))
    level = level + 0.05 * np.exp(-(((across + 0.15) / 0.35) ** 2) - ((down - 0.62) / 0.16) ** 2)
    warm = (1 - soft_step(down, 0.2, 0.8)) + 0.3 * rng.standard_normal()
    tint = np.stack([1.0 + 0.005 * warm, 1.0 - 0.006 * warm, 1.0 - 0.045 * warm], -1)
    return np.asarray(level[..., None] * tint, dtype=np.float32)


def _finish(cover: Array, shade: Array, colour: Array, chroma: float, density: float, blur: float) -> Paint:
    seen = np.minimum(shade * colour, 250.0)
    grey = (seen @ LUMA)[..., None]
    seen = grey + (seen - grey) * chroma
    pixels = np.concatenate([seen * cover[..., None], cover[..., None]], 2)
    pixels = np.ascontiguousarray(pixels, dtype=np.float32)
    return Paint(cv2.GaussianBlur(pixels, (0, 0), blur) if blur > 0.05 else pixels, density)
