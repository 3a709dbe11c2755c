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
class Eye:
    patch: Patch
    pull: Array
    """(h, w, 1) how much a point follows the iris"""
    areas: Array
    """(h, w, 2) the open eye, soft; and all that the lids ever change"""
    lid: Lid
    edge: Array

    def paint(self, frame: Pixels, layers: Layers, acting: Acting, skin: Array, blink: float) -> None:
        """Draws the eye into `frame` when it looks elsewhere or blinks."""
        looks = float(np.abs(acting.gaze).max()) > EYE_TUNING.still_gaze
        if not looks and blink < EYE_TUNING.still_lid:
            return
        field, corner = self.patch.field, np.array(self.patch.box[:2], np.float32)
        head, offset = self.patch.head(acting.stance)
        moved = head + field.skin(skin)
        back = invert(moved, field.numbers, rounds=3)
        source = field.numbers + corner + back
        areas = remap(self.areas, field.numbers + back, "zero")
        seen, changed = areas[..., :1], areas[..., 1:]
        at = source
        if looks:
            turned = invert(moved + self.pull * acting.gaze.astype(np.float32), field.numbers, rounds=3)
            at = source + (turned - back) * seen
        scene = layers.behind(self.patch.box, offset)
        eye = scene.sample(at)
        if blink >= EYE_TUNING.still_lid:
            eye = self.lid.close(eye, scene, source, corner, seen, blink)
        self.patch.paste(frame, eye, self.edge * changed, offset)


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
    patch = make_patch(mesh, whole, (x0, y0, x1, y1))
    centre = mesh.points[iris[0], :2]
    radius = max(1.0, float(np.linalg.norm(mesh.points[list(iris[1:]), :2] - centre, axis=1).mean()))
    away = np.linalg.norm(patch.field.grid.nodes() - centre, axis=2) / radius
    pull = np.exp(-EYE_TUNING.pull_fall * np.maximum(0.0, away - 1.0) ** 2).astype(np.float32)
    outline = [smooth_curve(mesh.points[list(ids), :2]) for ids in (upper, lower)]
    aperture = polygon_mask(np.concatenate([outline[0], outline[1][::-1]]), x0, y0, x1 - x0, y1 - y0, fine=2)
    width = float((high - low)[0])
    changed = blur(
        _grow(aperture, *(reach * width for reach in EYE_TUNING.reach)),
        max(1.0, EYE_TUNING.reach_blur * width),
    )
    aperture = blur(aperture, max(0.5, radius * EYE_TUNING.aperture_blur))
    lid = make_lid(mesh, picture, (x0, y0, x1, y1), (upper, lower, brow))
    edge = feather(x1 - x0, y1 - y0, EYE_TUNING.box_edge)
    return Eye(patch, pull[..., None], np.stack([aperture, changed], -1), lid, edge)


def _grow(hole: Array, above: float, around: float) -> Array:
    """The mask (h, w) dilated by `around` pixels on all sides and by `above` upwards."""
    wide, high = max(1, round(around)), max(1, round(above))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * wide + 1, 2 * wide + 1))
    column = np.ones((max(0, high - wide) + 1, 1), np.uint8)
    return np.asarray(cv2.dilate(cv2.dilate(hole, kernel), column, anchor=(0, 0)), dtype=np.float32)
