"""Finds faces in a picture and their 478 points, with MediaPipe's detectors and its face mesh with attention."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from echomimic.faces.network import run
from echomimic.faces.square import Picture, Pyramid, Square, square_of

Array: TypeAlias = NDArray[np.float32]

MESH_SIDE = 192
# MediaPipe's margin around a detected box, and around the points of a mesh.
MARGIN = 1.5
# A mesh is a face when its own score says so; the detectors may therefore be asked to be generous (drawings).
_PRESENT = 0.5
_DETECTED = 0.3
_OVERLAP = 0.3


@dataclass(frozen=True)
class Face:
    """One face found in a picture."""

    points: Array
    """(478, 3): x, y in pixels of the picture (a pixel's centre has whole coordinates); z in the same scale, smaller is
    nearer, zero near the middle of the head."""
    score: float
    """0…1, how sure the mesh is that this is a face."""
    box: tuple[float, float, float, float]
    """x0, y0, x1, y1 in pixels; of the detector, or around the points when no detector ran."""


@dataclass(frozen=True)
class Box:
    """What a detector found: in pixels of the picture."""

    centre: Array
    """(2,)"""
    size: Array
    """(2,) width and height along the crop it was found in."""
    points: Array
    """(k, 2); of a face: image-left eye, other eye, nose, mouth, ears."""
    score: float

    @property
    def corners(self) -> tuple[float, float, float, float]:
        x0, y0 = self.centre - self.size / 2
        x1, y1 = self.centre + self.size / 2
        return float(x0), float(y0), float(x1), float(y1)


def detect(network: str, side: int, picture: Pyramid, square: Square, *, least: float, low: float = -1.0) -> list[Box]:
    """The boxes that a detector sees in a square of the picture, overlapping ones merged; best first."""
    found = run(network, picture.cut(square, side, low=low, replicate=False))
    chosen = found["scores"] >= least
    rows = found["boxes"][chosen]
    boxes = []
    for row, score in zip(rows, found["scores"][chosen], strict=True):
        points = square.to_picture(np.concatenate([row[:2], row[4:]]).reshape(-1, 2))
        boxes.append(Box(points[0], row[2:4] * np.float32(square.side), points[1:], float(score)))
    return merge(boxes)


def merge(boxes: list[Box]) -> list[Box]:
    """Weighted non-maximum suppression: boxes that overlap become their mean, weighted by score; best first."""
    rest = sorted(boxes, key=lambda box: -box.score)
    merged = []
    while rest:
        best = rest[0]
        group = [box for box in rest if box is best or overlap(best.corners, box.corners) > _OVERLAP]
        rest = [box for box in rest if all(box is not member for member in group)]
        merged.append(_mean(group))
    return merged


def _mean(group: list[Box]) -> Box:
    weights = np.array([box.score for box in group], np.float32)
    weights /= weights.sum()
    centre, size, points = (
        np.tensordot(weights, np.stack(values), 1)
        for values in ([b.centre for b in group], [b.size for b in group], [b.points for b in group])
    )
    return Box(centre, size, points, group[0].score)


def overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> float:
    """Intersection over union of two boxes."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def find_faces(rgb: Picture, *, most: int = 10, refine: bool = True) -> list[Face]:
    """All faces of a picture, largest first, at most `most`; empty when there is none.

    rgb: (H, W, 3) uint8. refine: run the mesh again on the square its own points ask for, which sharpens lips and eyes.
    """
    picture = Pyramid(rgb)
    faces: list[Face] = []
    for boxes in _stages(picture):
        for box in boxes:
            face = _face_in(picture, box, refine)
            if face is not None and all(overlap(extent(face), extent(other)) < _OVERLAP for other in faces):
                faces.append(face)
        if faces:
            break
    faces.sort(key=lambda face: -_area(face))
    return faces[:most]


def _stages(picture: Pyramid) -> Iterator[list[Box]]:
    """Ever dearer searches: the picture, then with a margin, in parts, and turned."""
    whole = picture.whole()
    yield merge([*_near(picture, whole), *_far(picture, whole)])
    yield merge(_near(picture, Square(whole.x, whole.y, whole.side * 1.8)))
    for parts in (2.5, 6.0):
        yield merge([box for part in _tiles(picture, whole.side / parts) for box in _far(picture, part)])
    for angle in (45, -45, 90, -90, 180):
        yield merge(_near(picture, Square(whole.x, whole.y, whole.side * 1.3, math.radians(angle))))


def _near(picture: Pyramid, square: Square) -> list[Box]:
    return detect("face_short", 128, picture, square, least=_DETECTED)


def _far(picture: Pyramid, square: Square) -> list[Box]:
    return detect("face_full", 192, picture, square, least=_DETECTED)


def _tiles(picture: Pyramid, side: float) -> Iterator[Square]:
    """Upright squares that overlap by a third and cover the picture."""
    width, height = picture.size
    for y in _steps(height, side):
        for x in _steps(width, side):
            yield Square(x, y, side)


def _steps(length: int, side: float) -> list[float]:
    if side >= length:
        return [(length - 1) / 2]
    count = math.ceil((length - side) / (side * 2 / 3)) + 1
    return [float(x) for x in np.linspace(side / 2 - 0.5, length - side / 2 - 0.5, count)]


def _face_in(picture: Pyramid, box: Box, refine: bool) -> Face | None:
    angle = math.atan2(box.points[1, 1] - box.points[0, 1], box.points[1, 0] - box.points[0, 0])
    square = Square(float(box.centre[0]), float(box.centre[1]), float(box.size.max()) * MARGIN, angle)
    points, score = mesh(picture, square)
    if score < _PRESENT:
        return None
    if refine:
        again, sure = mesh(picture, face_square(points))
        if sure >= _PRESENT:
            points, score = again, sure
    return Face(points, score, box.corners)


def mesh(picture: Pyramid, square: Square) -> tuple[Array, float]:
    """The points (478, 3) in pixels and the score of the face that fills two thirds of a square."""
    found = run("face_mesh", picture.cut(square, MESH_SIDE))
    return square.to_picture(found["points"]), float(found["score"][0])


def face_square(points: Array) -> Square:
    """The square in which the mesh should look again for the face with these points."""
    return square_of(points[:, :2], points[33], points[263], MARGIN)


def extent(face: Face) -> tuple[float, float, float, float]:
    """The upright box around a face's points, pixels."""
    low, high = face.points[:, :2].min(0), face.points[:, :2].max(0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def _area(face: Face) -> float:
    x0, y0, x1, y1 = extent(face)
    return (x1 - x0) * (y1 - y0)
