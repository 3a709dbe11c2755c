"""Motion fitted to a portrait, turned into a performance and back, and hands that follow the speech."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from echomimic.errors import DriverError, NoFaceError
from echomimic.faces.detect import find_faces
from echomimic.faces.geometry import eye_opening, head_pose
from echomimic.media.image import read_picture
from echomimic.motion.body_pose import L_SHOULDER, R_SHOULDER, BodyPose
from echomimic.motion.face_motion import FaceMotion
from echomimic.motion.files.motion_file import Motion
from echomimic.motion.retarget.body_fit import ARMS, arms_of, body_from_face, sync_body
from echomimic.motion.retarget.fit import made_for, sync_face, sync_motion, sync_to
from echomimic.motion.retarget.from_performance import motion_from_performance
from echomimic.motion.retarget.to_performance import performance_from_motion
from echomimic.motion.speech.default_pose import default_pose
from echomimic.motion.speech.hands_from_speech import hands_from_speech
from echomimic.motion.speech.motion_from_speech import speak
from echomimic.motion.track.portrait import average_face
from tests.motion.people import (
    SIZE,
    alike,
    angles,
    body_of,
    face_of,
    handless,
    openings,
    person,
    portrait,
    talker,
)
from tests.motion.sounds import silence, vowels
from tests.parity import fixtures


def by_performance(motion: FaceMotion, points: np.ndarray, size: tuple[int, int]) -> FaceMotion:
    """A driver's motion given by the portrait as a performance: the other way to what `sync_face` does."""
    return motion_from_performance(performance_from_motion(motion, points), points, size)


class TestFace:
    def test_from_pixels_alone_it_is_nearly_the_official_result(self) -> None:
        stored = fixtures.arrays("v1_motion_sync")
        driver = FaceMotion(stored["driver_lmks"] * 512, 25.0, (512, 512))
        moved = sync_face(driver, stored["reference_lmks"] * np.float32(512), (512, 512))
        assert np.abs(moved.points[..., :2] - stored["out_7"]).max() < 1.0

    @pytest.mark.parametrize("size", [(512, 512), (400, 700)])
    def test_a_still_driver_leaves_the_portrait_nearly_still(self, size: tuple[int, int]) -> None:
        face = portrait(120.0, (size[0] / 2, size[1] / 2))
        still = talker(5)[np.zeros(5, int)]
        moved = sync_face(still, face, size)
        assert np.abs(moved.points[..., :2] - face[:, :2]).mean() < 0.02 * 120

    def test_head_and_mouth_of_the_driver(self) -> None:
        driver = talker()
        moved = sync_face(driver, portrait(100.0, (300, 200)), SIZE)
        assert alike(openings(moved), openings(driver)) > 0.95
        assert alike(angles(moved)[:, 1], angles(driver)[:, 1]) > 0.95

    def test_by_way_of_a_performance_the_mouth_opens_as_far_as_the_drivers(self) -> None:
        driver, face = talker(), portrait(100.0, (300, 200))
        lips = [13, 14, 82, 87, 312, 317, 81, 178, 311, 402]
        face[lips, 1] = face[lips, 1].mean()
        wide, official = (np.ptp(openings(way(driver, face, SIZE))) for way in (by_performance, sync_face))
        assert wide == pytest.approx(np.ptp(openings(driver)), rel=0.3)
        assert official < 1.2 * wide


