"""Edits change what they name and leave the rest."""

import numpy as np
import pytest

from echomimic.errors import DriverError, SettingsError
from echomimic.motion.edit import (
    blend,
    cut,
    edited,
    fit,
    gain,
    gain_hands,
    loop,
    mirror,
    resample,
    smooth,
    there_and_back,
)
from echomimic.motion.files.motion_file import Motion
from echomimic.motion.speech.default_pose import default_pose
from tests.motion.people import alike, angles, body_of, face_of, openings, talker


def test_resampling_keeps_the_length_and_the_path() -> None:
    motion = talker(50, 25.0)
    fast = resample(motion, 50.0)
    assert (len(fast), fast.fps, fast.seconds) == (100, 50.0, motion.seconds)
    np.testing.assert_allclose(fast.points[::2], motion.points, atol=1e-4)
    assert resample(motion, 25.0) is motion
    assert len(resample(default_pose(48, 24.0), 30.0)) == 60


def test_smoothing_takes_out_jitter() -> None:
    motion = talker(60)
    noise = np.random.default_rng(0).normal(0, 2, motion.points.shape)
    shaky = type(motion)(motion.points + noise.astype(np.float32), motion.fps, motion.size)
    left = np.abs(smooth(shaky, 0.08).points - motion.points).mean()
    assert left < 0.6 * np.abs(noise).mean()
    np.testing.assert_array_equal(smooth(motion, 0.0).points, motion.points)


def test_cutting_in_seconds() -> None:
    motion = talker(50, 25.0)
    part = cut(motion, 0.4, 1.2)
    np.testing.assert_array_equal(part.points, motion.points[10:30])
    assert len(cut(motion, 1.0)) == 25
    with pytest.raises(SettingsError, match=r"2\.00 s"):
        cut(motion, 3.0)


def test_looping_there_and_back_has_no_jump() -> None:
    assert there_and_back(4, 9).tolist() == [0, 1, 2, 3, 2, 1, 0, 1, 2]
    assert there_and_back(1, 3).tolist() == [0, 0, 0]
    motion = talker(20)
    long = loop(motion, 300)
    steps = np.abs(np.diff(long.points, axis=0)).max()
    assert steps <= np.abs(np.diff(motion.points, axis=0)).max()
    assert len(loop(motion, 5)) == 5


class TestGain:
    def test_one_changes_nothing(self) -> None:
        motion = talker(20)
        np.testing.assert_allclose(gain(motion).points, motion.points, atol=1e-3)

    def test_zero_everywhere_freezes(self) -> None:
        frozen = gain(talker(), mouth=0, brows=0, eyes=0, head=0)
        assert np.ptp(frozen.points, axis=0).max() < 0.1

    def test_a_frozen_mouth_is_closed_and_the_head_still_turns(self) -> None:
        motion = talker()
        quiet = gain(motion, mouth=0)
        assert np.ptp(openings(quiet)) < 0.01
        assert openings(quiet).max() < openings(motion).min() + 0.03
        assert alike(angles(quiet)[:, 1], angles(motion)[:, 1]) > 0.999

    def test_a_frozen_head_still_speaks_and_blinks(self) -> None:
        motion = talker()
        still = gain(motion, head=0)
        assert np.ptp(angles(still), axis=0).max() < 0.02
        assert alike(openings(still), openings(motion)) > 0.99

    def test_twice_is_twice(self) -> None:
        motion = talker()
        assert np.ptp(openings(gain(motion, mouth=2.0))) == pytest.approx(
            2 * np.ptp(openings(motion)), rel=0.1
        )
        assert np.ptp(angles(gain(motion, head=0.5))[:, 1]) == pytest.approx(
            0.5 * np.ptp(angles(motion)[:, 1]), rel=0.1
        )

    def test_hands(self) -> None:
        pose = default_pose(100, 25.0)
        assert np.ptp(gain_hands(pose, 0).hands, axis=0).max() < 1e-6
        np.testing.assert_allclose(gain_hands(pose, 1).hands, pose.hands)

    def test_out_of_range(self) -> None:
        with pytest.raises(SettingsError, match="mouth"):
            gain(talker(5), mouth=-1)


def test_mirroring_twice_is_nothing_and_once_turns_the_other_way() -> None:
    motion = talker()
    np.testing.assert_allclose(mirror(mirror(motion)).points, motion.points, atol=1e-3)
    assert alike(angles(mirror(motion))[:, 1], angles(motion)[:, 1]) < -0.99
    irises = mirror(motion).points[:, [468, 473], 0]
    assert (irises[:, 0] < irises[:, 1]).all()
    pose = default_pose(3, 25.0)
    np.testing.assert_allclose(mirror(mirror(pose)).hands, pose.hands)
    assert (mirror(pose).hands[:, 0, 0, 0] > mirror(pose).hands[:, 1, 0, 0]).all()


def test_blending_takes_the_head_of_one_and_the_lips_of_the_other() -> None:
    head, lips = gain(talker(60), mouth=0), gain(talker(30, 12.5), head=0)
    both = blend(head, lips)
    assert (len(both), both.fps) == (60, 25.0)
    assert alike(angles(both)[:, 1], angles(head)[:, 1]) > 0.999
    assert alike(openings(both), openings(resample(lips, 25.0))) > 0.99


class TestAllAtOnce:
    def test_nothing_asked_for_changes_nothing(self) -> None:
        motion = Motion(talker(10), default_pose(10, 25.0))
        same = edited(motion)
        np.testing.assert_array_equal(face_of(same).points, face_of(motion).points)
        np.testing.assert_array_equal(body_of(same).hands, body_of(motion).hands)

    def test_everything_together(self) -> None:
        motion = Motion(talker(60), default_pose(60, 25.0))
        done = edited(
            motion,
            fps=30,
            start=0.5,
            stop=2,
            smooth=0.02,
            mirror=True,
            lips=motion,
            length=100,
            mouth=0.5,
            hands=0,
        )
        face, body = face_of(done), body_of(done)
        assert (len(face), len(body), face.fps) == (100, 100, 30)
        assert np.ptp(body.hands, axis=0).max() < 1e-6
        assert np.ptp(openings(face)) < 0.8 * np.ptp(openings(face_of(motion)))

    def test_lips_need_two_faces(self) -> None:
        body, face = Motion(body=default_pose(5, 25.0)), Motion(talker(5))
        for motion, lips in ((body, face), (face, body)):
            with pytest.raises(DriverError, match="no face"):
                edited(motion, lips=lips)

    def test_fitting_to_a_video(self) -> None:
        fitted = fit(Motion(talker(10, 10.0), default_pose(24, 24.0)), 200, 25.0)
        face, body = face_of(fitted), body_of(fitted)
        assert len(face) == len(body) == 200
        assert face.fps == body.fps == 25.0
