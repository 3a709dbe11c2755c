"""One portrait made to move: a photo, its face mesh and a performance become frames."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from echomimic.faces.detect import Face
from echomimic.motion.performance import Performance
from echomimic.preview.acting import Acting, make_actor
from echomimic.preview.eyes.eye import make_eyes
from echomimic.preview.layers import Shown, resized_float, split
from echomimic.preview.mesh.face_mesh import Array, build_mesh
from echomimic.preview.mesh.field import frame_field
from echomimic.preview.mesh.warp import FINER, Pixels, invert, make_texture, remap, resized
from echomimic.preview.mouth.folds import make_folds
from echomimic.preview.mouth.lip_line import fit_lip_line
from echomimic.preview.mouth.mouth import make_mouth


class PreviewRenderer:
    """Renders frames of one portrait. Everything is computed once; `render` only reads, so threads may share
    it.

    picture: (H, W, 3) uint8 RGB, the region that fills the frame; detail beyond the frame's size is kept.
    face: the face in it, in pixels of `picture`.
    mask: (H, W) float32 0…1, where the person is; any size.
    width, height: of the frames.
    """

    def __init__(
        self, picture: Pixels, face: Face, mask: NDArray[np.float32], width: int, height: int
    ) -> None:
        self.width, self.height = width, height
        texture = make_texture(picture, width, height)
        small = resized(picture, width, height)
        factor = np.array([width / picture.shape[1], height / picture.shape[0]], np.float32)
        points = face.points.astype(np.float32).copy()
        points[:, :2] = (points[:, :2] + 0.5) * factor - 0.5
        points[:, 2] *= factor.mean()
        self._mesh = build_mesh(fit_lip_line(points, small))
        soft = resized_float(mask.astype(np.float32), width, height)
        self._actor = make_actor(self._mesh)
        self._field = frame_field(self._mesh, width, height, soft)
        self._layers = split(texture, small, soft, self._mesh)
        self._mouth = make_mouth(self._mesh, self._field, texture, width, height)
        chroma, offset = self._mouth.interior.light.chroma, self._layers.person.offset
        self._folds = make_folds(self._mesh, width, height, chroma, offset)
        self._eyes = make_eyes(self._mesh, self._field, small)
        self._lever = self._at_points(self._field.lever)
        self._body = self._at_points(self._field.body)
        self._places = self._layers.person.places(width, height)

    def render(self, performance: Performance, i: int) -> Pixels:
        """Frame `i` of `performance`, (height, width, 3) uint8 RGB; the same inputs give the same bits."""
        acting = self._actor.act(performance, i)
        skin = self._mesh.with_rings(acting.skin)
        source, shown = self._source(acting, skin)
        frame = self._layers.compose(source, shown)
        for eye, blink in zip(self._eyes, acting.blink, strict=True):
            if eye is not None:
                eye.paint(frame, self._layers, acting, skin, float(blink))
        placed = self._place_points(acting, skin)
        self._mouth.paint(frame, self._layers, acting, placed, skin)
        self._folds.paint(frame, source, shown.corner, placed - self._mesh.points[:, :2], skin)
        return frame

    def _source(self, acting: Acting, skin: Array) -> tuple[Array, Shown]:
        """(h, w, 2) which place of the person's texture each pixel shows, for the part of the frame in which
        the person may be seen."""
        field, step = self._field, self._field.grid.step
        moved = field.head_motion(acting.head)
        moved += field.skin(skin)
        low, high, *_ = cv2.minMaxLoc(moved.reshape(-1))
        shown = self._layers.shown(max(high, -low))
        before = -round((field.grid.x0 - (step - 1) / 2) / step)  # nodes left of the frame, and above it
        nodes = [
            slice(before + side.start // step - 1, before - -side.stop // step + 1) for side in shown.box
        ]
        moved *= np.float32(1 / step)
        back = invert(moved, field.numbers, rounds=4, part=(nodes[0], nodes[1]))
        back *= np.float32(step * FINER)
        if step > 1:
            back = np.asarray(cv2.resize(back, None, fx=step, fy=step, interpolation=cv2.INTER_LINEAR))
        top, left = (step + side.start % step for side in shown.box)
        places = self._places[shown.box]
        return np.asarray(
            cv2.add(places, back[top : top + len(places), left : left + places.shape[1]])
        ), shown

    def _at_points(self, values: Array) -> Array:
        """A grid's values at the mesh points: (478, C)."""
        at = self._field.grid.index(self._mesh.points[:, :2])[None]
        found = remap(values, at)
        return np.asarray(found.reshape(len(self._mesh.points), -1), dtype=np.float32)

    def _place_points(self, acting: Acting, skin: Array) -> Array:
        """(478, 2) where the mesh points lie in the frame."""
        head = acting.head
        moved = np.einsum("ij,nj->ni", head.matrix[:2], self._lever)
        moved += self._mesh.points[:, :2]
        moved += self._body * head.body
        moved[:468] += skin[:468]
        return np.asarray(moved, dtype=np.float32)
