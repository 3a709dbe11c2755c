"""Eyes: irises that wander inside the lids, and lids that close."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from echomimic.faces import geometry as g
from echomimic.preview.acting import Acting
from echomimic.preview.curves import feather, polygon_mask, smooth_curve
from echomimic.preview.eyes.lids import Lid, make_lid
from echomimic.preview.eyes.tuning import EYE_TUNING
from echomimic.preview.layers import Layers
from echomimic.preview.mesh.face_mesh import Array, Mesh
from echomimic.preview.mesh.field import Field
from echomimic.preview.mesh.patch import Patch, make_patch
from echomimic.preview.mesh.warp import Pixels, blur, invert, remap


@dataclass(frozen=True)
class EyeBox:
    """A box of the photo with the eye in it."""

    patch: Patch
    pull: Array
    """(h, w, 1) how much a point follows the iris"""
    areas: Array
    """(h, w, 2) the open eye, soft; and all that is ever changed here"""
    edge: Array


@dataclass(frozen=True)
class Eye:
    near: EyeBox
    """of the open eye, where the iris wanders"""
    wide: EyeBox
    """of all that a lid moves"""
    lid: Lid

    def paint(self, frame: Pixels, layers: Layers, acting: Acting, skin: Array, blink: float) -> None:
        """Draws the eye into `frame` when it looks elsewhere or blinks."""
        looks, blinks = (
            float(np.abs(acting.gaze).max()) > EYE_TUNING.still_gaze,
            blink >= EYE_TUNING.still_lid,
        )
        if not looks and not blinks:
            return
        view = self.wide if blinks else self.near
        field, corner = view.patch.field, np.array(view.patch.box[:2], np.float32)
        head, offset = view.patch.head_motion(acting.head)
        moved = head + field.skin(skin)
        back = invert(moved, field.numbers, rounds=3)
        source = field.numbers + corner + back
        areas = remap(view.areas, field.numbers + back, "zero")
        seen, changed = areas[..., :1], areas[..., 1:]
        at = source
        if looks:
            turned = invert(moved + view.pull * acting.gaze.astype(np.float32), field.numbers, rounds=3)
            at = source + (turned - back) * seen
        scene = layers.behind(view.patch.box, offset)
        eye = scene.sample(at)
        if blinks:
            eye = self.lid.close(eye, scene, source, corner, seen, blink)
        view.patch.paste(frame, eye, view.edge * changed, offset)


def make_eyes(mesh: Mesh, whole: Field, picture: Pixels) -> tuple[Eye | None, Eye | None]:
    """The image-left and image-right eye; None for one that lies outside the picture."""
    left = _make_eye(mesh, whole, picture, g.LEFT_EYE_UPPER, g.LEFT_EYE_LOWER, g.LEFT_IRIS, g.LEFT_BROW)
    right = _make_eye(mesh, whole, picture, g.RIGHT_EYE_UPPER, g.RIGHT_EYE_LOWER, g.RIGHT_IRIS, g.RIGHT_BROW)
    return left, right


def _make_eye(
    mesh: Mesh,
    whole: Field,
    picture: Pixels,
    upper: tuple[int, ...],
    lower: tuple[int, ...],
    iris: tuple[int, ...],
    brow: tuple[int, ...],
) -> Eye | None:
    height, width = picture.shape[:2]
    points = mesh.points[list(upper + lower), :2]
    low, high = points.min(0), points.max(0)
    margin = (high - low)[0] * EYE_TUNING.margin
    x0, y0 = (int(max(0, v)) for v in low - margin)
    x1, y1 = (int(min(v, limit)) for v, limit in zip(high + margin, (width, height), strict=True))
    if x1 - x0 < 6 or y1 - y0 < 6:
        return None
    outline = np.concatenate([smooth_curve(mesh.points[list(ids), :2]) for ids in (upper, lower[::-1])])
    wide = _view(mesh, whole, (x0, y0, x1, y1), outline, iris, EYE_TUNING.reach)
    around = (high - low)[0] * EYE_TUNING.near_margin
    left, top = (int(max(0, v)) for v in low - around)
    right, bottom = (int(min(v, limit)) for v, limit in zip(high + around, (width, height), strict=True))
    inside = right - left > 2 and bottom - top > 2
    small = (left, top, right, bottom) if inside else (x0, y0, x1, y1)
    near = _view(mesh, whole, small, outline, iris, EYE_TUNING.near_reach)
    return Eye(near, wide, make_lid(mesh, picture, (x0, y0, x1, y1), (upper, lower, brow)))


def _view(
    mesh: Mesh,
    whole: Field,
    box: tuple[int, int, int, int],
    outline: Array,
    iris: tuple[int, ...],
    reach: tuple[float, float],
) -> EyeBox:
    """outline: (n, 2) of the open eye. reach: how far above and around it the picture is changed, in
    eye widths."""
    x0, y0, x1, y1 = box
    patch = make_patch(mesh, whole, box)
    centre = mesh.points[iris[0], :2]
    radius = max(1.0, float(np.linalg.norm(mesh.points[list(iris[1:]), :2] - centre, axis=1).mean()))
    away = np.linalg.norm(patch.field.grid.nodes() - centre, axis=2) / radius
    pull = np.exp(-EYE_TUNING.pull_fall * np.maximum(0.0, away - 1.0) ** 2).astype(np.float32)
    aperture = polygon_mask(outline, x0, y0, x1 - x0, y1 - y0, fine=2)
    width = float(np.ptp(outline[:, 0]))
    changed = blur(_grow(aperture, *(v * width for v in reach)), max(1.0, EYE_TUNING.reach_blur * width))
    aperture = blur(aperture, max(0.5, radius * EYE_TUNING.aperture_blur))
    edge = feather(x1 - x0, y1 - y0, EYE_TUNING.box_edge)
    return EyeBox(patch, pull[..., None], np.stack([aperture, changed], -1), edge)


def _grow(hole: Array, above: float, around: float) -> Array:
    """The mask (h, w) dilated by `around` pixels on all sides and by `above` upwards."""
    wide, high = max(1, round(around)), max(1, round(above))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * wide + 1, 2 * wide + 1))
    column = np.ones((max(0, high - wide) + 1, 1), np.uint8)
    return np.asarray(cv2.dilate(cv2.dilate(hole, kernel), column, anchor=(0, 0)), dtype=np.float32)
