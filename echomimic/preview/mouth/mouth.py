"""The mouth: two lips that part without smearing, and what is seen between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np

from echomimic.faces.geometry import LOWER_LIP_INNER, LOWER_LIP_OUTER, UPPER_LIP_INNER, UPPER_LIP_OUTER
from echomimic.preview.acting import Acting
from echomimic.preview.curves import feather, polygon_mask, smooth_curve
from echomimic.preview.layers import Layers
from echomimic.preview.mesh.face_mesh import SMALL, TINY, Array, Grid, Mesh, soft_step
from echomimic.preview.mesh.field import Field
from echomimic.preview.mesh.patch import Patch, make_patch
from echomimic.preview.mesh.warp import Pixels, Scene, Texture, invert, remap
from echomimic.preview.mouth.interior import Interior, Opening, make_interior
from echomimic.preview.mouth.rest import is_open

# Rows over and under the line between the lips in which one side blends into the other.
_LINE_REACH = 4
# Pixels: below every picture's end, so that an outline is closed where nobody looks.
_FAR = 999.0


@dataclass(frozen=True)
class _Tuning:
    """Lengths in mouth widths unless said otherwise. Tuned by eye on photos and painted portraits."""

    # Lips that move less than this, in pixels, are left to the photo.
    still: float = 0.02
    # A weight that changes no level.
    unseen: float = 0.002
    # Pixels over which one lip blends into the other.
    line_blur: float = 0.6
    # Smoothing of a lip's motion before it is inverted: nodes at least, and lengths. Kinks would not
    # converge.
    lip_blur: tuple[float, float] = (0.6, 0.012)
    # Motion from which on more rounds of inversion are needed, units, and how much further they grow more.
    # Wide openings shear the corners: …
    rounds: tuple[float, float] = (0.12, 0.2)
    # … from this motion on, in units, the second damping holds, …
    wide: float = 0.2
    # … which is what a round corrects of what it finds. With all of it a mouth's corners oscillate.
    damping: tuple[float, float] = (0.7, 0.5)
    # How far around the lips the mouth is drawn, …
    around: float = 0.30
    # … fading from this squared radius of it on.
    faded: float = 0.62
    # Pixels between the lips from which on something is seen between them, …
    parted: float = 0.35
    # … wholly from this on.
    open: float = 1.2
    # Pixels of softness of the opening's outline, as lips have in photos.
    opening_blur: float = 0.55
    # Over this length the mouth's box blends into the frame.
    edge: float = 0.1
    # Half the box's width at least, in units (outer eye distances): a pursed mouth opens wider.
    least_box: float = 0.52
    # The box above and below the mouth's middle, in halves of its width: a jaw drops.
    box: tuple[float, float] = (0.65, 1.20)
    # So far beyond the corners the two lips' motions end.
    line_ends: float = 0.18
    # Coverage from which on a node lies between the lips.
    inside: float = 0.004


_TUNING = _Tuning()


Part: TypeAlias = tuple[slice, slice]
"""Rows and columns of a box."""


@dataclass(frozen=True)
class Side:
    """One lip's motion carried over to the other side of the lip line."""

    lip: tuple[int, ...]
    share: Array
    """(h, w, 1) 1 where the lip's motion replaces the skin's."""
    along: Array
    """(h, w, 2) where along the lip a node lies, as a remap of a one-row picture."""

    def field(self, skin: Array, shift: Array) -> Array:
        """skin: (h, w, 2); shift: (468, 2) → (h, w, 2) as if the whole picture belonged to this lip's
        side."""
        line = np.ascontiguousarray(shift[list(self.lip)])[None]
        lip = remap(line, self.along)
        return np.asarray(skin + self.share * (lip - skin), dtype=np.float32)