class TestPerformance:
    def test_a_driver_gives_its_head_mouth_and_blinks(self) -> None:
        driver = talker()
        performance = performance_from_motion(driver)
        assert alike(performance.rotation[:, 1], angles(driver)[:, 1]) > 0.99
        gap = performance.expression @ (performance.basis[:, 13, 1] - performance.basis[:, 14, 1])
        assert alike(gap, openings(driver)) > 0.99
        assert performance.blink[31:33].min() > 0.8
        assert performance.blink[:28].max() < 0.2

    def test_there_and_back(self) -> None:
        given = performance_from_motion(talker())
        motion = motion_from_performance(given, portrait(90.0, (260, 240)), SIZE)
        again = performance_from_motion(motion)
        np.testing.assert_allclose(again.rotation, given.rotation, atol=0.02)
        np.testing.assert_allclose(
            again.translation, given.translation - np.median(given.translation, 0), atol=0.03
        )
        for i in (5, 20, 40):
            np.testing.assert_allclose(again.displacement(i)[14], given.displacement(i)[14], atol=0.03)
        assert np.abs(again.blink - given.blink).mean() < 0.05

    def test_a_face_keeps_its_own_looks(self) -> None:
        face = portrait(90.0, (260, 240))
        performance = performance_from_motion(talker())
        nothing = {name: 0 * getattr(performance, name) for name in ("rotation", "translation", "blink")}
        motion = motion_from_performance(replace(performance, **nothing), face, SIZE)
        outline = [10, 234, 454]
        np.testing.assert_allclose(motion.points[:, outline], np.tile(face[outline], (60, 1, 1)), atol=0.5)

    def test_closed_lids_meet(self) -> None:
        performance = performance_from_motion(talker())
        closed = replace(performance, blink=np.ones_like(performance.blink))
        motion = motion_from_performance(closed, portrait(), SIZE)
        assert max(eye_opening(motion.points[7])) < 0.02

    def test_a_smaller_mouth_moves_less(self) -> None:
        small = portrait()
        middle = small[[13, 14]].mean(0)
        lips = np.unique([61, 291, 13, 14, 0, 17, 78, 308])
        small[lips] = middle + 0.6 * (small[lips] - middle)
        wide, narrow = (performance_from_motion(talker(), points) for points in (portrait(), small))
        assert np.abs(narrow.displacement(9)[14]).max() < 0.95 * np.abs(wide.displacement(9)[14]).max()


class TestBody:
    def other_person(self) -> BodyPose:
        """Broader, elsewhere, in another picture, leaning."""
        turned = person((768, 768)).moved((1.3, 1.25), (-60.0, 40.0), (900, 1000))
        body = turned.body.copy()
        body[0, R_SHOULDER] += [0, 25]
        return replace(turned, body=body)

    def wild(self) -> BodyPose:
        """A driver whose arms fly about."""
        pose = default_pose(200, 25.0)
        t = np.arange(200) / 25
        fling = np.stack([250 * np.sin(3 * t), 300 * np.cos(2 * t)], 1)
        body = pose.body.copy()
        hands = pose.hands + fling[:, None, None]
        for _, elbow, wrist in ARMS:
            body[:, elbow] += 0.5 * fling
            body[:, wrist] += fling
        return replace(pose, body=body, hands=hands)

    @pytest.mark.parametrize("name", ["default", "wild"])
    def test_wrists_stay_within_reach_and_shoulders_fit(self, name: str) -> None:
        driver = default_pose(300, 25.0) if name == "default" else self.wild()
        own = arms_of(self.other_person())
        moved = sync_body(driver, self.other_person())
        width = np.linalg.norm(moved.body[:, L_SHOULDER] - moved.body[:, R_SHOULDER], axis=1)
        assert np.abs(width / own.width - 1).max() < 0.02
        for side, (shoulder, _, wrist) in enumerate(ARMS):
            far = np.linalg.norm(moved.body[:, wrist] - moved.body[:, shoulder], axis=1)
            assert (far <= own.reach[side] + 1e-6).all()
            np.testing.assert_allclose(moved.hands[:, side, 0], moved.body[:, wrist])
        steps = np.linalg.norm(np.diff(moved.hands, axis=0), axis=-1)
        before = np.linalg.norm(np.diff(driver.hands, axis=0), axis=-1)
        assert steps.max() < 2.5 * before.max()

    def test_hands_are_moved_rigidly(self) -> None:
        driver = default_pose(50, 25.0)
        moved = sync_body(driver, self.other_person())
        spans = [
            np.linalg.norm(pose.hands[:, :, 9] - pose.hands[:, :, 0], axis=-1) for pose in (driver, moved)
        ]
        np.testing.assert_allclose(spans[1] / spans[0], spans[1][0, 0] / spans[0][0, 0])

    def test_the_driver_itself_hardly_changes(self) -> None:
        driver = default_pose(50, 25.0)
        moved = sync_body(driver, driver[:1])
        assert np.abs(moved.hands - driver.hands).max() < 12

    def test_absent_hands_stay_absent_and_lost_elbows_are_bridged(self) -> None:
        driver = default_pose(50, 25.0)
        scores, body = driver.body_score.copy(), driver.body.copy()
        scores[10:20, ARMS[0][1]], body[10:20, ARMS[0][1]] = 0, -1
        hand_score = driver.hand_score.copy()
        hand_score[:, 1] = 0
        moved = sync_body(
            replace(driver, body=body, body_score=scores, hand_score=hand_score), self.other_person()
        )
        assert not moved.hands[:, 1].any()
        steps = np.linalg.norm(np.diff(moved.hands[:, 0, 0], axis=0), axis=-1)
        assert steps.max() < 60

    def test_without_shoulders_it_says_so(self) -> None:
        nobody = replace(person(), body_score=np.zeros((1, 18)))
        with pytest.raises(DriverError, match="shoulders"):
            sync_body(default_pose(3, 25.0), nobody)

    def test_shoulders_can_be_guessed_from_the_face(self) -> None:
        guess = body_from_face(portrait(100.0), SIZE)
        assert arms_of(guess).width == pytest.approx(400, rel=0.01)


