"""Faces of every size, turn and number are found where MediaPipe finds them, and nothing else is."""

import math

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from echomimic.faces.detect import Face, find_faces, mesh
from echomimic.faces.geometry import LOWER_LIP_INNER, UPPER_LIP_INNER, eye_distance
from echomimic.faces.square import Pyramid, Square
from echomimic.media.image import Picture

Array = NDArray[np.float32]
LIPS = [*UPPER_LIP_INNER, *LOWER_LIP_INNER]


def error(found: Array, wanted: Array) -> float:
    """Mean distance of points in the picture, in outer eye distances."""
    unit = np.linalg.norm(wanted[33, :2] - wanted[263, :2])
    return float(np.linalg.norm(found[:, :2] - wanted[:, :2], axis=1).mean() / unit)


def placed(rgb: Picture, matrix: NDArray[np.float64], size: tuple[int, int]) -> Picture:
    ground = (96, 112, 104)
    return np.asarray(cv2.warpAffine(rgb, matrix, size, flags=cv2.INTER_CUBIC, borderValue=ground), np.uint8)


def moved(points: Array, matrix: NDArray[np.float64]) -> Array:
    return np.asarray(points[:, :2] @ matrix[:, :2].T + matrix[:, 2], np.float32)


def one(faces: list[Face]) -> Face:
    assert len(faces) == 1
    return faces[0]


def test_points_are_those_of_mediapipe(astronaut: Picture, recorded: dict[str, Array]) -> None:
    face = one(find_faces(astronaut, refine=False))
    assert face.points.shape == (478, 3)
    assert face.points.dtype == np.float32
    assert error(face.points, recorded["points"]) < 0.007
    unit = eye_distance(recorded["points"])
    assert np.linalg.norm((face.points - recorded["points"])[LIPS, :2], axis=1).mean() < 0.006 * unit
    assert np.abs(face.points - recorded["points"])[:, 2].mean() < 0.005 * unit
    assert np.abs(np.array(face.box) - recorded["box"]).max() < 0.04 * unit
    assert face.score == pytest.approx(float(recorded["score"]), abs=0.05)


def test_refined_points_stay_near_and_hold_still(astronaut: Picture, recorded: dict[str, Array]) -> None:
    face = one(find_faces(astronaut))
    assert error(face.points, recorded["settled"]) < 0.015
    shift = np.array([[1, 0, 37.4], [0, 1, 21.7]])
    again = one(find_faces(placed(astronaut, shift, (330, 300))))
    assert error(again.points, moved(face.points, shift)) < 0.004


def test_the_same_picture_gives_the_same_numbers_and_no_noise(
    astronaut: Picture, capfd: pytest.CaptureFixture[str]
) -> None:
    first, second = one(find_faces(astronaut)), one(find_faces(astronaut))
    assert first.points.tobytes() == second.points.tobytes()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("turn", [-45, 45, 90, 180])
def test_turned_heads(astronaut: Picture, recorded: dict[str, Array], turn: int) -> None:
    matrix = np.asarray(cv2.getRotationMatrix2D((128, 128), -turn, 1.0), np.float64)
    matrix[:, 2] += 52
    face = one(find_faces(placed(astronaut, matrix, (360, 360))))
    assert error(face.points, moved(recorded["settled"], matrix)) < 0.015


@pytest.mark.parametrize(("side", "part"), [(1600, 0.05), (400, 0.1), (64, 0.8)])
def test_small_faces(astronaut: Picture, recorded: dict[str, Array], side: int, part: float) -> None:
    scale = side * part / float(np.ptp(recorded["settled"][:, 1]))
    small = np.asarray(cv2.resize(astronaut, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))
    left, top = int((side - small.shape[1]) * 0.4), int((side - small.shape[0]) * 0.3)
    picture = np.full((side, side, 3), (96, 112, 104), np.uint8)
    x, y = max(0, left), max(0, top)
    inner = small[max(0, -top) :, max(0, -left) :][: side - y, : side - x]
    picture[y : y + inner.shape[0], x : x + inner.shape[1]] = inner
    face = one(find_faces(picture))
    matrix = np.array([[scale, 0, left + (scale - 1) / 2], [0, scale, top + (scale - 1) / 2]])
    assert error(face.points, moved(recorded["settled"], matrix)) < 0.03


def test_a_face_that_fills_the_picture(astronaut: Picture, recorded: dict[str, Array]) -> None:
    x0, y0 = recorded["settled"][:, :2].min(0).astype(int)
    x1, y1 = recorded["settled"][:, :2].max(0).astype(int)
    face = one(find_faces(astronaut[y0:y1, x0:x1]))
    assert error(face.points, recorded["settled"][:, :2] - [x0, y0]) < 0.02


def test_several_faces_come_largest_first(astronaut: Picture) -> None:
    half = np.asarray(cv2.resize(astronaut, (128, 128), interpolation=cv2.INTER_AREA))
    picture = np.full((300, 520, 3), 90, np.uint8)
    picture[100:228, 20:148] = half[:, ::-1]
    picture[20:276, 200:456] = astronaut
    faces = find_faces(picture)
    assert [int(face.points[:, 0].mean() > 200) for face in faces] == [1, 0]
    assert eye_distance(faces[0].points) == pytest.approx(2 * eye_distance(faces[1].points), rel=0.05)
    assert len(find_faces(picture, most=1)) == 1


def test_grey_and_dark_pictures(astronaut: Picture, recorded: dict[str, Array]) -> None:
    grey = np.repeat(astronaut.mean(2, keepdims=True), 3, 2).astype(np.uint8)
    for picture in (grey, (astronaut * 0.2).astype(np.uint8)):
        assert error(one(find_faces(picture)).points, recorded["settled"]) < 0.025


def test_people_are_human_in_any_light(astronaut: Picture) -> None:
    noise = np.random.default_rng(0).normal(0, 12, astronaut.shape)
    grainy = np.clip(astronaut * 0.4 + noise, 0, 255).astype(np.uint8)
    for picture in (astronaut, (astronaut * 0.2).astype(np.uint8), grainy, astronaut // 48 * 48 + 24):
        assert one(find_faces(picture)).human


@pytest.mark.parametrize(("score", "spread", "human"), [
    (0.95, 0.040, True), (0.88, 0.025, True), (0.76, 0.010, True),
    (0.86, 0.040, False), (0.80, 0.018, False), (0.70, 0.030, False),
])  # fmt: skip
def test_an_unsure_face_that_changes_from_look_to_look_is_no_persons(
    score: float, spread: float, human: bool
) -> None:
    assert Face(np.zeros((478, 3), np.float32), score, (0, 0, 1, 1), spread).human is human


def test_no_face(astronaut: Picture) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
    assert find_faces(noise) == []
    assert find_faces(np.full((70, 64, 3), 128, np.uint8)) == []
    suit = astronaut[200:, :120]
    assert find_faces(suit) == []


def test_the_mesh_sees_mirror_images_alike(astronaut: Picture, recorded: dict[str, Array]) -> None:
    picture = Pyramid(astronaut)
    square = Square(125.0, 122.0, 166.0, math.radians(3))
    plain, _ = mesh(picture, square)
    mirrored, _ = mesh(picture, square, mirrored=True)
    assert error(plain, recorded["settled"]) < 0.01
    assert error(mirrored, plain) < 0.025
