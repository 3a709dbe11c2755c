"""A driver's body on a portrait: lengths of limbs, their limit, and where the head lies.
Numbers done by hand."""

from dataclasses import replace

import numpy as np
import pytest

from echomimic.errors import DriverError
from echomimic.motion.body_pose import (
    L_ELBOW,
    L_SHOULDER,
    L_WRIST,
    NECK,
    NOSE,
    R_ELBOW,
    R_SHOULDER,
    R_WRIST,
    BodyPose,
    empty,
)
from echomimic.motion.retarget.body_fit import arms_of, body_from_face, hands_seen, shoulders_seen, sync_body

PLACES = {
    NOSE: (500, 150), NECK: (500, 300), L_SHOULDER: (600, 300), R_SHOULDER: (400, 300),
    L_ELBOW: (600, 500), R_ELBOW: (400, 500), L_WRIST: (600, 680), R_WRIST: (400, 680),
}  # fmt: skip
"""Shoulders 200 apart, upper arms 200, forearms 180."""


def standing(frames: int = 1, size: tuple[int, int] = (1000, 1000)) -> BodyPose:
    """A still person with arms hanging; no hands."""
    pose = empty(frames, 25.0, size)
    body, score = pose.body.copy(), pose.body_score.copy()
    for point, place in PLACES.items():
        body[:, point], score[:, point] = place, 1.0
    return replace(pose, body=body, body_score=score)


def with_point(pose: BodyPose, frames: slice, point: int, place: tuple[float, float]) -> BodyPose:
    body = pose.body.copy()
    body[frames, point] = place
    return replace(pose, body=body)


def half_size(at: tuple[float, float]) -> BodyPose:
    """The same person half as large, her neck at `at`, her nose 10 pixels further right than that gives."""
    pose = standing(1, (600, 600))
    body = (pose.body - (500, 300)) * 0.5 + at
    body[0, NOSE, 0] += 10
    return replace(pose, body=body)


def test_a_limb_is_as_long_as_it_is_seen_now_and_then() -> None:
    """Foreshortened most of the time; one frame is a mistake of the detector."""
    driver = standing(200)
    driver = with_point(driver, slice(0, 160), L_ELBOW, (600, 420))
    driver = with_point(driver, slice(0, 160), L_WRIST, (600, 600))
    driver = with_point(driver, slice(60, 61), L_ELBOW, (600, 1200))
    np.testing.assert_allclose(arms_of(driver).lengths, [[200, 180], [200, 180]])


def test_an_arm_that_is_bent_in_the_portrait_is_as_long_as_a_mean_persons() -> None:
    bent = with_point(standing(), slice(0, 1), L_ELBOW, (600, 350))
    bent = with_point(bent, slice(0, 1), L_WRIST, (600, 360))
    np.testing.assert_allclose(arms_of(bent).lengths, [[170, 150], [200, 180]])
    np.testing.assert_allclose(arms_of(bent).reach, [320, 380])


def test_limbs_get_the_portraits_length_and_never_more() -> None:
    driver = with_point(standing(200), slice(60, 61), L_ELBOW, (600, 1200))
    driver = with_point(driver, slice(100, 101), R_WRIST, (400, 590))
    moved = sync_body(driver, half_size((300, 200)))
    upper = np.linalg.norm(moved.body[:, L_ELBOW] - moved.body[:, L_SHOULDER], axis=1)
    fore = np.linalg.norm(moved.body[:, R_WRIST] - moved.body[:, R_ELBOW], axis=1)
    np.testing.assert_allclose(upper, 100, atol=1e-6)
    np.testing.assert_allclose(np.delete(fore, 100), 90, atol=1e-6)
    assert fore[100] == pytest.approx(45), "foreshortening is the driver's"


def test_the_body_lies_where_the_portraits_does() -> None:
    own = half_size((300, 200))
    moved = sync_body(standing(5), own)
    for point in PLACES:
        np.testing.assert_allclose(moved.body[:, point], np.repeat(own.body[:, point], 5, 0), atol=1e-6)
    assert moved.size == (600, 600)