class TestHandsFromSpeech:
    def test_they_beat_in_speech_and_rest_in_silence(self) -> None:
        spoken = hands_from_speech(vowels(6.0, syllables=2.0), person(), 150, 25.0, seed=1)
        quiet = hands_from_speech(silence(6.0), person(), 150, 25.0, seed=1)
        assert np.ptp(spoken.hands[:, :, 0, 1], axis=0).max() > 0.05 * arms_of(person()).width
        np.testing.assert_allclose(quiet.hands, np.repeat(person().hands, 150, 0), atol=0.5)

    def test_they_stay_within_reach_however_strong(self) -> None:
        arms = arms_of(person())
        pose = hands_from_speech(vowels(6.0, syllables=2.0), person(), 150, 25.0, seed=1, strength=3.0)
        far = np.linalg.norm(pose.hands[:, :, 0] - arms.shoulders, axis=-1)
        assert (far <= arms.reach).all()

    def test_equal_seeds_give_equal_hands(self) -> None:
        first, same, other = (
            hands_from_speech(vowels(3.0), person(), 75, 25.0, seed=s).hands for s in (4, 4, 5)
        )
        np.testing.assert_array_equal(first, same)
        assert np.abs(first - other).max() > 1

    def test_a_portrait_without_hands_has_none(self) -> None:
        pose = hands_from_speech(vowels(1.0), handless(), 25, 25.0)
        assert not pose.hands.any()
        assert not pose.hand_score.any()


def test_speaking_moves_the_portraits_own_face_and_hands() -> None:
    motion = speak(vowels(3.0), portrait(), SIZE, fps=25.0, body=person(SIZE), seed=2)
    face = face_of(motion)
    assert len(face) == len(body_of(motion)) == 75
    assert openings(face).max() > 0.05
    np.testing.assert_allclose(face.points[0, 168], portrait()[168], atol=20)
    assert speak(vowels(1.0), portrait(), SIZE, frames=7).body is None


class TestWholeMotion:
    def test_a_motion_made_for_the_portrait_is_kept(self) -> None:
        spoken = speak(vowels(1.0), portrait(), SIZE, seed=2)
        face, kept = face_of(spoken), face_of(sync_to(spoken, portrait() * 2, (1024, 1024)))
        np.testing.assert_allclose(kept.points, face.points * 2, rtol=1e-5, atol=1e-2)
        assert not made_for(face, portrait(70.0, (150, 300)), SIZE)
        assert not made_for(face, portrait(), (512, 900))

    def test_a_body_is_fitted_to_shoulders_guessed_from_the_face(self) -> None:
        fitted = sync_to(Motion(body=default_pose(5, 25.0)), portrait(80.0), SIZE, handless(SIZE))
        assert body_of(fitted).size == SIZE
        unseen = replace(person(SIZE), body_score=np.zeros((1, 18)))
        guessed = sync_to(Motion(body=default_pose(5, 25.0)), portrait(80.0), SIZE, unseen)
        assert arms_of(body_of(guessed)).width == pytest.approx(320, rel=0.02)

    def test_a_picture_without_a_face_is_refused(self) -> None:
        with pytest.raises(NoFaceError, match="portrait"):
            sync_motion(Motion(talker(2)), np.full((64, 64, 3), 90, np.uint8))

    def test_the_shipped_portrait(self, portrait: Path) -> None:
        picture = read_picture(portrait)
        moved = sync_motion(Motion(talker(3), default_pose(3, 25.0)), picture)
        assert face_of(moved).size == body_of(moved).size == (picture.shape[1], picture.shape[0])
        face = find_faces(picture)[0].points
        assert np.linalg.norm(face_of(moved).points[0, 168, :2] - face[168, :2]) < 0.3 * head_pose(face).scale


def test_an_average_face_can_speak() -> None:
    face = average_face()
    assert head_pose(face).angles == pytest.approx((0, 0, 0), abs=0.01)
    assert face[:, :2].min() > 0
    assert face[:, :2].max() < 512
    assert len(face_of(speak(vowels(0.5), face, (512, 512)))) == 13
