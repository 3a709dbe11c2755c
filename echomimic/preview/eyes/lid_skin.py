"""The skin of a closed eye, continued from what the photo shows above and below the open one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from echomimic.preview.eyes.eye_axis import EyeAxis
from echomimic.preview.eyes.tuning import EYE_TUNING
from echomimic.preview.mesh.face_mesh import SMALL, Array, soft_step
from echomimic.preview.mesh.warp import LUMA, Pixels, blur, remap


@dataclass(frozen=True)
class LidSkin:
    """Skin over the whole eye, and where it is used."""

    values: Array
    """(h, w, 5) of the eye's box: RGB 0…255; how much of it is lid, how much covers what lies under the
    lid"""
    lash: Array
    """(3,) colour of the lashes"""

    def sample(self, at: Array) -> tuple[Array, Array, Array]:
        """Colour (h, w, 3) and both shares (h, w) at positions (h, w, 2) in the box."""
        at = at.astype(np.float32)
        colour, shares = remap(self.values[..., :3], at), remap(self.values[..., 3:], at)
        return colour, shares[..., 0], shares[..., 1]


def make_lid_skin(axis: EyeAxis, picture: Pixels, box: tuple[int, int, int, int]) -> LidSkin:
    """picture: (H, W, 3) at the frame's size. box: x0, y0, x1, y1 of the eye in it."""
    x0, y0, x1, y1 = box
    pixels = np.stack(np.meshgrid(np.arange(x0, x1), np.arange(y0, y1)), -1).astype(np.float32)
    along, down = axis.local(pixels)
    upper, lower = axis.along(axis.upper, along), axis.along(axis.lower, along)
    colour = _continue_skin(axis, picture, along, down, upper, lower)
    image = picture[y0:y1, x0:x1].astype(np.float32)
    lash = _lash_colour(axis, image, colour, down - upper, along)
    colour += _texture(axis, picture, pixels)
    above, below = _shares(axis, along, upper - down, down - lower)
    values = np.concatenate([colour.clip(0, 255), above[..., None], below[..., None]], 2)
    return LidSkin(values.astype(np.float32), lash)


def _continue_skin(
    axis: EyeAxis, picture: Pixels, along: Array, down: Array, upper: Array, lower: Array
) -> Array:
    """(h, w, 3) colours that lead from the skin above the eye to the skin below it."""
    width = axis.width
    reach = [
        max(share * axis.brow, least * width) for share, least in zip(*EYE_TUNING.probe_above, strict=True)
    ]
    over = _probe(axis, picture, axis.upper, -np.array(reach))
    under = _probe(axis, picture, axis.lower, np.array(EYE_TUNING.probe_below) * width)
    light = np.clip(over @ LUMA / np.maximum(under @ LUMA, 1), 0, EYE_TUNING.upper_light[1])
    shaded = np.maximum(EYE_TUNING.upper_light[0] - light, 0) / np.maximum(1 - light, SMALL)
    over = over + (under - over) * shaded[:, None]
    start, end = upper - reach[0], lower + EYE_TUNING.probe_below[0] * width
    share = soft_step((down - start) / np.maximum(end - start, 1), 0, 1)[..., None]
    above, below = axis.along(over * np.array(EYE_TUNING.tint), along), axis.along(under, along)
    return np.asarray(above + (below - above) * share, dtype=np.float32)


def _probe(axis: EyeAxis, picture: Pixels, contour: Array, between: Array) -> Array:
    """(n, 3) the skin's colour beside a contour, `between` two distances from it (pixels, positive down)."""
    reach = np.linspace(float(between[0]), float(between[1]), 9, dtype=np.float32)
    at = (
        axis.corner
        + axis.stations[:, None, None] * axis.across
        + (contour[:, None] + reach)[..., None] * axis.down
    )
    seen = remap(picture, at.astype(np.float32)).astype(np.float32)
    rank = np.argsort(seen @ LUMA, axis=1)[:, round(EYE_TUNING.probe_rank * (len(reach) - 1))]
    chosen = seen[np.arange(len(seen)), rank]
    inside = np.clip(np.arange(len(chosen)), *np.searchsorted(axis.stations, (0, axis.width)))
    sigma = EYE_TUNING.probe_blur * axis.width / float(axis.stations[1] - axis.stations[0])
    return np.asarray(blur(chosen[inside][None], sigma)[0], dtype=np.float32)


def _texture(axis: EyeAxis, picture: Pixels, pixels: Array) -> Array:
    """(h, w, 3) what the skin under the eye has of pores, grain and brush strokes."""
    gap = float(np.maximum(axis.lower - axis.upper, 0).max())
    at = pixels + (gap + EYE_TUNING.texture_from * axis.width) * axis.down
    seen = remap(picture, at.astype(np.float32), "mirror").astype(np.float32)
    fine = seen - blur(seen, max(1.0, EYE_TUNING.texture_blur * axis.width))
    most = EYE_TUNING.texture_most * np.median(np.abs(fine), axis=(0, 1)) + 1
    return np.asarray(np.clip(fine, -most, most), dtype=np.float32)


def _shares(axis: EyeAxis, along: Array, over: Array, under: Array) -> tuple[Array, Array]:
    """(h, w) each: where the skin is used as the lid, and where it covers the eye under the lid."""
    width = axis.width
    beside = np.maximum(-along, along - width) / width
    near = 1 - soft_step(beside, *EYE_TUNING.beside)
    whole, ends = EYE_TUNING.above
    ends = min(ends, EYE_TUNING.above_brow * axis.brow / width)
    whole = min(whole, ends / 2)
    below = 1 - soft_step(under / width, *EYE_TUNING.below)
    return near * (1 - soft_step(over / width, whole, ends)) * below, near * below


def _lash_colour(axis: EyeAxis, image: Array, skin: Array, under: Array, along: Array) -> Array:
    """(3,) the darkest of the open eye's rim, at most so bright against the skin that it is seen."""
    width = axis.width
    rim = (np.abs(under) < EYE_TUNING.reach_blur * width) & (along > 0) & (along < width)
    light = image @ LUMA
    dark = (
        image[rim][np.argsort(light[rim])[: max(1, int(rim.sum()) // 6)]]
        if rim.any()
        else image.reshape(-1, 3)
    )
    return np.asarray(
        np.minimum(dark.mean(0), EYE_TUNING.lash_dark * skin.reshape(-1, 3).mean(0)), dtype=np.float32
    )
