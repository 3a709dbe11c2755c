"""The inside of an open mouth as the photo shows it: what of it is teeth and dark, their colour, where the
row ends."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from echomimic.faces.geometry import LOWER_LIP_INNER, UPPER_LIP_INNER
from echomimic.preview.curves import polygon_mask, smooth_curve
from echomimic.preview.mesh.face_mesh import TINY, Array, Mesh, direction, soft_step
from echomimic.preview.mesh.warp import LUMA
from echomimic.preview.mouth.lip_axis import corner_axis
from echomimic.preview.mouth.mouth_light import LIP_SKIN, Light
from echomimic.preview.mouth.rest import meeting


@dataclass(frozen=True)
class _Tuning:
    """Lengths in mouth widths. By eye on photos and paintings of open mouths, those of `RestTuning` among
    them."""

    # Teeth are as bright as those pixels of them that are brighter than this share: the others lie in
    # shadow.
    tooth_rank: float = 0.7
    # Softness of the border between the photo's own inside and the drawn one.
    blur: float = 0.015
    # From this share on a pixel of the opening is none of the lip, …
    inside: float = 0.6
    # … and from this share of a tooth's light on it is one.
    bright: float = 0.62
    # Teeth that take less of the opening are none, but gloss on a lip.
    least: float = 0.04
    # Teeth that begin below this share of the opening are the lower ones: the upper lip hides its own.
    lower: float = 0.62
    # So far under the row's edge the photo's own inside ends: what lies there moves with the jaw.
    own: float = 0.045
    # Lips are at least so much redder than grey: a paler one, of a grey picture or a statue, cannot be told
    # by its colour.
    least_red: float = 0.12
    # Up to the first share of the lip's redness nothing is lip, from the second on all is, …
    pale: tuple[float, float] = (0.35, 0.75)
    # … but what is darker than the lip by these shares, which is the mouth's dark.
    dark: tuple[float, float] = (0.40, 0.70)
    # Between these distances from the middle the corners begin.
    corners: tuple[float, float] = (0.30, 0.45)
    # Half the width in which the row is fitted: beyond it the arch turns away.
    front: float = 0.32
    # Where too little is seen for a fit, the row ends at this rank of the heights seen.
    seen_rank: float = 0.8
    # So far beyond the last pixel of teeth the row ends: their edge is in the lower lip's shadow; the
    # second for a row that is not fitted.
    further: tuple[float, float] = (0.012, 0.010)
    edges: tuple[float, float] = (-0.1, 0.3)
    # Rows are fitted within these: outside of them the fit has followed something else.
    arcs: tuple[float, float] = (-0.6, 0.2)


_TUNING = _Tuning()


@dataclass(frozen=True)
class ToothRow:
    """Where the upper teeth end, in mouth widths below the lip line: edge + arc · x²."""

    edge: float
    arc: float


NO_TEETH_SEEN = ToothRow(0.060, -0.15)
"""The usual row, where the photo shows none."""


def look_inside(
    mesh: Mesh, photo: Array, box: tuple[int, int, int, int], light: Light
) -> tuple[Array | None, Light, ToothRow]:
    """photo: (h, w, 3) the mouth's box. Returns where the photo's own inside is used, (h, w), and what fits
    it; None when it shows no teeth: its dark would hide those that a wider opening shows."""
    x0, y0, x1, y1 = box
    curves = [smooth_curve(mesh.points[list(ids), :2]) for ids in (UPPER_LIP_INNER, LOWER_LIP_INNER)]
    hole = polygon_mask(np.concatenate([curves[0], curves[1][::-1]]), x0, y0, x1 - x0, y1 - y0, fine=4)
    inside = _not_lip(mesh, photo, box, hole) * _away_from_corners(mesh, box)
    soft = max(0.5, _TUNING.blur * mesh.mouth)
    inside = cv2.morphologyEx(inside, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    cover = cv2.GaussianBlur(inside, (0, 0), soft)
    bright = photo @ LUMA
    teeth = (inside > _TUNING.inside) & (bright > _TUNING.bright * float(light.tooth @ LUMA))
    if teeth.sum() < _TUNING.least * max(float(hole.sum()), 1.0) or teeth.sum() < 6:
        return None, light, _unseen_row(mesh)
    colour = photo[teeth][bright[teeth] >= np.quantile(bright[teeth], _TUNING.tooth_rank)].mean(0)
    light = replace(light, tooth=colour.astype(np.float32))
    if _begin(teeth, hole) > _TUNING.lower:
        return None, light, _unseen_row(mesh)
    row = _row(mesh, teeth, box)
    # The dark over the teeth is the shadow of a lip that will move; what lies under them moves with the jaw.
    grown = cv2.dilate(teeth.astype(np.float32), np.ones((3, 3), np.uint8))
    cover = np.asarray(cover * cv2.GaussianBlur(grown, (0, 0), soft))
    x, y = _in_mouth(mesh, box)
    cover *= 1 - soft_step(y - row.edge - row.arc * x * x, 0.0, _TUNING.own)
    return cover, light, row


def _begin(teeth: Array, hole: Array) -> float:
    """The share of the opening that lies above the teeth."""
    columns = np.flatnonzero(teeth.any(0))
    opening = hole[:, columns] > _TUNING.inside
    above = teeth[:, columns].argmax(0) - opening.argmax(0)
    return float(np.median(above / np.maximum(opening.sum(0), 1)))


def _unseen_row(mesh: Mesh) -> ToothRow:
    """The usual row under the place where the lips of an open mouth would meet."""
    axis = corner_axis(mesh.points)
    _, middle = axis.local(mesh.points[[13, 14], :2].mean(0))
    return replace(
        NO_TEETH_SEEN, edge=NO_TEETH_SEEN.edge + (meeting(mesh, axis) - float(middle)) / mesh.mouth
    )


def _not_lip(mesh: Mesh, photo: Array, box: tuple[int, int, int, int], hole: Array) -> Array:
    """The opening without the rim of lip that the contour may include: lips are red and not dark."""
    x0, y0, x1, y1 = box
    at = np.round(mesh.points[list(LIP_SKIN), :2] - (x0, y0)).astype(int).clip(0, (x1 - x0 - 1, y1 - y0 - 1))
    lip = np.median(photo[at[:, 1], at[:, 0]], 0)
    bright = np.maximum(photo @ LUMA, 1.0)
    red = (photo[..., 0] - (photo[..., 1] + photo[..., 2]) / 2) / bright
    lip_red = max(float((lip[0] - (lip[1] + lip[2]) / 2) / max(float(lip @ LUMA), 1.0)), _TUNING.least_red)
    pale = 1 - soft_step(red / lip_red, *_TUNING.pale)
    dark = 1 - soft_step(bright / max(float(lip @ LUMA), 1.0), *_TUNING.dark)
    return np.asarray(hole * np.maximum(pale, dark), dtype=np.float32)


def _away_from_corners(mesh: Mesh, box: tuple[int, int, int, int]) -> Array:
    """(h, w) 1 but at the corners, where teeth, shadow and lip cannot be told apart."""
    first, last = (mesh.points[k, :2] for k in (LOWER_LIP_INNER[0], LOWER_LIP_INNER[-1]))
    pixels = np.stack(np.meshgrid(np.arange(box[0], box[2]), np.arange(box[1], box[3])), -1)
    along = (pixels - (first + last) / 2) @ (last - first) / max(float((last - first) @ (last - first)), TINY)
    return 1 - soft_step(np.abs(along), *_TUNING.corners)


def _in_mouth(mesh: Mesh, box: tuple[int, int, int, int]) -> tuple[Array, Array]:
    """(h, w) each: how far right of and below the middle of the lip line, in mouth widths."""
    across = direction(mesh.points[291, :2] - mesh.points[61, :2])
    pixels = np.stack(np.meshgrid(np.arange(box[0], box[2]), np.arange(box[1], box[3])), -1)
    offset = (pixels - mesh.points[[13, 14], :2].mean(0)) / mesh.mouth
    return np.asarray(offset @ across), np.asarray(offset @ np.array([-across[1], across[0]]))


def _row(mesh: Mesh, teeth: Array, box: tuple[int, int, int, int]) -> ToothRow:
    """A parabola along the lower border of the upper teeth that are seen."""
    columns = np.flatnonzero(teeth.any(0))
    lowest = _first_runs(teeth[:, columns])
    at = np.stack([columns + box[0], lowest + box[1] + 0.5], 1).astype(np.float32)
    across = direction(mesh.points[291, :2] - mesh.points[61, :2])
    offset = (at - mesh.points[[13, 14], :2].mean(0)) / mesh.mouth
    x, y = offset @ across, offset @ np.array([-across[1], across[0]])
    near = np.abs(x) < _TUNING.front
    fitted, usual = _TUNING.further
    if near.sum() < 5:
        return ToothRow(float(np.quantile(y, _TUNING.seen_rank)) + usual, NO_TEETH_SEEN.arc)
    arc, _, edge = np.polyfit(x[near], y[near], 2)
    return ToothRow(float(np.clip(edge, *_TUNING.edges)) + fitted, float(np.clip(arc, *_TUNING.arcs)))


def _first_runs(teeth: Array) -> Array:
    """(w,) the last row of each column's first run, one row of dark allowed: further down lie lower teeth and
    tongue."""
    rows = np.arange(len(teeth))[:, None]
    first = teeth.argmax(0)
    wider = teeth | np.roll(teeth, 1, axis=0)
    ended = ~wider & (rows > first)
    end = np.where(ended.any(0), ended.argmax(0), len(teeth))
    return np.asarray(np.where(teeth & (rows < end), rows, 0).max(0))
