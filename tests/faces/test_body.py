"""Pose and hands: where MediaPipe finds them, and whose hand is whose."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from echomimic.faces.body import (
    Hand,
    Pose,
    VideoBody,
    assign_sides,
    find_hands,
    find_pose,
    hand_square,
    pose_square,
)
from echomimic.media.image import Picture

Array = NDArray[np.float32]


def hand_at(x: float, y: float, left: float = 0.5, turn: float = 0.0) -> Hand:
    """An open hand: the fingers point up when `turn` is 0."""
    fingers = np.arange(1, 6)[:, None] * 8 - 24.0
    joints = np.arange(1, 5)[None] * -12.0 - 20
    spread = np.stack(np.broadcast_arrays(fingers, joints), -1).reshape(20, 2)
    flat = np.concatenate([np.zeros((1, 2)), spread])
    c, s = math.cos(turn), math.sin(turn)
    flat = flat @ np.array([[c, s], [-s, c]]) + [x, y]
    return Hand(np.column_stack([flat, np.zeros(21)]).astype(np.float32), 0.9, left)


def pose_with_wrists(left: tuple[float, float], right: tuple[float, float]) -> Pose:
    points = np.zeros((33, 3), np.float32)
    points[11, :2], points[12, :2] = (200, 100), (100, 100)
    points[15, :2], points[16, :2] = left, right
    return Pose(points, np.ones(33, np.float32), 1.0, np.array([[150, 300], [150, 50]], np.float32))


def test_the_pose_is_that_of_mediapipe(astronaut: Picture, recorded: dict[str, Array]) -> None:
    pose = find_pose(astronaut)
    assert pose is not None
    wanted = recorded["pose"]
    shoulders = np.linalg.norm(wanted[11, :2] - wanted[12, :2])
    gaps = np.linalg.norm(pose.points[:13, :2] - wanted[:13, :2], axis=1) / shoulders
    assert gaps.mean() < 0.02
    assert np.abs(pose.visibility - wanted[:, 3]).max() < 0.15


def test_a_body_is_followed_and_a_wall_has_none(astronaut: Picture) -> None:
    tracker = VideoBody()
    first, second = tracker.track(astronaut), tracker.track(astronaut)
    assert first.pose is not None
    assert second.pose is not None
    assert np.abs(first.pose.points[:11, :2] - second.pose.points[:11, :2]).max() < 6
    wall = np.full((128, 128, 3), 150, np.uint8)
    assert find_pose(wall) is None
    assert find_hands(wall) == []


def test_left_and_right_are_the_wrists_they_hang_on() -> None:
    one, other = hand_at(210, 200), hand_at(90, 210)
    pose = pose_with_wrists((205, 205), (95, 205))
    assert assign_sides([one, other], pose) == (one, other)
    assert assign_sides([other, one], pose) == (one, other)
    assert assign_sides([other], pose) == (None, other)
    assert assign_sides([hand_at(900, 900)], pose) == (None, None)


def test_without_a_pose_a_hand_s_look_decides() -> None:
    left, right = hand_at(0, 0, left=0.9), hand_at(300, 0, left=0.2)
    assert assign_sides([right, left], None) == (left, right)


@pytest.mark.parametrize("turn", [0.0, 0.7, -2.0])
def test_the_square_of_a_hand_turns_with_it(turn: float) -> None:
    upright, turned = hand_square(hand_at(0, 0).points), hand_square(hand_at(50, 40, turn=turn).points)
    assert upright.y < -20
    assert math.cos(turned.angle - upright.angle - turn) == pytest.approx(1, abs=1e-4)
    assert turned.side == pytest.approx(upright.side, rel=1e-4)


def test_the_square_of_a_person_is_upright_around_the_hips() -> None:
    square = pose_square(np.array([[100, 200], [100, 80]], np.float32))
    assert (square.x, square.y, square.side) == pytest.approx((100, 200, 300))
    assert math.cos(square.angle) == pytest.approx(1)
