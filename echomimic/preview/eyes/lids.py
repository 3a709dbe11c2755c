"""Eyelids that close: first the photo's own lid slides down, then a lid of clean skin with a line of lashes takes over.

Stretching the photo's lid all the way would draw its lashes and crease out into smears; a smooth lid never does.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from echomimic.preview.curves import polygon_mask, smooth_curve
from echomimic.preview.layers import push_pull
from echomimic.preview.mesh.face_mesh import Array, Mesh, smoothstep
from echomimic.preview.mesh.warp import Pixels, Texture, remap

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_LID_TINT = np.array([0.97, 0.945, 0.945], np.float32)
"""A lid's thin skin is a little darker and redder than the skin around it."""
_TAKEN_OVER = (0.15, 0.45)
"""Between these closures the drawn lid replaces the photo's."""


@dataclass(frozen=True)
class Lid:
    """One eye's lids as heights over the line through its corners, in the photo; lengths in pixels."""

    corner: Array
    across: Array
    """(2,) direction from the left corner to the right"""
    width: float
    stations: Array
    """(n,) positions along the eye"""
    upper: Array
    """(n,) the upper lid's edge, positive down"""
    travel: Array
    """(n,) how far it goes down to close"""
    fold: float
    """how far above the lid its skin unfolds"""
    skin: Array
    """(h, w, 4) the eye's box without the eye: clean skin, and how much of it is used"""
    lash: Array
    """(3,) colour of the lashes"""
    line: Array
    """(n,) half the thickness of the line of lashes"""

    def close(self, eye: Array, texture: Texture, source: Array, corner: Array, aperture: Array, blink: float) -> Array:
        """(h, w, 3) the eye with its lid down by `blink`.

        source: (h, w, 2) photo coordinates that each pixel shows. corner: (2,) of the eye's box.
        """
        along, down = self._local(source)
        place = (along - self.stations[0]) / (self.stations[1] - self.stations[0])
        place = np.stack([place, np.zeros_like(place)], -1).astype(np.float32)
        edge, travel, line = (remap(row[None], place) for row in (self.upper, self.travel, self.line))
        under = down - edge - blink * travel
        taken = float(smoothstep(np.float32(blink), *_TAKEN_OVER))
        shadow = np.clip(under / (0.10 * self.width), 0, 1)
        eye = self._covered(eye, source - corner, aperture, blink)
        eye = eye * (1 - 0.28 * min(1.0, blink * 1.5) * (1 - shadow) * aperture[..., 0])[..., None]
        lid = self._slid(texture, source, edge, down, under, blink * travel)
        if taken > 0:
            lid = lid + (self._drawn(source - corner, under, blink * travel) - lid) * taken
        softness = max(1.0, 0.018 * self.width)
        closed = lid + (eye - lid) * np.clip(under / softness + 0.5, 0, 1)[..., None]
        return self._lashes(closed, along, under, line, np.clip(0.3 + travel / (0.10 * self.width), 0, 1) * taken)

    def _covered(self, eye: Array, at: Array, aperture: Array, blink: float) -> Array:
        """What the lid's curve leaves of the eye at its corners is skin once it is shut."""
        share = float(smoothstep(np.float32(blink), 0.7, 0.95)) * aperture
        return (
            np.asarray(eye + (remap(self.skin, at.astype(np.float32))[..., :3] - eye) * share) if share.any() else eye
        )

    def _slid(self, texture: Texture, source: Array, edge: Array, down: Array, under: Array, drop: Array) -> Array:
        """The photo's own lid, its skin unfolding from `fold` above."""
        top = edge - self.fold
        opened = np.maximum(edge + drop - top, 1e-3)
        place = np.clip((down - top) / opened, 0, 1)
        start = np.maximum(2 - opened / self.fold, 0.22)
        from_down = top + self.fold * (start * place + (1 - start) * place * place)
        slide = np.where((down > top) & (under <= 0), from_down - down, np.where(under > 0, -drop, 0.0))
        at = source + slide[..., None] * self._vertical()
        return texture.sample(at.astype(np.float32)).astype(np.float32)

    def _drawn(self, at: Array, under: Array, drop: Array) -> Array:
        """(h, w, 3) clean skin, round like the eyeball below it; the photo where it needs no cleaning."""
        clean = remap(self.skin, at.astype(np.float32))
        height = np.clip(-under / np.maximum(drop, 0.02 * self.width), 0, 1.6)
        round_ = 1.0 + 0.05 * np.exp(-(((height - 0.55) / 0.3) ** 2)) - 0.13 * np.exp(-((height / 0.22) ** 2))
        crease = 0.055 * np.exp(-(((under + drop + 0.055 * self.width) / (0.03 * self.width)) ** 2))
        share = np.clip(drop / (0.08 * self.width), 0, 1)
        return np.asarray(clean[..., :3] * (1 + (round_ - 1 - crease) * share * clean[..., 3])[..., None]).clip(0, 255)

    def _lashes(self, closed: Array, along: Array, under: Array, line: Array, strength: Array) -> Array:
        """The line of lashes, a little ragged, and hairs hanging from it."""
        phase = (along + 0.35 * under) / self.width * 2 * np.pi
        rough = float(smoothstep(np.float32(self.width), 30.0, 70.0))
        ragged = 0.6 + rough * (0.25 * np.cos(23 * phase) + 0.15 * np.cos(37 * phase + 1.7))
        # A line thinner than a pixel is drawn a pixel wide and fainter, or it would break into dots.
        thick = np.maximum(line, 0.9)
        stroke = np.sqrt(line / thick) * np.exp(-((under / thick) ** 2))
        hairs = 0.55 * ragged * np.exp(-np.maximum(under, 0) / (2.0 * thick)) * np.clip(under + 0.5, 0, 1)
        cover = np.clip(0.82 * stroke + hairs * (1 - stroke), 0, 1) * strength * (line > 0.05)
        return np.asarray(closed + (self.lash - closed) * cover[..., None])

    def _vertical(self) -> Array:
        vertical: Array = np.array([-self.across[1], self.across[0]], np.float32)
        return vertical

    def _local(self, at: Array) -> tuple[Array, Array]:
        offset = at - self.corner
        return np.asarray(offset @ self.across), np.asarray(offset @ self._vertical())


