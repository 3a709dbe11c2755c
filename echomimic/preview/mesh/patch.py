"""A box of the photo that is drawn finer than the rest, and that follows the head through the frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from echomimic.preview.mesh.face_mesh import Array, Grid, Mesh
from echomimic.preview.mesh.field import Field, HeadTransform, detail_field
from echomimic.preview.mesh.warp import Pixels


@dataclass(frozen=True)
class Patch:
    field: Field
    box: tuple[int, int, int, int]
    """x0, y0, x1, y1 in the photo at the frame's size"""

    def head_motion(self, head: HeadTransform) -> tuple[Array, Array]:
        """The head's motion in the box, (h, w, 2), without its whole pixels,
        (2,), which move the box itself."""
        moved = self.field.head_motion(head)
        offset = np.round(moved[moved.shape[0] // 2, moved.shape[1] // 2])
        return moved - offset, offset

    def paste(
        self, frame: Pixels, drawn: Array, weight: Array, offset: Array, row: int = 0, column: int = 0
    ) -> None:
        """Blends (h, w, 3) into `frame` where the box has moved by `offset`. weight: (h, w, 1). Both may be
        of a part of the box that begins at `row` and `column`."""
        left, top = self.box[0] + int(offset[0]) + column, self.box[1] + int(offset[1]) + row
        height, width = drawn.shape[:2]
        x0, y0 = max(left, 0), max(top, 0)
        x1, y1 = min(left + width, frame.shape[1]), min(top + height, frame.shape[0])
        if x1 <= x0 or y1 <= y0:
            return
        inside = (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left))
        part = frame[y0:y1, x0:x1]
        part[:] = np.round(part + (drawn[inside] - part) * weight[inside])


def make_patch(mesh: Mesh, whole: Field, box: tuple[int, int, int, int], step: int = 1) -> Patch:
    x0, y0, x1, y1 = box
    offset = (step - 1) / 2
    grid = Grid(x0 + offset, y0 + offset, step, -(-(x1 - x0) // step), -(-(y1 - y0) // step))
    return Patch(detail_field(mesh, whole, grid), box)
