"""Finds faces in a picture and their 478 points, with MediaPipe's detectors
and its face mesh with attention."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from echomimic.arrays import Floats, Picture
from echomimic.faces.geometry import eye_distance, mirror_points
from echomimic.faces.network import infer
from echomimic.faces.square import Pyramid, Square, square_of

MESH_SIDE = 192
# MediaPipe's margin around a detected box, and around the points of a mesh.
MARGIN = 1.5

# Overlap from which on two boxes are one face: the detector's own for non-maximum suppression.
_OVERLAP = 0.3
# The detectors are asked to be generous (drawings, odd sizes): what they find must pass the mesh's own score
# …
_DETECTED = 0.3
_PRESENT = 0.5
# … and the near detector must see it again in the square the mesh ends in: true faces reach 0.8 there, faces
# the wrong way up and patterns stay below 0.75. A doubtful face (a profile, a hand before it) counts when
# there is no better one.
_CLEAR = 0.85
_SURE = 0.75
_DOUBTFUL = 0.6
# What is hardly a face to the detector, and not the same face to the mesh from one look to the next, is an
# animal's: scores, and the spread from which on it is. Of 385 pictures of people, statues, drawings and
# paintings, dimmed, grainy, grey, turned and stretched ones among them, 4 lie beyond (all posterised);
# of 82 of dogs, a monkey and llamas in which the detector saw a face 78 do.
_HUMAN = ((0.80, 0.84, 0.87, 0.871), (0.0150, 0.0185, 0.035, np.inf))
# Fewer pixels between the eyes carry no face.
_LEAST_EYE_DISTANCE = 6.0
# Faces at least this large, in sides of the picture, end the search.
_LARGE = 0.1
# Smaller parts of a picture (pixels) hold no face large enough that the whole did not show.
_LEAST_PART = 64
# A face is looked at again from these squares: shift in sides, turn in radians.
_VIEWS = ((0.0, 0.0, 0.0), (0.015, 0.01, 0.03), (-0.015, -0.01, -0.03))


@dataclass(frozen=True)
class Face:
    """One face found in a picture."""

    points: Floats
    """(478, 3): x, y in pixels of the picture (a pixel's centre has whole coordinates); z in the same scale,
    smaller is nearer, zero near the middle of the head."""
    score: float
    """0…1, how sure the detector is of this face in its own square."""
    box: tuple[float, float, float, float]
    """x0, y0, x1, y1 in pixels; of the detector, or around the points when no detector ran."""
    spread: float = 0.0
    """How far several looks at it disagree, on average, in eye distances; 0 after a single look."""

    @property
    def human(self) -> bool:
        """Whether detector and mesh agree that it is a person's; drawn, carved and painted ones are."""
        return self.spread <= float(np.interp(self.score, *_HUMAN, right=np.inf))


@dataclass(frozen=True)
class Detection:
    """What a detector found: in pixels of the picture."""

    centre: Floats
    """(2,)"""
    size: Floats
    """(2,) width and height along the crop it was found in."""
    points: Floats
    """(k, 2); of a face: image-left eye, other eye, nose, mouth, ears."""
    score: float

    @property
    def corners(self) -> tuple[float, float, float, float]:
        x0, y0 = self.centre - self.size / 2
        x1, y1 = self.centre + self.size / 2
        return float(x0), float(y0), float(x1), float(y1)


def detect(
    network: str, side: int, picture: Pyramid, square: Square, *, least: float, low: float = -1.0
) -> list[Detection]:
    """The boxes that a detector sees in a square of the picture, overlapping ones merged; best first."""
    found = infer(network, picture.cut(square, side, low=low, replicate=False))
    chosen = found["scores"] >= least
    rows = found["boxes"][chosen]
    boxes = []
    for row, score in zip(rows, found["scores"][chosen], strict=True):
        points = square.to_picture(np.concatenate([row[:2], row[4:]]).reshape(-1, 2))
        boxes.append(Detection(points[0], row[2:4] * np.float32(square.side), points[1:], float(score)))
    return merge(boxes)


def merge(boxes: list[Detection]) -> list[Detection]:
    """Weighted non-maximum suppression: boxes that overlap become their mean,
    weighted by score; best first."""
    rest = sorted(boxes, key=lambda box: -box.score)
    merged = []
    while rest:
        best = rest[0]
        group = [box for box in rest if box is best or overlap(best.corners, box.corners) > _OVERLAP]
        rest = [box for box in rest if all(box is not member for member in group)]
        merged.append(_mean(group))
    return merged


def _mean(group: list[Detection]) -> Detection:
    weights = np.array([box.score for box in group], np.float32)
    weights /= weights.sum()
    centre, size, points = (
        np.tensordot(weights, np.stack(values), 1)
        for values in ([b.centre for b in group], [b.size for b in group], [b.points for b in group])
    )
    return Detection(centre, size, points, group[0].score)


def overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> float:
    """Intersection over union of two boxes."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def find_faces(rgb: Picture, *, most: int = 10, refine: bool = True) -> list[Face]:
    """The faces of a picture, people's before others, largest first, at most `most`; empty without any.

    rgb: (H, W, 3) uint8. refine: iterate the landmarks until they converge, and take the mean of several
    views of the face, which sharpens lips and eyes (for photos); without, one look as in MediaPipe.
    """
    picture = Pyramid(rgb)
    faces: list[Face] = []
    for least, boxes in _stages(picture):
        _gather(picture, boxes, faces)
        if any(face.score >= _SURE and _length(face) >= least for face in faces):
            break
    found = [face for face in faces if face.score >= _SURE] or sorted(faces, key=lambda face: -face.score)[:1]
    found.sort(key=lambda face: -_length(face))
    seen = [refine_face(picture, face) for face in found[:most]] if refine else found[:most]
    return sorted(seen, key=lambda face: not face.human)


def near_faces(picture: Pyramid) -> list[Face]:
    """The faces that one quick look at the whole picture finds, largest first."""
    faces: list[Face] = []
    _gather(picture, next(_stages(picture))[1], faces)
    return sorted(faces, key=lambda face: -_length(face))


def _gather(picture: Pyramid, boxes: list[Detection], faces: list[Face]) -> None:
    """Adds the faces behind the boxes to `faces`; of two that overlap the surer stays (non-maximum
    suppression)."""
    for box in boxes:
        if any(face.score >= _SURE and overlap(box.corners, face.box) > _OVERLAP for face in faces):
            continue
        face = look(picture, box)
        if face is None:
            continue
        rivals = [other for other in faces if overlap(extent(face.points), extent(other.points)) > _OVERLAP]
        if all(face.score > rival.score for rival in rivals):
            faces[:] = [other for other in faces if all(other is not rival for rival in rivals)]
            faces.append(face)


def _stages(picture: Pyramid) -> Iterator[tuple[float, list[Detection]]]:
    """Ever dearer searches, each with the size of face (pixels) that makes the next one needless.

    The picture, then with a margin, in parts, in small parts, and turned.
    """
    whole = picture.whole()
    near, far = _near(picture, whole), _far(picture, whole)
    alone = [box for box in far if all(overlap(box.corners, other.corners) <= _OVERLAP for other in near)]
    yield _LARGE * whole.side, [*near, *alone]
    yield _LARGE * whole.side, merge(_near(picture, Square(whole.x, whole.y, whole.side * 1.8)))
    for parts in (2.5, 6.0):
        if whole.side / parts < _LEAST_PART:
            break
        yield 0.0, merge([box for part in _tiles(picture, whole.side / parts) for box in _far(picture, part)])
    for angle in (45, -45, 90, -90, 180):
        yield 0.0, merge(_near(picture, Square(whole.x, whole.y, whole.side * 1.3, math.radians(angle))))


def _near(picture: Pyramid, square: Square) -> list[Detection]:
    return detect("face_short", 128, picture, square, least=_DETECTED)


def _far(picture: Pyramid, square: Square) -> list[Detection]:
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


def look(picture: Pyramid, box: Detection) -> Face | None:
    """The face in a detector's box, or None when there is none after all."""
    points, score = mesh(picture, _box_square(box))
    if score < _PRESENT or eye_distance(points) < _LEAST_EYE_DISTANCE:
        return None
    face = Face(points, certainty(picture, points), box.corners)
    if face.score < _CLEAR:
        face = _other_way_up(picture, face)
    return face if face.score >= _DOUBTFUL else None


def _other_way_up(picture: Pyramid, face: Face) -> Face:
    """The face itself, or a sure one that shows when its square is turned by quarters."""
    best = face
    square = face_square(face.points)
    for quarter in (1, 2, 3):
        turned = Square(square.x, square.y, square.side * 1.6, square.angle + quarter * math.pi / 2)
        for box in _near(picture, turned)[:1]:
            # a box's points say which way is up; the box itself was made in the turned square
            points, score = mesh(picture, _box_square(box))
            sure = certainty(picture, points) if score >= _PRESENT else 0.0
            if sure > max(_SURE, best.score):
                best = Face(points, sure, box.corners)
    return best


def _box_square(box: Detection) -> Square:
    across = box.points[1] - box.points[0]
    return Square(
        float(box.centre[0]),
        float(box.centre[1]),
        float(box.size.max()) * MARGIN,
        math.atan2(float(across[1]), float(across[0])),
    )


def certainty(picture: Pyramid, points: Floats) -> float:
    """0…1: how sure the near detector is of a face when shown the square around its points."""
    square = face_square(points)
    wider = Square(square.x, square.y, square.side * 1.2, square.angle)
    here = extent(points)
    return max(
        (box.score for box in _near(picture, wider) if overlap(box.corners, here) > _OVERLAP / 2), default=0.0
    )


def refine_points(picture: Pyramid, points: Floats) -> Floats:
    """Iterative refinement: the mesh is found in the square around its last points until they converge."""
    for _ in range(3):
        before, points = points, mesh(picture, face_square(points))[0]
        if np.abs(points - before)[:, :2].mean() < 0.003 * eye_distance(points):
            break
    return points


def refine_face(picture: Pyramid, face: Face) -> Face:
    """The same face at rest, as the mean of several squares around it, mirrored ones too."""
    square = face_square(refine_points(picture, face.points))
    views = []
    for x, y, turn in _VIEWS:
        view = Square(
            square.x + x * square.side, square.y + y * square.side, square.side, square.angle + turn
        )
        views += [mesh(picture, view, mirrored=mirrored, centred=True)[0] for mirrored in (False, True)]
    points: Floats = np.stack(views).mean(0)
    apart = np.linalg.norm((np.stack(views) - points)[..., :2], axis=2).mean()
    return Face(points, face.score, face.box, float(apart) / max(eye_distance(points), 1.0))


def mesh(
    picture: Pyramid, square: Square, *, mirrored: bool = False, centred: bool = False
) -> tuple[Floats, float]:
    """The points (478, 3) in pixels and the score of the face that fills two thirds of a square.

    mirrored: show the network the mirror image; the result is turned back. centred: count from the centres of
    the network's pixels. MediaPipe does not, and so its points lie half of such a pixel (0.7 % of the eye
    distance) too far right and low: measured by mirror images, and by the dark line between closed lips.
    """
    pixels = picture.cut(square, MESH_SIDE)
    found = infer("face_mesh", np.ascontiguousarray(pixels[:, :, ::-1]) if mirrored else pixels)
    points = found["points"]
    if centred:
        points = points - np.array([0.5 / MESH_SIDE, 0.5 / MESH_SIDE, 0], np.float32)
    if mirrored:
        # column i of the crop, at i / side, has become column side - 1 - i
        points = points[mirror_points()] * np.array([-1, 1, 1], np.float32)
        points[:, 0] += (MESH_SIDE - 1) / MESH_SIDE
    return square.to_picture(points), float(found["score"][0])


def face_square(points: Floats) -> Square:
    """The square in which the mesh should look again for the face with these points."""
    return square_of(points[:, :2], points[33], points[263], MARGIN)


def extent(points: Floats) -> tuple[float, float, float, float]:
    """The upright box around points, pixels."""
    low, high = points[:, :2].min(0), points[:, :2].max(0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def _length(face: Face) -> float:
    x0, y0, x1, y1 = extent(face.points)
    return max(x1 - x0, y1 - y0)