def make_lid(
    mesh: Mesh,
    picture: Pixels,
    box: tuple[int, int, int, int],
    upper: tuple[int, ...],
    lower: tuple[int, ...],
    brow: tuple[int, ...],
) -> Lid:
    """The lid of the eye between the contours `upper` and `lower` (outer corner first)."""
    outer_first = mesh.points[upper[0], 0] < mesh.points[upper[-1], 0]
    first, last = (mesh.points[upper[k], :2] for k in ((0, -1) if outer_first else (-1, 0)))
    width = max(float(np.linalg.norm(last - first)), 1.0)
    across = ((last - first) / width).astype(np.float32)
    vertical = np.array([-across[1], across[0]], np.float32)
    stations = np.linspace(-0.3, 1.3, 161, dtype=np.float32) * width

    def heights(ids: tuple[int, ...]) -> Array:
        curve = smooth_curve(mesh.points[list(ids), :2]) - first
        along = curve @ across
        order = np.argsort(along)
        return np.asarray(np.interp(stations, along[order], (curve @ vertical)[order]), dtype=np.float32)

    top, bottom = heights(upper), heights(lower)
    gap = np.maximum(bottom - top, 0.0)
    # The closed line is a smooth arc, without the hooks that the open eye's outline has at its corners.
    shut = cv2.GaussianBlur((top + gap * 1.04)[None], (0, 0), 0.09 * width / float(stations[1] - stations[0]))[0]
    travel = np.maximum(shut + 0.05 * width * _between(stations / width, 0.0, 0.4) - top, 0.0)
    brows = (mesh.points[list(brow), :2] - first) @ vertical
    fold = float(np.clip(0.72 * (top.mean() - brows.max()), 0.10 * width, 0.30 * width))
    outwards = stations / width if not outer_first else 1 - stations / width
    # The lashes reach beyond the outer corner, as a fine wing.
    line = width * (0.014 + 0.020 * np.clip(outwards, 0, 1))
    line *= smoothstep(outwards, -0.02, 0.10) * (1 - smoothstep(outwards, 0.80, 1.10))
    skin, lash = _clean_skin(mesh, picture, box, upper, lower, width)
    return Lid(first, across, width, stations, top - 0.012 * width, travel, fold, skin, lash, line.astype(np.float32))


