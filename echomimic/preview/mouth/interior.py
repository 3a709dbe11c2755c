"""What is seen between the lips: cavity, tongue, teeth, and the teeth the photo itself shows."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from echomimic.faces.geometry import LOWER_LIP_INNER, UPPER_LIP_INNER
from echomimic.preview.curves import polygon_mask, smooth_curve
from echomimic.preview.mesh.face_mesh import Array, Mesh, direction, soft_step
from echomimic.preview.mesh.warp import Texture, remap
from echomimic.preview.mouth.mouth_light import Light, find_light
from echomimic.preview.mouth.photo_teeth import NO_TEETH_SEEN, ToothRow, look_inside
from echomimic.preview.mouth.teeth import HALF, TALL, Paint, draw_lower, draw_tongue, draw_upper

_JAW = (152, 175, 199)


@dataclass(frozen=True)
class _Tuning:
    """Lengths in mouth widths seen from the front unless said otherwise, shades in shares of the light. By
    eye on the portraits of `LightTuning`; the arch is anatomy."""

    # Radius of the arch of teeth: 27 mm (dental arches) of 50 mm.
    arch: float = 0.55
    # A head turned by less than this sine shows teeth as from the front.
    straight: float = 0.02
    # How far the teeth lie behind the lips, units (outer eye distances).
    behind_lips: float = 0.10
    # Sines of the turn from which on, and at which, the middle of the lips is that of the face.
    turned: tuple[float, float] = (0.15, 0.40)
    # The mouth of a photo that is seen from the side is at most so many times as wide as it looks.
    widest: float = 1.5

    # Coverage below which nothing of the inside is seen.
    seen: float = 0.004
    # How much darker the middle of the mouth's dark is, and half its width; …
    throat: tuple[float, float] = (0.4, 0.30)
    # … how far below the lip line it lies, and over which height.
    throat_at: tuple[float, float] = (0.12, 0.2)
    # The lower teeth go down with the jaw and stand at least so far under it, and at least so far over the
    # lower lip: a lip that rolls down would bare the gum.
    floor: tuple[float, float] = (0.02, 0.07)
    # How far the tongue lies over the lower teeth's edge, how much of an opening it rises along, and its
    # light.
    tongue: tuple[float, float, float] = (0.06, 0.10, 0.80)
    # Where the lower row's edge lies in its drawing, over its end, and the row's light.
    lower: tuple[float, float] = (0.150, 0.62)
    # Where the upper row's edge lies in its drawing: the height of a front tooth.
    upper: float = 0.215

    # Teeth that the photo shows between narrow lips get at most so much brighter when they part, …
    out_of_shadow: float = 1.3
    # … and of their light this share stays whatever the lips do, and this goes with their shadow.
    own_light: tuple[float, float] = (0.35, 0.65)
    # The photo's own shadow counts as at least so bright: out of black nothing is brought back.
    least_shade: float = 0.2
    # Light that gets into a mouth has met lips and gums: shadows are red.
    shadow: tuple[float, float, float] = (0.72, 1.04, 1.12)
    # How far away a lip still takes light.
    occlusion_blur: float = 0.05
    # The light in the thinnest opening, and what a wide one adds, …
    occlusion: tuple[float, float] = (0.38, 0.62)
    # … between these shares of opening around a pixel.
    occlusion_open: tuple[float, float] = (0.10, 0.80)
    # The light right under the upper lip, which shades the teeth, and what is added below, …
    upper_lip: tuple[float, float] = (0.80, 0.20)
    # … over the first length, between these shares of it.
    upper_reach: tuple[float, float, float] = (0.10, -0.1, 0.9)

    # Pixels of the drawings per pixel of the mouth.
    density: float = 1.5
    # Photos are softer, in pixels, the closer they show a mouth: pixels, and pixels per pixel of the mouth,
    # …
    blur: tuple[float, float] = (0.7, 0.005)
    # … which has at least so many.
    smallest: float = 8.0


_TUNING = _Tuning()


@dataclass(frozen=True)
class Opening:
    """Where one frame shows the inside of the mouth."""

    mask: Array
    """(h, w) coverage in the mouth's box"""
    upper: Array
    """(n, 2) the upper lip's inner edge, frame pixels"""
    lower: Array


