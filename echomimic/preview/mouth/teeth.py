"""Drawn teeth and tongue, as small pictures in mouth widths, lit like the portrait's skin."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from echomimic.preview.mesh.face_mesh import SMALL, Array, soft_step
from echomimic.preview.mesh.warp import LUMA
from echomimic.preview.mouth.mouth_light import Light

HALF = 0.75
"""Pictures reach this far to either side of the middle, in mouth widths."""
TALL = 0.5
"""… and this far down."""

_UPPER = ((0.132, 0.215), (0.104, 0.203), (0.096, 0.206), (0.074, 0.190), (0.060, 0.176), (0.05, 0.160))
# Width and height of the teeth from the middle outwards, in mouth widths, seen from the front.
_LOWER = ((0.088, 0.150), (0.092, 0.148), (0.092, 0.152), (0.078, 0.142), (0.065, 0.132), (0.055, 0.122))


@dataclass(frozen=True)
class _TeethTuning:
    """Lengths in mouth widths, shades in shares of the tooth's light. By eye on the portraits of
    `LightTuning`; a row without gaps, shade and differences looks like a denture."""

    # Lower teeth lie deeper, in light that lips and tongue have coloured.
    lower_tint: tuple[float, float, float] = (0.95, 0.86, 0.82)
    # The height up to which the lower row is closed: its gum, which is never seen.
    lower_gum: float = 0.12
    # Half the space between two teeth, at least so wide and so many pixels: a thinner one would flicker.
    gap: tuple[float, float] = (0.0035, 0.45)
    width_spread: float = 0.03
    height_spread: float = 0.010
    # How different the teeth of one mouth are: standard deviations of their sizes, and of sideways per
    # down.
    tilt_spread: float = 0.012
    # Half a tooth's width in its halves: neighbours share a hair's breadth, so that no column is left
    # unshaded.
    own: float = 1.02
    # The row darkens by the first share between these distances from the middle: the cheeks shade it.
    aside: tuple[float, float, float] = (0.66, 0.12, 0.48)
    # How far the edge of a tooth rises at both of its corners, and more at the outer one.
    corner: tuple[float, float] = (0.020, 0.016)
    # A canine's edge is a point: its height, how far outside the middle it lies, how sharp it is.
    canine: tuple[float, float, float] = (0.022, 0.05, 1.7)
    # Cover between neighbours; what of it is lost to the edge, from this share of the height on.
    touch: tuple[float, float, float] = (0.80, 0.55, 0.72)
    tone_spread: float = 0.018
    # A tooth is round: darker at its sides, …
    side_shade: float = 0.13
    # … thin at its edge, from the second share of its height on, where the dark behind shines through, …
    edge_shade: tuple[float, float] = (0.07, 0.86)
    # … shaded by the lip down to this share, …
    gum_shade: tuple[float, float] = (0.14, 0.55)
    gloss: float = 0.05
    # … and glossy: place and reach across, place and reach down.
    gloss_at: tuple[float, float, float, float] = (0.15, 0.35, 0.62, 0.16)
    # The gum's warmth fades between these heights; how differently warm teeth are.
    warm: tuple[float, float, float] = (0.2, 0.8, 0.3)
    # What it adds to red and takes of green and blue.
    warmth: tuple[float, float, float] = (0.005, 0.006, 0.045)
    # Levels: wet enamel keeps some shape even in gloss.
    brightest: float = 250.0
    # Pixels: less is no blur.
    sharp: float = 0.05


@dataclass(frozen=True)
class _TongueTuning:
    """Lengths in mouth widths, shades in shares of the tongue's light; by eye, as the teeth."""

    # Half its width and half its height, …
    mound: tuple[float, float] = (0.30, 0.33)
    # … of which it fades between these shares: its sides are never seen apart from the dark.
    soft: tuple[float, float] = (0.72, 1.03)
    # The light on its middle, which is halved at this distance from it.
    shade: tuple[float, float] = (1.04, 0.32)
    # How dark and how wide the line along its middle is.
    furrow: tuple[float, float] = (0.10, 0.022)
    gloss: float = 0.10
    # Wet, it shines: how far under its top, over which height and half width.
    gloss_at: tuple[float, float, float] = (0.14, 0.06, 0.13)
    # A tongue is softer than teeth.
    blur: float = 0.012


_TEETH, _TONGUE = _TeethTuning(), _TongueTuning()


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
    cover = np.maximum(cover, (y < _TEETH.lower_gum) * (np.abs(x) < 0.5))
    tint = np.array(_TEETH.lower_tint, np.float32)
    return _finish(cover[::-1], shade[::-1] * tint, light.tooth, light.chroma, density, blur)