@dataclass(frozen=True)
class Mouth:
    mesh: Mesh
    patch: Patch
    upper: Side
    lower: Side
    interior: Interior
    edge: Array
    """(h, w, 1) falls to 0 at the edges of the box."""
    pixels: Array
    """(h, w, 2) frame coordinates of the box"""

    def paint(self, frame: Pixels, layers: Layers, acting: Acting, placed: Array, skin: Array) -> None:
        """Draws the mouth into `frame`.

        placed: (478, 2) where the mesh points lie in this frame. skin: (612, 2) displacement by the
        expression.
        """
        ids = list(UPPER_LIP_INNER + LOWER_LIP_INNER)
        if np.abs(skin[ids]).max() < _TUNING.still:
            return
        head, offset = self.patch.head_motion(acting.head)
        placed = placed - offset
        upper, lower = (
            smooth_curve(placed[list(UPPER_LIP_INNER)]),
            smooth_curve(placed[list(LOWER_LIP_INNER)]),
        )
        weight = self.edge * self._around(placed)
        seen = _bounds(weight[..., 0])
        if seen is None:
            return
        lips = np.zeros((*weight.shape[:2], 3), np.float32)
        lips[seen] = self._lips(layers.behind(self.patch.box, offset), head, skin, (upper + lower) / 2, seen)
        opening = self._opening(upper, lower, skin[ids], seen)
        if opening is not None:
            self.interior.paint(lips, opening, layers.person, placed, skin, acting.head.turn)
        self.patch.paste(frame, lips[seen], weight[seen], offset, seen[0].start, seen[1].start)

    def _lips(self, scene: Scene, head: Array, skin: Array, line: Array, seen: Part) -> Array:
        """(h, w, 3) float32: the upper side above the line between the lips, the lower side below it."""
        moved = self.patch.field.skin(skin)
        line = _extended(line, 2.0)
        rows, columns = seen
        x0, y0 = self.patch.box[0] + columns.start, self.patch.box[1]
        wide = columns.stop - columns.start
        heights = np.interp(np.arange(x0, x0 + wide), line[:, 0], line[:, 1]) - y0
        first = int(np.clip(heights.min() - _LINE_REACH, rows.start, rows.stop - 1))
        last = int(np.clip(heights.max() + _LINE_REACH + 1, first + 1, rows.stop))
        sides = (self.upper, slice(rows.start, last)), (self.lower, slice(first, rows.stop))
        above, below = (
            scene.sample(
                self._source(head, side.field(moved, skin), part, columns), part.start, columns.start
            )
            for side, part in sides
        )
        floor = self.patch.box[3] + _FAR
        border = np.array([[line[-1, 0], floor], [line[0, 0], floor]], np.float32)
        outline = np.concatenate([line, border])
        blur = _TUNING.line_blur
        low = polygon_mask(outline, x0, y0 + first, wide, last - first, fine=2, blur=blur)[..., None]
        lips = np.concatenate([above, below[last - first :]])
        blended = slice(first - rows.start, last - rows.start)
        lips[blended] += (below[: last - first] - lips[blended]) * low
        return lips

    def _source(self, head: Array, lip: Array, rows: slice, columns: slice) -> Array:
        """(h, w, 2) frame coordinates that the pixels of these rows and columns of the box show."""
        step = self.patch.field.grid.step
        nodes = tuple(
            slice(max(0, side.start // step - 1), -(-side.stop // step) + 1) for side in (rows, columns)
        )
        back = self._inverse(head, lip, (nodes[0], nodes[1]))
        if step > 1:
            back = cv2.resize(back, None, fx=step, fy=step, interpolation=cv2.INTER_LINEAR)
        top, left = rows.start - nodes[0].start * step, columns.start - nodes[1].start * step
        pixels = self.pixels[rows, columns]
        return np.asarray(pixels + back[top : top + len(pixels), left : left + pixels.shape[1]])

    def _inverse(self, head: Array, lip: Array, nodes: Part) -> Array:
        """(h, w, 2) where what is at these nodes comes from, pixels."""
        grid, numbers = self.patch.field.grid, self.patch.field.numbers
        least, reach = _TUNING.lip_blur
        soft = cv2.GaussianBlur(lip, (0, 0), max(least, self.mesh.mouth * reach / grid.step))
        size = float(np.abs(lip).max()) / self.mesh.unit
        first, most = _TUNING.rounds
        rounds = 5 + round(70 * min(max(size - first, 0.0), most))
        damping = _TUNING.damping[0] if size < _TUNING.wide else _TUNING.damping[1]
        back = invert((head + soft) / grid.step, numbers, rounds=rounds, damping=damping, part=nodes)
        return np.asarray(back * np.float32(grid.step))

    def _around(self, placed: Array) -> Array:
        """(h, w, 1) 1 around the lips, 0 where cheeks and chin are none of the mouth's business."""
        lips = placed[list(UPPER_LIP_OUTER + LOWER_LIP_OUTER)]
        low, high = lips.min(0), lips.max(0)
        reach = (high - low) / 2 + _TUNING.around * self.mesh.mouth
        x0, y0, x1, y1 = self.patch.box
        x = (np.arange(x0, x1, dtype=np.float32) - (low[0] + high[0]) / 2) / reach[0]
        y = (np.arange(y0, y1, dtype=np.float32) - (low[1] + high[1]) / 2) / reach[1]
        return 1.0 - soft_step(np.square(x)[None] + np.square(y)[:, None], _TUNING.faded, 1.0)[..., None]

    def _opening(self, upper: Array, lower: Array, moved: Array, seen: Part) -> Opening | None:
        gap = float(np.linalg.norm(upper - lower, axis=1).max())
        if gap < _TUNING.parted:
            return None
        x0, y0, x1, y1 = self.patch.box
        outline = np.concatenate([upper, lower[::-1]])
        rows, columns = seen
        height, width = rows.stop - rows.start, columns.stop - columns.start
        mask = np.zeros((y1 - y0, x1 - x0), np.float32)
        left, top = x0 + columns.start, y0 + rows.start
        mask[seen] = polygon_mask(outline, left, top, width, height, blur=_TUNING.opening_blur)
        mask *= min(1.0, gap / _TUNING.open) * min(1.0, float(np.abs(moved).max()) / 1.0)
        return Opening(mask, upper, lower)


def _bounds(weight: Array) -> Part | None:
    """The rows and columns in which a weight counts."""
    rows, columns = (np.flatnonzero(weight.max(axis) > _TUNING.unseen) for axis in (1, 0))
    if len(rows) < 2 or len(columns) < 2:
        return None
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def make_mouth(mesh: Mesh, whole: Field, texture: Texture, width: int, height: int) -> Mouth:
    """The mouth of the portrait in frames of width × height."""
    box = _box(mesh, width, height)
    patch = make_patch(mesh, whole, box, step=1 + (mesh.mouth > 72) + (mesh.mouth > 200))
    upper, lower = _sides(mesh, patch.field.grid)
    interior = make_interior(mesh, texture, box, width, height, is_open(mesh))
    edge = feather(box[2] - box[0], box[3] - box[1], max(3, round(_TUNING.edge * mesh.mouth)))
    pixels = np.stack(np.meshgrid(np.arange(box[0], box[2]), np.arange(box[1], box[3])), -1)
    return Mouth(mesh, patch, upper, lower, interior, edge, pixels.astype(np.float32))


def _box(mesh: Mesh, width: int, height: int) -> tuple[int, int, int, int]:
    centre = mesh.points[[61, 291, 13, 14], :2].mean(0)
    reach = max(mesh.mouth, mesh.unit * _TUNING.least_box)
    above, below = _TUNING.box
    x0, y0 = max(0, int(centre[0] - reach)), max(0, int(centre[1] - above * reach))
    return (
        x0,
        y0,
        max(x0 + 4, min(width, int(centre[0] + reach))),
        max(y0 + 4, min(height, int(centre[1] + below * reach))),
    )


def _sides(mesh: Mesh, grid: Grid) -> tuple[Side, Side]:
    upper = smooth_curve(mesh.points[list(UPPER_LIP_INNER), :2])
    lower = smooth_curve(mesh.points[list(LOWER_LIP_INNER), :2])
    line = _extended((upper + lower) / 2, 2.0)
    first, across, width = _axis(mesh)
    nodes = grid.nodes()
    offset = (nodes - first) @ across / width
    ends = _TUNING.line_ends
    share = (1.0 - soft_step(-offset, 0.0, ends)) * (1.0 - soft_step(offset - 1.0, 0.0, ends))
    far = float(grid.y0 + grid.step * grid.height) + _FAR
    below = (
        _drawn(np.concatenate([line, [[line[-1, 0], far], [line[0, 0], far]]]).astype(np.float32), grid) > 0.5
    )
    # The mesh keeps the lips a little apart; between them its own field leaps from one lip to the other.
    parted = [smooth_curve(mesh.skin[list(ids)]) for ids in (UPPER_LIP_INNER, LOWER_LIP_INNER)]
    inside = _drawn(np.concatenate([parted[0], parted[1][::-1]]), grid) > _TUNING.inside
    inside |= _drawn(np.concatenate([upper, lower[::-1]]), grid) > _TUNING.inside
    sides = []
    for lip, other in ((UPPER_LIP_INNER, below | inside), (LOWER_LIP_INNER, ~below | inside)):
        along = _along(mesh, lip, (nodes - first) @ across)
        sides.append(Side(lip, (share * other)[..., None].astype(np.float32), along))
    return sides[0], sides[1]


def _axis(mesh: Mesh) -> tuple[Array, Array, float]:
    """The left corner, the direction to the right corner, the distance."""
    first, last = (mesh.points[k, :2] for k in (UPPER_LIP_INNER[0], UPPER_LIP_INNER[-1]))
    width = float(np.linalg.norm(last - first))
    return first, (last - first) / max(width, TINY), width


def _along(mesh: Mesh, lip: tuple[int, ...], offset: Array) -> Array:
    first, across, _ = _axis(mesh)
    stations = np.maximum.accumulate(
        (mesh.points[list(lip), :2] - first) @ across + np.arange(len(lip)) * SMALL
    )
    place = np.interp(offset, stations, np.arange(len(lip))).astype(np.float32)
    return np.stack([place, np.zeros_like(place)], -1)


def _drawn(points: Array, grid: Grid) -> Array:
    return polygon_mask(grid.index(points), 0.0, 0.0, grid.width, grid.height, fine=2)


def _extended(line: Array, reach: float) -> Array:
    """A lip line continued straight beyond its ends by `reach` of its length."""
    ahead = (line[-1] - line[0]) * reach
    return np.concatenate([line[:1] - ahead, line, line[-1:] + ahead]).astype(np.float32)
