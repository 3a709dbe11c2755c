"""The portrait's light inside its mouth: colours of teeth, dark and tongue, and the picture's grain.

The white of the eyes is the one place of a face that shows what white is in its picture, whether that is a
dim photo, a yellowed painting, a grey print or a statue. Teeth are as white as that.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from echomimic.faces import geometry as g
from echomimic.preview.curves import polygon_mask, smooth_curve
from echomimic.preview.mesh.face_mesh import SMALL, Array, Mesh, soft_step
from echomimic.preview.mesh.warp import LUMA, WHITE, Texture

LIP_SKIN = (17, 84, 314, 85, 315, 0, 37, 267, 16)
"""Mesh points in the red of the lips, away from their edges and from the shine in the middle."""
_CHEEK_SKIN = (50, 280, 205, 425, 118, 347, 101, 330)
_EYES = (
    (g.LEFT_EYE_UPPER, g.LEFT_EYE_LOWER, g.LEFT_IRIS),
    (g.RIGHT_EYE_UPPER, g.RIGHT_EYE_LOWER, g.RIGHT_IRIS),
)


@dataclass(frozen=True)
class LightTuning:
    """Levels are those of 8-bit pictures. By eye on 24 portraits, dimmed, grainy and grey copies included."""

    iris: float = 1.25
    """The white of an eye begins this many iris radii from the iris's middle."""
    white_rank: tuple[float, float] = (0.65, 0.97)
    """The pixels between these ranks of brightness count: below is shadow, above is gloss."""
    least_white: int = 6
    """Pixels of white without which an eye tells nothing."""
    tooth: float = 1.20
    """Brightness of front teeth against the white of the eyes, which lies in the shade of the lids, …"""
    tooth_range: tuple[float, float] = (0.85, 1.45)
    """… against the skin at least and at most this, …"""
    tooth_level: float = 0.30
    """… and at most this share of white plus the rest of skin; …"""
    brightest: float = 228.0
    unseen: float = 1.15
    """Brightness of teeth against skin where the eyes show no white."""
    paler: tuple[float, float] = (0.92, 0.85)
    """What is more colourful, against the skin, is no white but lid; and the most of it that teeth take."""
    tooth_tint: tuple[float, float, float] = (1.02, 0.995, 0.945)
    """… they are warmer than it."""
    cavity: tuple[float, float, float] = (44.0, 16.0, 15.0)
    tongue: tuple[float, float, float] = (150.0, 72.0, 72.0)
    lit: float = 110.0
    """Skin darker than this makes the inside darker too."""
    colourful: tuple[float, float] = (0.04, 0.14)
    """Saturation of skin and lips below the first is a grey picture's, above the second a coloured one's."""
    grain_blur: float = 1.2
    """Pixels: what is finer than this on the cheeks is grain."""
    least_grain: float = 0.8
    """Levels of grain that are left away."""
    most_grain: float = 10.0
    """What is stronger is no grain, but wrinkles or strokes of a brush: a mouth would be full of snow."""
    grain_reach: float = 0.07
    """Half the side of the patches of cheek that are looked at, outer eye distances."""
    grain_lost: float = 1.2
    """A blur of `grain_blur` takes a third of white noise along, so much is added again."""
    levels: tuple[float, float] = (6.0, 235.0)
    """Brightness of skin counts within these: what lies outside is black or white, not skin."""
    cavity_light: tuple[float, float] = (0.45, 0.6)
    """The light of the mouth's dark with black skin, and what white skin adds: a bright picture fills
    shadows."""
    tongue_lip: tuple[float, float] = (0.55, 0.45)
    """A tongue has this share of the lips' colour and this of `tongue`, …"""
    tongue_light: tuple[float, float] = (0.60, 0.25)
    """… in light as `cavity_light`."""
    tooth_most: float = 0.96
    """`tooth_level` and the share of skin make this together."""
    skin_colour: tuple[float, float, float] = (1.16, 0.97, 0.84)
    """The usual skin against its brightness; what a portrait's differs from it by is the colour of the light,
    …"""
    skin_tells: float = 0.45
    """… of which teeth take this share: the rest may be the skin's own, …"""
    skin_range: tuple[float, float] = (0.75, 1.3)
    """… within these limits."""
    white_range: tuple[float, float] = (0.6, 1.5)
    """The colour of the white of eyes against its brightness, within these limits."""
    least_colour: float = 0.1
    """Saturation that skin has at least when it is asked whether the eye's white is less colourful."""
    in_eye: float = 0.9
    """Coverage from which on a pixel lies wholly in the eye."""


LIGHT_TUNING = LightTuning()
# Median absolute deviations in a standard deviation of normal noise: 1 / Φ⁻¹(3/4).
_DEVIATIONS = 1.4826


@dataclass(frozen=True)
class Light:
    """Colours of the mouth's inside under the portrait's light, RGB 0…255."""

    tooth: Array
    cavity: Array
    tongue: Array
    chroma: float = 1.0
    """1 in a coloured picture, 0 in a grey one"""
    grain: float = 0.0
    """standard deviation of the picture's grain, levels"""