def test_the_head_moves_from_the_portraits_own_place_as_the_driver_does() -> None:
    own, driver = half_size((300, 200)), standing(5)
    driver = with_point(driver, slice(4, 5), NOSE, (520, 130))
    moved = sync_body(driver, own)
    np.testing.assert_allclose(moved.body[4, NOSE] - moved.body[0, NOSE], (10, -10), atol=1e-6)
    np.testing.assert_allclose(moved.body[0, NOSE], own.body[0, NOSE], atol=1e-6)
    hidden = replace(
        own, body_score=np.where(np.arange(own.body_score.shape[1]) == NOSE, 0.0, own.body_score)
    )
    np.testing.assert_allclose(sync_body(driver, hidden).body[0, NOSE], (300, 125), atol=1e-6)


def test_steps_and_leaning_of_the_torso_are_scaled() -> None:
    driver = standing(5)
    body = driver.body.copy()
    body[4] += (30, 0)
    body[3, [L_SHOULDER, R_SHOULDER], 1] += (100, -100)
    moved = sync_body(replace(driver, body=body), half_size((300, 200)))
    np.testing.assert_allclose(moved.body[4, NECK], (315, 200), atol=1e-6)
    across = moved.body[3, L_SHOULDER] - moved.body[3, R_SHOULDER]
    np.testing.assert_allclose(across, 100 * np.array([0.5**0.5, 0.5**0.5]), atol=1e-6)


def test_hands_hang_on_their_wrists() -> None:
    driver = standing(3)
    hands, score = driver.hands.copy(), driver.hand_score.copy()
    hands[:, 0] = (640, 700)
    hands[:, 0, 0] = (600, 680)
    hands[:, 0, 9] = (600, 740)
    score[:, 0] = 1.0
    moved = sync_body(replace(driver, hands=hands, hand_score=score), half_size((300, 200)))
    np.testing.assert_allclose(moved.hands[:, 0, 0], moved.body[:, L_WRIST])
    np.testing.assert_allclose(moved.body[:, L_WRIST], [[350, 390]] * 3, err_msg="the hand's own wrist")
    np.testing.assert_allclose(moved.hands[:, 0, 9] - moved.hands[:, 0, 0], [[0, 30]] * 3, atol=1e-6)
    assert not moved.hands[:, 1].any()
    assert hands_seen(moved).tolist() == [[True, False]] * 3


def test_an_elbow_that_is_hardly_ever_seen_lies_on_the_way_to_the_wrist() -> None:
    driver = standing(20)
    score, body = driver.body_score.copy(), driver.body.copy()
    score[:, L_ELBOW], body[:, L_ELBOW] = 0.0, 7.0
    moved = sync_body(replace(driver, body=body, body_score=score), half_size((300, 200)))
    straight = moved.body[:, L_SHOULDER] * (0.75 / 1.6) + moved.body[:, L_WRIST] * (0.85 / 1.6)
    np.testing.assert_allclose(moved.body[:, L_ELBOW], straight, atol=2)


def test_a_face_gives_a_neck_and_shoulders() -> None:
    points = np.zeros((478, 3), np.float32)
    points[33, :2], points[263, :2], points[152, :2] = (100, 100), (160, 180), (130, 300)
    guess = body_from_face(points, (640, 480))
    np.testing.assert_allclose(
        guess.body[0, [NECK, L_SHOULDER, R_SHOULDER]], [(130, 375), (330, 380), (-70, 380)]
    )
    assert guess.body_score.sum() == 3
    assert shoulders_seen(guess)
    assert not shoulders_seen(empty(1, 25.0, (640, 480)))


def test_shoulders_on_one_point_are_refused() -> None:
    thin = with_point(standing(), slice(0, 1), L_SHOULDER, (400.5, 300))
    with pytest.raises(DriverError, match="lie on one point"):
        arms_of(thin)
    assert arms_of(with_point(standing(), slice(0, 1), L_SHOULDER, (401, 300))).width == pytest.approx(1)


def test_shoulders_that_show_in_one_frame_are_enough() -> None:
    driver = standing(3)
    score, body = driver.body_score.copy(), driver.body.copy()
    score[:2, L_SHOULDER], body[:2, L_SHOULDER] = 0.0, 9.0
    seldom = replace(driver, body=body, body_score=score)
    assert shoulders_seen(seldom)
    assert arms_of(seldom).width == 200
    np.testing.assert_allclose(arms_of(seldom).lengths, [[200, 180], [200, 180]])