@dataclass(frozen=True)
class Interior:
    mesh: Mesh
    light: Light
    upper: Paint
    lower: Paint
    tongue: Paint
    box: tuple[int, int, int, int]
    own: Array | None
    """(h, w) in the mouth's box, where the photo's own teeth and dark are used; None for a closed mouth"""
    own_shade: Array
    """(h, w) the lips' shadow on it in the photo"""
    row: ToothRow
    grain: Array | None
    """(h, w, 1) the picture's grain in the mouth's box, levels"""

    def paint(
        self, lips: Array, opening: Opening, texture: Texture, placed: Array, skin: Array, turn: Array
    ) -> None:
        """Blends the inside into `lips`, (h, w, 3) float32 of the mouth's box. turn: (3, 3) of the head."""
        rows, columns = (
            np.flatnonzero(opening.mask.max(1) > _TUNING.seen),
            np.flatnonzero(opening.mask.max(0) > _TUNING.seen),
        )
        if not len(rows) or not len(columns):
            return
        part = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
        place = _Place.of(self.mesh, placed, skin, turn, self.box, part)
        inside = self._inside(opening, texture, place, part)
        share = opening.mask[part][..., None]
        lips[part] += (inside - lips[part]) * share

    def _inside(self, opening: Opening, texture: Texture, place: _Place, part: tuple[slice, slice]) -> Array:
        width = place.width
        dark, wide = _TUNING.throat
        lit = 1.0 - dark * np.exp(-((place.along / wide) ** 2)) * place.deep
        inside = self.light.cavity * lit[..., None]
        under, over = _TUNING.floor
        floor = max(place.jaw / width + under, place.floor / width - over)
        raised, along_with, light = _TUNING.tongue
        place.lay(inside, self.tongue, floor - raised - along_with * min(1.0, max(0.0, floor)), light)
        edge, light = _TUNING.lower
        place.lay(inside, self.lower, floor - TALL + edge, light)
        place.lay(inside, self.upper, self.row.edge - _TUNING.upper, 1.0, self.row.arc)
        shade = lip_shadow(opening, self.box, self.mesh.mouth, part)
        if self.own is not None:
            inside, shade = self._with_own(self.own, inside, shade, texture, place)
        shadow = np.array(_TUNING.shadow, np.float32)
        inside *= shade[..., None] ** (1 + (shadow - 1) * np.float32(self.light.chroma))
        if self.grain is not None:
            inside += self.grain[part]
        return np.asarray(inside.clip(0, 255), dtype=np.float32)

    def _with_own(
        self, own: Array, inside: Array, shade: Array, texture: Texture, place: _Place
    ) -> tuple[Array, Array]:
        """The photo's own inside, which stays with the skull, over the drawn one."""
        at = place.pixels - place.drift
        photo = texture.sample(at)[..., :3].astype(np.float32)
        cover = remap(own, at - np.array(self.box[:2], np.float32), "zero")
        # The photo's own shadows are in it already: only what is darker now than then counts.
        then = remap(self.own_shade, at - np.array(self.box[:2], np.float32))
        stays, goes = _TUNING.own_light
        now = np.minimum(_TUNING.out_of_shadow, stays + goes * shade / np.maximum(then, _TUNING.least_shade))
        shade = shade + (now - shade) * cover
        return inside + (photo - inside) * cover[..., None], shade


def _front_width(mesh: Mesh) -> float:
    """The mouth's width in pixels as if it were seen from the front."""
    whole = float(np.linalg.norm(mesh.points[61] - mesh.points[291]))
    return min(max(whole, mesh.mouth), _TUNING.widest * mesh.mouth)


def _around_arch(along: Array, side: float) -> Array:
    """Where on teeth seen from the front the place `along` lies when the head is turned; mouth widths."""
    if abs(side) < _TUNING.straight:
        return along
    angle = np.arcsin(np.clip(along / _TUNING.arch + side, -1, 1)) - np.arcsin(side)
    return np.asarray(_TUNING.arch * np.sin(angle.clip(-np.pi / 2, np.pi / 2)), dtype=np.float32)