def _between(x: Array, outside: float, inside: float) -> Array:
    """1 between 0 and 1, falling to 0 a little beyond."""
    inner: Array = smoothstep(x, -outside, inside) * (1 - smoothstep(x, 1 - inside, 1 + outside))
    return inner


def _clean_skin(
    mesh: Mesh,
    picture: Pixels,
    box: tuple[int, int, int, int],
    upper: tuple[int, ...],
    lower: tuple[int, ...],
    width: float,
) -> tuple[Array, Array]:
    """The box with the eye, its lashes and outlines painted over from the skin around; and the colour of the lashes."""
    x0, y0, x1, y1 = box
    image = picture[y0:y1, x0:x1].astype(np.float32)
    curves = [smooth_curve(mesh.points[list(ids), :2]) for ids in (upper, lower)]
    hole = polygon_mask(np.concatenate([curves[0], curves[1][::-1]]), x0, y0, x1 - x0, y1 - y0, fine=2)
    removed = grown(hole, 0.13 * width, 0.06 * width)
    near = grown(hole, 0.34 * width, 0.22 * width)
    light = image @ _LUMA
    ring = (near > 0.5) & (removed < 0.05)
    level = float(np.median(light[ring])) if ring.any() else 128.0
    known = ring & (light > 0.86 * level) & (light < 1.3 * level)
    # The lid continues the skin above the eye rather than what lies under it.
    above = np.arange(y0, y1)[:, None] < mesh.points[list(upper), 1].mean()
    weight = known * np.where(above, 1.0, 0.2).astype(np.float32)
    if weight.sum() < 12:
        weight = (removed < 0.05).astype(np.float32)
    filled: Array = cv2.GaussianBlur(push_pull(image, weight), (0, 0), max(0.8, 0.05 * width))
    grain = (image - cv2.GaussianBlur(image, (0, 0), 1.5))[known] if known.any() else np.zeros((1, 3), np.float32)
    noise: Array = np.random.default_rng(1).standard_normal(light.shape, dtype=np.float32)
    filled *= _LID_TINT
    filled += cv2.GaussianBlur(noise, (0, 0), 0.7)[..., None] * np.minimum(2.2 * np.median(np.abs(grain), 0), 4.0)
    soft = cv2.GaussianBlur(removed, (0, 0), max(0.8, 0.03 * width))[..., None]
    rim = (grown(hole, 0.05 * width, 0.01 * width) > 0.5) & (hole < 0.5)
    dark = image[rim][np.argsort(light[rim])[: max(1, int(rim.sum()) // 6)]] if rim.any() else image.reshape(-1, 3)
    lash = np.minimum(dark.mean(0), 0.45 * filled.reshape(-1, 3).mean(0))
    return np.concatenate([image + (filled - image) * soft, soft], 2).astype(np.float32), lash.astype(np.float32)


def grown(hole: Array, above: float, around: float) -> Array:
    """The mask grown by `around` pixels on all sides and by `above` upwards."""
    wide, high = max(1, round(around)), max(1, round(above))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * wide + 1, 2 * wide + 1))
    grown = cv2.dilate(hole, kernel)
    lift = max(0, high - wide)
    column = np.ones((lift + 1, 1), np.uint8)
    return np.asarray(cv2.dilate(grown, column, anchor=(0, 0)), dtype=np.float32)
