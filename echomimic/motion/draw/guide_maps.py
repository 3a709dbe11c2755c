"""The guides' drawings: face landmark maps for V1, hand maps for V2.

Both repeat the official drawings pixel for pixel (fixtures `v1_landmark_maps`, `v2_hand_maps`).
A map is (H, W, 3) uint8; a guide is (3, F, H, W) float32 in 0…1, what the face locator and the pose encoder
take.
"""

from __future__ import annotations

import colorsys
from collections.abc import Iterable

import cv2
import numpy as np
import numpy.typing as npt

from echomimic.arrays import Floats, Picture
from echomimic.motion.body_pose import HAND, BodyPose
from echomimic.motion.draw import landmark_edges as edges

# Drawn at this side and then resized, as official: thickness and rounding of lines depend on it.
CANVAS = 512
# Lines are as thick as for a picture of this side, as official.
HAND_REFERENCE = 800
_BONES = tuple((4 * finger + k if k else 0, 4 * finger + k + 1) for finger in range(5) for k in range(4))


def face_map(
    points: npt.NDArray[np.floating],
    size: tuple[int, int],
    *,
    draw_mouth: bool = False,
    draw_iris: bool = False,
    draw_oval: bool = False,
) -> Picture:
    """V1's drawing of one face, as the official scripts make it.

    points: (478, 2 or 3) in pixels of `size`; `size`: (width, height) of the map. The lines are drawn on
    512x512 and resized, as the official code does.
    """
    return _fit(_face_canvas(_relative(points, size), draw_mouth, draw_iris, draw_oval), size)


def hand_map(
    hands: npt.NDArray[np.floating],
    scores: npt.NDArray[np.floating],
    size: tuple[int, int],
    *,
    reference: int = HAND_REFERENCE,
) -> Picture:
    """V2's drawing of two hands.

    hands: (2, 21, 2) relative to the picture, x and y in 0…1. scores: (2, 21). size: (width, height) of the
    map. The lines keep their thickness at a shorter side of `reference` pixels and are resized with the
    picture.
    """
    width, height = size
    shorter = min(size)
    scale = 1.0 if shorter == reference else reference / shorter
    canvas = np.zeros((int(height * scale), int(width * scale), 3), np.uint8)
    pixels = hands * np.array([canvas.shape[1], canvas.shape[0]], np.float64)
    whole = np.trunc(np.clip(pixels, -1e6, 1e6)).astype(np.int64)
    for points, score in zip(whole, np.asarray(scores, np.float64), strict=True):
        _hand(canvas, points, score)
    return np.ascontiguousarray(_fit(canvas, size)[..., ::-1])


def pose_map(pose: BodyPose, frame: int, size: tuple[int, int], *, faithful: bool = True) -> Picture:
    """V2's drawing of one frame of a pose at `size`.

    `faithful` draws as the official script does: right for squares, only the upper left part filled in
    pictures larger than the pose's own. Otherwise the pose is stretched to `size`.
    """
    relative = pose.hands[frame] / np.array(pose.size, np.float64)
    if not faithful or size == pose.size:
        return hand_map(relative, pose.hand_score[frame], size)
    own = hand_map(relative, pose.hand_score[frame], pose.size)
    pasted = np.zeros((size[1], size[0], 3), np.uint8)
    height, width = min(size[1], own.shape[0]), min(size[0], own.shape[1])
    pasted[:height, :width] = own[:height, :width]
    return pasted


def as_guide(maps: Iterable[Picture]) -> Floats:
    """Maps (H, W, 3) uint8 as one guide (3, F, H, W) float32 in 0…1."""
    stacked = np.stack(list(maps)).astype(np.float32)
    stacked /= np.float32(255)
    return np.ascontiguousarray(stacked.transpose(3, 0, 1, 2))


def _relative(points: npt.NDArray[np.floating], size: tuple[int, int]) -> npt.NDArray[np.float64]:
    """Points as parts of the picture. Rounded to float32 on the way: the official code stores them so."""
    return (np.asarray(points, np.float64)[:, :2] / size).astype(np.float32).astype(np.float64)


def _face_canvas(points: npt.NDArray[np.float64], mouth: bool, iris: bool, oval: bool) -> Picture:
    canvas = np.zeros((CANVAS, CANVAS, 3), np.uint8)
    usable = np.all((points >= 0) & (points <= 1), axis=1)
    pixels = (
        np.minimum(np.floor(np.where(usable[:, None], points, 0) * CANVAS), CANVAS - 1).astype(int).tolist()
    )
    for colour, joined in _strokes(mouth, iris, oval):
        for a, b in joined:
            if usable[a] and usable[b]:
                cv2.line(canvas, pixels[a], pixels[b], colour, 2)
    for index, colour in edges.SQUARES.items():
        x, y = points[index].tolist()
        if 0 <= x < 1 and 0 <= y < 1:
            _square(canvas, int(CANVAS * x), int(CANVAS * y), colour)
    return canvas


def _strokes(mouth: bool, iris: bool, oval: bool) -> list[edges.Stroke]:
    eyes = [edges.LEFT_EYE_LINES, edges.RIGHT_EYE_LINES, edges.LEFT_BROW_LINES, edges.RIGHT_BROW_LINES]
    irises = [edges.LEFT_IRIS_LINES, edges.RIGHT_IRIS_LINES] if iris else []
    return [*([edges.OVAL_LINES] if oval else []), *eyes, *irises, *(edges.MOUTH_LINES if mouth else ())]


def _square(canvas: Picture, x: int, y: int, colour: tuple[int, int, int]) -> None:
    # The official slices wrap around when they start below 0, which leaves them empty.
    if x >= 3 and y >= 3:
        canvas[y - 3 : y + 3, x - 3 : x + 3] = colour


def _hand(canvas: Picture, points: npt.NDArray[np.int64], scores: npt.NDArray[np.float64]) -> None:
    drawn = np.all(points >= 1, axis=1)
    for number, (a, b) in enumerate(_BONES):
        if drawn[a] and drawn[b]:
            strength = int(scores[a] * scores[b] * 255)
            colour = [part * strength for part in colorsys.hsv_to_rgb(number / len(_BONES), 1.0, 1.0)]
            cv2.line(canvas, points[a].tolist(), points[b].tolist(), colour, thickness=2)
    for index in range(HAND):
        if drawn[index]:
            cv2.circle(canvas, points[index].tolist(), 4, (0, 0, int(scores[index] * 255)), thickness=-1)


def _fit(picture: Picture, size: tuple[int, int]) -> Picture:
    if picture.shape[1::-1] == size:
        return picture
    return np.asarray(cv2.resize(picture, size), np.uint8)