@dataclass(frozen=True)
class _Place:
    """Where skull and jaw are in one frame, for the pixels of a part of the mouth's box."""

    # (h, w, 2) frame coordinates
    pixels: Array
    # (h, w) mouth widths to the right of the middle of the mouth, on teeth seen from the front
    along: Array
    # (h, w) mouth widths below the photo's lip line, which moved with the skull
    below: Array
    # (2,) how far the skull moved there
    drift: Array
    # how far the jaw dropped, pixels
    jaw: float
    # how far the lower lip's inner edge lies below the photo's lip line, pixels
    floor: float
    # of the mouth, seen from the front, pixels
    width: float
    # (h, w) 1 at the height of the throat
    deep: Array

    @staticmethod
    def of(
        mesh: Mesh,
        placed: Array,
        skin: Array,
        turn: Array,
        box: tuple[int, int, int, int],
        part: tuple[slice, slice],
    ) -> _Place:
        skull = placed[:468] - skin[:468]
        across = direction(skull[291] - skull[61])
        down = np.array([-across[1], across[0]], np.float32)
        origin = skull[[13, 14]].mean(0)
        columns = np.arange(part[1].start, part[1].stop) + box[0]
        rows = np.arange(part[0].start, part[0].stop) + box[1]
        pixels = np.stack(np.meshgrid(columns, rows), -1).astype(np.float32)
        # Teeth lie behind the lips: where the head looks aside they show further back.
        before, now = (-(rotation @ mesh.pose.rotation)[:2, 2] for rotation in (np.eye(3), turn))
        behind = -_TUNING.behind_lips * mesh.unit * (now - before)
        drift = origin + behind - mesh.points[[13, 14], :2].mean(0)
        middle = skull[[61, 291]].mean(0) * 0.5 + placed[[61, 291]].mean(0) * 0.5 + behind
        # Seen from the side, the middle of the corners is not the middle of the face.
        turned = float(soft_step(np.float32(np.abs(before @ across)), *_TUNING.turned))
        middle = middle + (origin - _TUNING.behind_lips * mesh.unit * now - middle) * turned
        width = _front_width(mesh)
        below = (pixels - origin) @ down
        low, high = _TUNING.throat_at
        return _Place(
            pixels,
            _around_arch((pixels - middle) @ across / width, float(now @ across)),
            below / width,
            drift.astype(np.float32),
            float(skin[list(_JAW)].mean(0) @ down),
            float((placed[14] - origin) @ down),
            width,
            np.exp(-(((below / mesh.mouth - low) / high) ** 2)).astype(np.float32),
        )

    def lay(self, inside: Array, paint: Paint, top: float, gain: float, arc: float = 0.0) -> None:
        """Lays a drawing over `inside`, its y = 0 `top` mouth widths below the lip line."""
        down = self.below - top - arc * self.along * self.along
        at = np.stack([self.along + HALF, down], -1) * paint.density - 0.5
        seen = remap(paint.pixels, at.astype(np.float32), "zero")
        inside *= 1.0 - seen[..., 3:]
        inside += seen[..., :3] * gain


def make_interior(
    mesh: Mesh, texture: Texture, box: tuple[int, int, int, int], width: int, height: int, opened: bool
) -> Interior:
    light = find_light(mesh, texture, width, height)
    own, own_shade, row = None, np.ones((1, 1), np.float32), NO_TEETH_SEEN
    if opened:
        photo = texture.sample(_box_pixels(box))[..., :3].astype(np.float32)
        own, light, row = look_inside(mesh, photo, box, light)
        own_shade = lip_shadow(_photo_opening(mesh, box), box, mesh.mouth)
    density = float(np.clip(_TUNING.density * mesh.mouth, 24, 240))
    pixels, more = _TUNING.blur
    blur = (pixels + more * mesh.mouth) * density / max(mesh.mouth, _TUNING.smallest)
    return Interior(
        mesh,
        light,
        draw_upper(light, density, blur),
        draw_lower(light, density, blur),
        draw_tongue(light, density, blur),
        box,
        own,
        own_shade,
        row,
        _grain_of(light.grain, box),
    )


def _grain_of(level: float, box: tuple[int, int, int, int]) -> Array | None:
    """(h, w, 1) seeded noise as strong as the picture's own; None where it has none."""
    if not level:
        return None
    shape = (box[3] - box[1], box[2] - box[0], 1)
    noise = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    return np.asarray(noise * np.float32(level))


def lip_shadow(
    opening: Opening, box: tuple[int, int, int, int], width: float, part: tuple[slice, slice] | None = None
) -> Array:
    """(h, w) the lips' shadow in the box or in a part of it: dark in thin openings and at the corners, darker
    under the upper lip."""
    height, across = opening.mask.shape
    rows, columns = part or (slice(0, height), slice(0, across))
    blur = max(1.0, width * _TUNING.occlusion_blur)
    margin = round(4 * blur) + 1
    top, left = max(0, rows.start - margin), max(0, columns.start - margin)
    light = cv2.GaussianBlur(
        opening.mask[top : rows.stop + margin, left : columns.stop + margin], (0, 0), blur
    )
    light = light[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    least, more = _TUNING.occlusion
    occlusion = least + more * soft_step(light, *_TUNING.occlusion_open)
    lip = np.interp(np.arange(columns.start, columns.stop) + box[0], opening.upper[:, 0], opening.upper[:, 1])
    least, more = _TUNING.upper_lip
    reach, *between = _TUNING.upper_reach
    below = (np.arange(rows.start, rows.stop)[:, None] + box[1] - lip) / (reach * width)
    return np.asarray(occlusion * (least + more * soft_step(below, *between)), dtype=np.float32)


def _photo_opening(mesh: Mesh, box: tuple[int, int, int, int]) -> Opening:
    x0, y0, x1, y1 = box
    upper, lower = (smooth_curve(mesh.points[list(ids), :2]) for ids in (UPPER_LIP_INNER, LOWER_LIP_INNER))
    return Opening(polygon_mask(np.concatenate([upper, lower[::-1]]), x0, y0, x1 - x0, y1 - y0), upper, lower)


def _box_pixels(box: tuple[int, int, int, int]) -> Array:
    x0, y0, x1, y1 = box
    return np.stack(np.meshgrid(np.arange(x0, x1), np.arange(y0, y1)), -1).astype(np.float32)