def draw_tongue(light: Light, density: float, blur: float) -> Paint:
    """The tongue's back: a soft mound, its top at y = 0."""
    x, y = _plane(density)
    (wide, high), (bright, dims) = _TONGUE.mound, _TONGUE.shade
    cover = 1.0 - soft_step(np.hypot(x / wide, (y - high) / high), *_TONGUE.soft)
    furrow = _TONGUE.furrow[0] * np.exp(-((x / _TONGUE.furrow[1]) ** 2))
    shade = bright - 0.5 * soft_step(np.abs(x), 0.0, dims) - furrow
    at, reach, half = _TONGUE.gloss_at
    shade = shade + _TONGUE.gloss * np.exp(-(((y - at) / reach) ** 2) - (x / half) ** 2)
    tint = (np.ones((*x.shape, 3)) * shade[..., None]).astype(np.float32)
    soft = max(blur, _TONGUE.blur * density)
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
    gap = max(_TEETH.gap[0], _TEETH.gap[1] / density)
    for side in (-1, 1):
        inner = 0.0
        for number, (width, height) in enumerate(sizes):
            width *= 1 + _TEETH.width_spread * rng.standard_normal()
            height *= 1 + _TEETH.height_spread * rng.standard_normal()
            tilt = _TEETH.tilt_spread * rng.standard_normal()
            across = (side * x - inner - width / 2 + tilt * (y - height)) / (width / 2)
            cover = np.maximum(cover, _tooth(across, y, height, number, gap / width, density))
            own = np.abs(across) <= _TEETH.own
            shade = np.where(own[..., None], _enamel(across, y / height, rng), shade)
            inner += width
    dark, *between = _TEETH.aside
    shade *= 1.0 - dark * soft_step(np.abs(x), *between)[..., None]
    return cover, shade


def _tooth(across: Array, y: Array, height: float, number: int, gap: float, density: float) -> Array:
    """Coverage of one tooth; `across` is −1…1 over its width, +1 away from the middle of the mouth."""
    both, outer = _TEETH.corner
    corner = both * np.abs(across) ** 5 + outer * np.clip(across, 0, None) ** 3
    if number == 2:
        high, aside, sharp = _TEETH.canine
        corner = high * np.abs(across - aside) ** sharp
    edge = height - corner
    below = np.clip((edge - y) * density + 0.5, 0, 1)
    beside = np.clip((1.0 - gap - np.abs(across)) / max(gap, SMALL) + 0.5, 0, 1)
    # Teeth touch for most of their height and part only near the edge and under the gum.
    most, lost, start = _TEETH.touch
    touch = most - lost * soft_step(y, height * start, height)
    return np.asarray(
        below * np.where(np.abs(across) <= 1.0 + gap, np.maximum(beside, touch * (np.abs(across) <= 1)), 0)
    )


def _enamel(across: Array, down: Array, rng: np.random.Generator) -> Array:
    """(h, w, 3) shade of one tooth: rounder at the sides, warmer at the gum, cooler and thinner at the
    edge."""
    edge, thins = _TEETH.edge_shade
    level = 1.0 + _TEETH.tone_spread * rng.standard_normal() - _TEETH.side_shade * np.abs(across) ** 3
    level = level - edge * soft_step(down, thins, 1.0)
    level = level - _TEETH.gum_shade[0] * (1 - soft_step(down, 0.0, _TEETH.gum_shade[1]))
    x, wide, y, high = _TEETH.gloss_at
    level = level + _TEETH.gloss * np.exp(-(((across + x) / wide) ** 2) - ((down - y) / high) ** 2)
    *heights, spread = _TEETH.warm
    warm = (1 - soft_step(down, *heights)) + spread * rng.standard_normal()
    red, green, blue = _TEETH.warmth
    tint = np.stack([1.0 + red * warm, 1.0 - green * warm, 1.0 - blue * warm], -1)
    return np.asarray(level[..., None] * tint, dtype=np.float32)


def _finish(cover: Array, shade: Array, colour: Array, chroma: float, density: float, blur: float) -> Paint:
    seen = np.minimum(shade * colour, _TEETH.brightest)
    grey = (seen @ LUMA)[..., None]
    seen = grey + (seen - grey) * chroma
    pixels = np.concatenate([seen * cover[..., None], cover[..., None]], 2)
    pixels = np.ascontiguousarray(pixels, dtype=np.float32)
    return Paint(cv2.GaussianBlur(pixels, (0, 0), blur) if blur > _TEETH.sharp else pixels, density)
