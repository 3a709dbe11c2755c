"""Follows one face through a video: the mesh looks where the face was, the detector only guards it."""

from __future__ import annotations

import math

import numpy as np

from echomimic.arrays import Picture
from echomimic.faces.detect import (
    Face,
    certainty,
    extent,
    face_square,
    find_faces,
    mesh,
    near_faces,
    refine_points,
)
from echomimic.faces.geometry import eye_distance
from echomimic.faces.square import Pyramid

# The mesh's own score hardly falls on things that are no face; the detector's does.
_STILL_THERE = 0.5
_PRESENT = 0.5
# A face that moves further than this part of its square in a frame is not where the mesh looked: it looks
# again.
_FAST = 0.03
# While the face is lost, a thorough search of a frame would take a second: only every so many frames.
_THOROUGH_EVERY = 25


class FaceTracker:
    """Finds the same face in frame after frame, in order; about 11 ms a frame on one core.

    The first frame's largest face is followed; after a loss, the face nearest to where it was.
    """

    def __init__(self) -> None:
        self._last: Face | None = None
        self._lost = 0
        self._found_now = False

    def track(self, rgb: Picture) -> Face | None:
        """The face in the next frame (H, W, 3) uint8, or None when it is not to be seen."""
        picture = Pyramid(rgb)
        face = self._follow(picture) if self._found_now else None
        face = face or self._search(rgb, picture)
        self._found_now = face is not None
        self._lost = 0 if face else self._lost + 1
        self._last = face or self._last
        return face

    def _follow(self, picture: Pyramid) -> Face | None:
        assert self._last is not None
        before = face_square(self._last.points)
        points, score = mesh(picture, before)
        now = face_square(points)
        if math.hypot(now.x - before.x, now.y - before.y) > _FAST * before.side:
            points, score = mesh(picture, now)
        if score < _PRESENT:
            return None
        sure = certainty(picture, points)
        return Face(points, sure, extent(points)) if sure >= _STILL_THERE else None

    def _search(self, rgb: Picture, picture: Pyramid) -> Face | None:
        faces = near_faces(picture)
        if not faces and self._lost % _THOROUGH_EVERY == 0:
            faces = find_faces(rgb, refine=False)
        if not faces:
            return None
        best = faces[0] if self._last is None else min(faces, key=lambda face: _distance(face, self._last))
        # the detector's square is coarse: a face that starts elsewhere than it goes on would jump
        return Face(refine_points(picture, best.points), best.score, best.box)


def _distance(face: Face, other: Face | None) -> float:
    assert other is not None
    gap = float(np.linalg.norm((face.points - other.points)[:, :2].mean(0)))
    return gap / max(eye_distance(other.points), 1.0)