def find_light(mesh: Mesh, texture: Texture, width: int, height: int) -> Light:
    """The light of the portrait in frames of width × height."""
    skin = np.median(_colours(mesh, texture, _CHEEK_SKIN, width, height), 0)
    lip = np.median(_colours(mesh, texture, LIP_SKIN, width, height), 0)
    chroma = float(soft_step(np.float32(max(map(_saturation, (skin, lip)))), *LIGHT_TUNING.colourful))
    level = float(np.clip(skin @ LUMA, *LIGHT_TUNING.levels))
    dim = min(1.0, level / LIGHT_TUNING.lit)
    dark, more = LIGHT_TUNING.cavity_light
    cavity = np.array(LIGHT_TUNING.cavity, np.float32) * (dark + more * level / WHITE) * dim
    own, usual = LIGHT_TUNING.tongue_lip
    tongue = own * lip + usual * np.array(LIGHT_TUNING.tongue, np.float32) * dim
    dark, more = LIGHT_TUNING.tongue_light
    tongue = tongue * (dark + more * level / WHITE)
    tooth = _tooth(_white(mesh, texture, width, height), skin, level)
    grain = _grain(mesh, texture, width, height)
    return Light(tooth, _greyed(cavity, chroma), _greyed(tongue, chroma), chroma, grain)


def _tooth(white: Array | None, skin: Array, level: float) -> Array:
    """(3,) the colour of front teeth; white: (3,) that of the eyes, None where they show none."""
    share = LIGHT_TUNING.tooth_level
    most = min(share * 235 + (LIGHT_TUNING.tooth_most - share) * level, LIGHT_TUNING.brightest)
    low, high = (share * level for share in LIGHT_TUNING.tooth_range)
    colour = skin / max(float(skin @ LUMA), 1.0) / np.array(LIGHT_TUNING.skin_colour, np.float32)
    colour = 1.0 + LIGHT_TUNING.skin_tells * (np.clip(colour, *LIGHT_TUNING.skin_range) - 1.0)
    bright = LIGHT_TUNING.unseen * level
    coloured = max(_saturation(skin), LIGHT_TUNING.least_colour)
    if white is not None and _saturation(white) < LIGHT_TUNING.paler[0] * coloured:
        pale = min(1.0, LIGHT_TUNING.paler[1] * _saturation(skin) / max(_saturation(white), SMALL))
        colour = np.clip(_greyed(white, pale) / max(float(white @ LUMA), 1.0), *LIGHT_TUNING.white_range)
        bright = LIGHT_TUNING.tooth * float(white @ LUMA)
    bright = min(float(np.clip(bright, low, high)), most)
    tooth = bright * colour * np.array(LIGHT_TUNING.tooth_tint, np.float32)
    return np.asarray(tooth.clip(0, 245), dtype=np.float32)


def _white(mesh: Mesh, texture: Texture, width: int, height: int) -> Array | None:
    """(3,) the colour of the white of the eyes, of the eye that shows it brighter."""
    found = [_eye_white(mesh, texture, eye, (width, height)) for eye in _EYES]
    seen = [colour for colour in found if colour is not None]
    return max(seen, key=lambda colour: float(colour @ LUMA)) if seen else None


def _eye_white(
    mesh: Mesh,
    texture: Texture,
    eye: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]],
    size: tuple[int, int],
) -> Array | None:
    upper, lower, iris = eye
    outline = np.concatenate([smooth_curve(mesh.points[list(ids), :2]) for ids in (upper, lower[::-1])])
    low, high = np.floor(outline.min(0)).clip(0), np.ceil(outline.max(0)).clip(0, [v - 1 for v in size])
    (x0, y0), (x1, y1) = low.astype(int), high.astype(int)
    if x1 - x0 < 4 or y1 - y0 < 2:
        return None
    centre = mesh.points[iris[0], :2]
    radius = float(np.linalg.norm(mesh.points[list(iris[1:]), :2] - centre, axis=1).mean())
    pixels = np.stack(np.meshgrid(np.arange(x0, x1), np.arange(y0, y1)), -1).astype(np.float32)
    inside = polygon_mask(outline, x0, y0, x1 - x0, y1 - y0) > LIGHT_TUNING.in_eye
    inside &= np.linalg.norm(pixels - centre, axis=2) > LIGHT_TUNING.iris * radius
    colours = texture.sample(pixels)[..., :3][inside].astype(np.float32)
    if len(colours) < LIGHT_TUNING.least_white:
        return None
    light = colours @ LUMA
    first, last = np.quantile(light, LIGHT_TUNING.white_rank)
    return np.asarray(colours[(light >= first) & (light <= last)].mean(0), dtype=np.float32)


def _greyed(colour: Array, chroma: float) -> Array:
    grey = float(colour @ LUMA)
    return np.asarray(grey + (colour - grey) * chroma, dtype=np.float32)


def _saturation(colour: Array) -> float:
    return float((colour.max() - colour.min()) / max(float(colour.max()), 1.0))


def _grain(mesh: Mesh, texture: Texture, width: int, height: int) -> float:
    """The median over the cheeks of what is finer than any shading, in levels."""
    reach = max(3, round(LIGHT_TUNING.grain_reach * mesh.unit))
    around = np.stack(np.meshgrid(*[np.arange(-reach, reach + 1)] * 2), -1).astype(np.float32)
    levels = []
    for point in _CHEEK_SKIN:
        at = around + np.round(mesh.points[point, :2].clip(0, [width - 1, height - 1])).astype(np.float32)
        seen = texture.sample(at)[..., :3].astype(np.float32) @ LUMA
        fine = seen - cv2.GaussianBlur(seen, (0, 0), LIGHT_TUNING.grain_blur)
        levels.append(_DEVIATIONS * float(np.median(np.abs(fine - np.median(fine)))))
    level = LIGHT_TUNING.grain_lost * float(np.median(levels))
    return min(level, LIGHT_TUNING.most_grain) if level > LIGHT_TUNING.least_grain else 0.0


def _colours(mesh: Mesh, texture: Texture, ids: tuple[int, ...], width: int, height: int) -> Array:
    at = mesh.points[list(ids), :2].clip(0, [width - 1, height - 1])[None].astype(np.float32)
    colours: Array = texture.sample(at)[0, :, :3].astype(np.float32)
    return colours
