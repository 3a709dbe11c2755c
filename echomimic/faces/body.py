"""Finds hands (21 points each) and a body's pose (33 points), with MediaPipe's models;
follows them through a video."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from echomimic.arrays import Floats, Picture
from echomimic.faces.detect import Detection, detect, extent, overlap
from echomimic.faces.network import infer
from echomimic.faces.square import Pyramid, Square, square_of

# The sides of the pictures that MediaPipe's four networks take.
_PALM, _HAND, _POSE_BOX, _POSE = 192, 224, 224, 256
# MediaPipe's own threshold: half sure.
_PRESENT = 0.5
# Overlap (intersection over union) from which on two finds are one hand; MediaPipe's non-maximum
# suppression.
_SAME_HAND = 0.3
# MediaPipe's margins: a palm's box shows the palm only, the points' box leaves the fingers out.
_PALM_MARGIN, _PALM_SHIFT = 2.6, -0.5
_HAND_MARGIN, _HAND_SHIFT = 2.0, -0.1
_POSE_MARGIN = 1.25
# MediaPipe's scale of a hand's z.
_HAND_DEPTH = np.array([1, 1, 2.5], np.float32)
# The points of wrist and knuckles that say where a hand is, whatever the fingers do.
_PALM_POINTS = [0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18]
# The refinement looks at a 7 × 7 window, as MediaPipe's calculator does.
_HEAT_REACH = 3
_HEAT_SIDE = 64

LEFT_ELBOW, RIGHT_ELBOW, LEFT_WRIST, RIGHT_WRIST = 13, 14, 15, 16
"""Indices of a pose; left and right are the person's own."""


@dataclass(frozen=True)
class Hand:
    """One hand in a picture."""

    points: Floats
    """(21, 3): wrist, then thumb, index, middle, ring and little finger, four joints each, tip last. x, y in
    pixels; z in about the same scale, zero at the wrist, smaller is nearer."""
    score: float
    """0…1, how sure the network is of a hand."""
    left: float
    """0…1, how sure it is the person's own left hand (in a picture that is not mirrored)."""


@dataclass(frozen=True)
class Pose:
    """A person's body in a picture."""

    points: Floats
    """(33, 3) as MediaPipe numbers them; x, y in pixels, z in about the same scale, zero at the hips. Points
    outside the picture are guesses."""
    visibility: Floats
    """(33,) 0…1: in the picture and not hidden."""
    score: float
    """0…1, how sure the network is of a person."""
    anchors: Floats
    """(2, 2): the middle of the hips and a point above the head; where to look in the next frame."""


@dataclass(frozen=True)
class Body:
    """What was found of a person in one frame; left and right are the person's own."""

    pose: Pose | None
    left: Hand | None
    right: Hand | None


def find_hands(rgb: Picture, *, most: int = 2, pose: Pose | None = None) -> list[Hand]:
    """Up to `most` hands of a picture (H, W, 3) uint8, surest first.

    pose: when known, the surroundings of its wrists are searched too, which finds small hands.
    """
    picture = Pyramid(rgb)
    boxes = _palms(picture, picture.whole())
    for square in _wrist_squares(pose):
        boxes += _palms(picture, square)
    hands: list[Hand] = []
    for box in sorted(boxes, key=lambda box: -box.score):
        if any(overlap(extent(hand.points), box.corners) > _SAME_HAND for hand in hands):
            continue
        _keep(hands, hand_in(picture, _palm_square(box)))
    return sorted(hands, key=lambda hand: -hand.score)[:most]


def _keep(hands: list[Hand], hand: Hand | None) -> None:
    """Adds a hand that is not the same as one already there."""
    if hand and all(overlap(extent(hand.points), extent(other.points)) <= _SAME_HAND for other in hands):
        hands.append(hand)


def _palms(picture: Pyramid, square: Square) -> list[Detection]:
    return detect("palm_find", _PALM, picture, square, least=_PRESENT, low=0.0)


def hand_in(picture: Pyramid, square: Square) -> Hand | None:
    """The hand in a square in which it stands upright, or None."""
    found = infer("hand_points", picture.cut(square, _HAND))
    score = float(found["score"][0])
    if score < _PRESENT:
        return None
    points = square.to_picture(found["points"] * _HAND_DEPTH)
    return Hand(points, score, 1 - float(found["right"][0]))


def _palm_square(box: Detection) -> Square:
    """The square for the hand behind a palm's box: fingers up, moved towards them."""
    angle = _upright(box.points[0], box.points[2])
    return _shifted(box.centre, float(box.size[1]) * _PALM_SHIFT, float(box.size.max()) * _PALM_MARGIN, angle)


def hand_square(points: Floats) -> Square:
    """The square in which to look again for a hand with these points."""
    knuckles = (points[5, :2] + points[13, :2]) / 4 + points[9, :2] / 2
    angle = _upright(points[0], knuckles)
    across = np.array([math.cos(angle), math.sin(angle)], np.float32)
    square = square_of(points[_PALM_POINTS, :2], np.zeros(2, np.float32), across, 1.0)
    length = float(np.ptp(points[_PALM_POINTS, :2] @ np.array([-across[1], across[0]])))
    return _shifted(np.array([square.x, square.y]), length * _HAND_SHIFT, square.side * _HAND_MARGIN, angle)


def _upright(low: NDArray[np.floating], high: NDArray[np.floating]) -> float:
    """The angle of a square in which `high` lies straight above `low`."""
    return math.pi / 2 - math.atan2(float(low[1] - high[1]), float(high[0] - low[0]))


