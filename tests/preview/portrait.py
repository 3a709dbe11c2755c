"""A drawn person with known landmarks, so that the preview's tests need no photo."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from echomimic.arrays import Picture
from echomimic.faces import geometry as g
from echomimic.faces.detect import Face
from echomimic.motion.performance import Performance, at_rest
from echomimic.preview.mesh.face_mesh import LOWER_LIP_BETWEEN
from echomimic.preview.renderer import PreviewRenderer

Array = NDArray[np.float32]
Pixels = NDArray[np.uint8]
SKIN, LIP, DARK = (224, 184, 160), (190, 90, 90), (40, 26, 24)


@dataclass(frozen=True)
class Portrait:
    picture: Pixels
    face: Face
    mask: Array

    def renderer(self, width: int = 192, height: int = 192) -> PreviewRenderer:
        return PreviewRenderer(self.picture, self.face, self.mask, width, height)


def draw(
    width: int = 192,
    height: int = 192,
    unit: float = 52.0,
    centre: tuple[float, float] = (0.5, 0.42),
    smile: bool = False,
) -> Portrait:
    """A frontal face with eyes, brows, lips and shoulders before stripes; `unit` pixels between the eyes."""
    at = np.array([centre[0] * width, centre[1] * height, 0], np.float32)
    points = np.zeros((478, 3), np.float32)
    points[:468] = at + unit * g.canonical_face() * np.array([1, -1, -1], np.float32)
    if not smile:
        points[list(g.UPPER_LIP_INNER)] += points[list(g.LOWER_LIP_INNER)]
        points[list(g.UPPER_LIP_INNER)] /= 2
        points[list(g.LOWER_LIP_INNER)] = points[list(g.UPPER_LIP_INNER)]
    for ids, eye in ((g.LEFT_IRIS, (33, 133)), (g.RIGHT_IRIS, (263, 362))):
        points[list(ids)] = points[list(eye)].mean(0)
        points[list(ids[1:]), :2] += 0.065 * unit * np.array([[1, 0], [0, 1], [-1, 0], [0, -1]], np.float32)
    picture = np.full((height, width, 3), (90, 120, 150), np.uint8)
    picture[:, ::12] = (120, 150, 170)
    mask = np.zeros((height, width), np.float32)
    chin, outline = points[g.CHIN, :2], points[list(g.OVAL), :2]
    hair = (outline - outline.mean(0)) * 1.12 + outline.mean(0)
    away = unit * np.array([[-0.5, 0], [-2, 0], [2, 0], [0.5, 0]], np.float32)
    body = chin + away + np.array([[0, -10], [0, height], [0, height], [0, -10]], np.float32)
    for shape, colour in ((hair, DARK), (body, (60, 60, 120)), (outline, SKIN)):
        _fill(picture, shape, colour)
        _fill(mask, shape, 1.0)
    eyes = ((g.LEFT_EYE_UPPER, g.LEFT_EYE_LOWER), (g.RIGHT_EYE_UPPER, g.RIGHT_EYE_LOWER))
    for upper, lower in eyes:
        _fill(picture, points[list(upper + lower[::-1]), :2], (240, 240, 240))
    for iris in (g.LEFT_IRIS, g.RIGHT_IRIS):
        _fill(picture, points[list(iris[1:]), :2], DARK)
    _fill(picture, points[list(g.UPPER_LIP_OUTER + g.LOWER_LIP_OUTER[::-1]), :2], LIP)
    line = points[list(g.UPPER_LIP_INNER), :2] * 0.5 + points[list(g.LOWER_LIP_INNER), :2] * 0.5
    cv2.polylines(picture, [np.round(line * 16).astype(np.int32)], False, (120, 50, 50), 1, cv2.LINE_AA, 4)
    if smile:
        _fill(picture, points[list(g.UPPER_LIP_INNER + g.LOWER_LIP_INNER[::-1]), :2], (235, 230, 225))
    (left, top), (right, bottom) = points[:, :2].min(0), points[:, :2].max(0)
    box = float(left), float(top), float(right), float(bottom)
    return Portrait(picture, Face(points, 1.0, box), mask)


def _fill(image: Picture | Array, points: Array, colour: Sequence[float] | float) -> None:
    cv2.fillPoly(
        image, [np.round(points * 16).astype(np.int32)], colour, cv2.LINE_AA if image.ndim == 3 else 8, 4
    )


def jaw_drop() -> Array:
    """(1, 468, 3) a basis of one: the mouth opens by 0.2 units at coefficient 1."""
    face = g.canonical_face()
    basis = np.zeros((1, 468, 3), np.float32)
    rows = (g.LOWER_LIP_INNER, g.LOWER_LIP_OUTER, *LOWER_LIP_BETWEEN)
    lower = [point for row in rows for point in row[1:-1]]
    middle = 1 - (np.abs(face[lower, 0]) / 0.3) ** 2
    basis[0, lower, 1] = -0.2 * np.clip(middle, 0, 1)
    chin = face[:, 1] < face[17, 1] - 0.02
    basis[0, chin, 1] = -0.1
    return basis


def play(frames: int = 1, **tracks: object) -> Performance:
    """A still performance with some tracks replaced; `mouth` is the coefficient of the jaw drop."""
    base = at_rest(frames, 25.0, jaw_drop())
    values = {
        name: getattr(base, name).copy()
        for name in ("expression", "rotation", "translation", "blink", "gaze", "body", "brow")
    }
    for name, value in tracks.items():
        key = "expression" if name == "mouth" else name
        values[key][:] = np.asarray(value, np.float32).reshape(-1, 1) if name == "mouth" else value
    return Performance(fps=25.0, basis=base.basis, **values)
