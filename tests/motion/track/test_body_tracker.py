"""What the networks see of a body, as body pose; short gaps are bridged, long ones stay empty."""

import numpy as np

from echomimic.faces.body import Body, Hand, Pose
from echomimic.motion.body_pose import L_SHOULDER, L_WRIST, NECK, R_SHOULDER
from echomimic.motion.track.body_tracker import portrait_body, video_body


def pose_at(x: float) -> Pose:
    points = np.zeros((33, 3), np.float32)
    points[11], points[12], points[15] = (x + 60, 100, 0), (x - 60, 100, 0), (x + 70, 220, 0)
    return Pose(points, np.ones(33, np.float32), 1.0, np.zeros((2, 2), np.float32))


def hand_at(x: float) -> Hand:
    points = np.zeros((21, 3), np.float32)
    points[:, 0], points[:, 1] = x + np.arange(21), 220
    return Hand(points, 0.9, 1.0)


def seen(frames: int, lost: set[int]) -> list[Body]:
    return [Body(pose_at(200 + i), None if i in lost else hand_at(270 + i), None) for i in range(frames)]


def test_body_points_are_openposes() -> None:
    pose, _ = video_body(seen(3, set()), 25.0, (400, 300))
    np.testing.assert_allclose(
        pose.body[0, [L_SHOULDER, R_SHOULDER, NECK]], [[260, 100], [140, 100], [200, 100]], atol=1
    )
    np.testing.assert_allclose(pose.body[0, L_WRIST], [270, 220], atol=1)
    assert pose.hand_score[0, 0, 0] > 0.8
    assert not pose.hands[:, 1].any()


def test_short_gaps_are_bridged_and_long_ones_stay_empty() -> None:
    pose, bridged = video_body(seen(60, {10, 11, *range(30, 50)}), 25.0, (400, 300))
    assert bridged == 2
    np.testing.assert_allclose(pose.hands[8:14, 0, 0, 0], 270 + np.arange(8, 14), atol=0.5)
    assert not pose.hands[30:50].any()
    assert not pose.hand_score[30:50].any()
    assert pose.hand_score[10, 0, 0] > 0.5


def test_a_picture_without_a_person() -> None:
    pose = portrait_body(np.full((80, 100, 3), 90, np.uint8))
    assert (len(pose), pose.size) == (1, (100, 80))
    assert not pose.hand_score.any()
    assert not pose.body_score.any()