def _shifted(centre: NDArray[np.floating], down: float, side: float, angle: float) -> Square:
    x, y = float(centre[0]), float(centre[1])
    return Square(x - math.sin(angle) * down, y + math.cos(angle) * down, side, angle)


def _wrist_squares(pose: Pose | None) -> list[Square]:
    """Where a pose has its hands: a little beyond the wrists."""
    if pose is None:
        return []
    squares = []
    width = float(np.linalg.norm(pose.points[11, :2] - pose.points[12, :2]))
    for elbow, wrist in ((LEFT_ELBOW, LEFT_WRIST), (RIGHT_ELBOW, RIGHT_WRIST)):
        arm = pose.points[wrist, :2] - pose.points[elbow, :2]
        x, y = pose.points[wrist, :2] + 0.3 * arm
        side = 2.2 * max(float(np.linalg.norm(arm)) * 0.7, width * 0.35)
        if pose.visibility[wrist] > 0.3:
            squares.append(Square(float(x), float(y), side))
    return squares


def find_pose(rgb: Picture) -> Pose | None:
    """The pose of the most visible person of a picture (H, W, 3) uint8, or None."""
    picture = Pyramid(rgb)
    for box in detect("pose_find", _POSE_BOX, picture, picture.whole(), least=_PRESENT):
        pose = pose_in(picture, pose_square(box.points))
        if pose:
            return pose
    return None


def pose_square(anchors: Floats) -> Square:
    """The square of a person: around the middle of the hips,
    as large as the other point is far, and upright."""
    hips, top = anchors[0], anchors[1]
    side = 2 * float(np.linalg.norm(top - hips)) * _POSE_MARGIN
    return Square(float(hips[0]), float(hips[1]), side, _upright(hips, top))


def pose_in(picture: Pyramid, square: Square) -> Pose | None:
    """The pose of the person in a square, or None."""
    found = infer("pose_points", picture.cut(square, _POSE))
    score = float(found["score"][0])
    if score < _PRESENT:
        return None
    fine = _refine_from_heatmap(found["points"][:, :3], found["heatmap"])
    points = square.to_picture(fine)
    visibility = _sigmoid(found["points"][:33, 3])
    return Pose(points[:33], visibility, score, points[33:35, :2])


def _refine_from_heatmap(points: Floats, heatmap: Floats) -> Floats:
    """Points (39, 3) in 0…1, each moved to the centre of the heat around it
    (RefineLandmarksFromHeatmapCalculator)."""
    result: Floats = points.copy()
    for index, (x, y) in enumerate(points[:, :2] * _HEAT_SIDE):
        if not (0 <= x < _HEAT_SIDE and 0 <= y < _HEAT_SIDE):
            continue
        left, top = max(0, int(x) - _HEAT_REACH), max(0, int(y) - _HEAT_REACH)
        heat = _sigmoid(heatmap[top : int(y) + _HEAT_REACH + 1, left : int(x) + _HEAT_REACH + 1, index])
        if heat.max() < _PRESENT:
            continue
        total = heat.sum() * _HEAT_SIDE
        result[index, 0] = (heat.sum(0) @ np.arange(left, left + heat.shape[1])) / total
        result[index, 1] = (heat.sum(1) @ np.arange(top, top + heat.shape[0])) / total
    return result


def _sigmoid(logits: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -30, 30))), np.float32)


class VideoBody:
    """Follows one person's body and hands through a video; frames are given in order."""

    def __init__(self) -> None:
        self._last = Body(None, None, None)
        self._frame = 0

    def track(self, rgb: Picture) -> Body:
        """Body and hands in the next frame (H, W, 3) uint8."""
        picture = Pyramid(rgb)
        pose = self._pose(rgb, picture)
        hands: list[Hand] = []
        for last in (self._last.left, self._last.right):
            if last:
                _keep(hands, hand_in(picture, hand_square(last.points)))
        if len(hands) < 2 and self._frame % _SEARCH_EVERY == 0:
            for hand in find_hands(rgb, pose=pose):
                _keep(hands, hand)
        self._frame += 1
        self._last = Body(pose, *assign_sides(hands, pose))
        return self._last

    def _pose(self, rgb: Picture, picture: Pyramid) -> Pose | None:
        last = self._last.pose
        pose = pose_in(picture, pose_square(last.anchors)) if last else None
        return pose or find_pose(rgb)


# Missing hands are searched in every so many frames: the search costs more than following.
_SEARCH_EVERY = 3


def assign_sides(hands: list[Hand], pose: Pose | None) -> tuple[Hand | None, Hand | None]:
    """The person's left and right hand among those found: by the wrists of the pose, else by their look."""
    sides: list[Hand | None] = [None, None]
    costs = sorted(
        (_side_cost(hand, side, pose), side, index) for index, hand in enumerate(hands) for side in (0, 1)
    )
    used: set[int] = set()
    for cost, side, index in costs:
        if sides[side] is None and index not in used and math.isfinite(cost):
            sides[side] = hands[index]
            used.add(index)
    return sides[0], sides[1]


def _side_cost(hand: Hand, side: int, pose: Pose | None) -> float:
    """How little a hand is the left (0) or right (1) one:
    distance to that wrist in shoulder widths, and the look."""
    look = 1 - hand.left if side == 0 else hand.left
    if pose is None:
        return look
    width = max(float(np.linalg.norm(pose.points[11, :2] - pose.points[12, :2])), 1.0)
    gap = float(np.linalg.norm(hand.points[0, :2] - pose.points[(LEFT_WRIST, RIGHT_WRIST)[side], :2])) / width
    return gap + 0.3 * look if gap < 1.5 else math.inf
