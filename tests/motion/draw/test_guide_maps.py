"""The guides: shapes, ranges, options. That the drawings are the official ones is in tests/parity."""

import numpy as np

from echomimic.motion.body_pose import empty
from echomimic.motion.draw.contact_sheet import contact_sheet, describe, shown
from echomimic.motion.draw.guide_maps import as_guide, face_map, pose_map
from echomimic.motion.files.motion_file import Motion
from echomimic.motion.speech.default_pose import default_pose
from tests.motion.people import portrait, talker


def test_face_guide_of_a_window() -> None:
    motion = talker(6).resized(384, 256)
    guide = as_guide(face_map(motion.points[i], (384, 256)) for i in (4, 0, 4))
    assert guide.shape == (3, 3, 256, 384)
    assert guide.dtype == np.float32
    assert 0 == guide.min() < guide.max() <= 1
    np.testing.assert_array_equal(guide[:, 0], guide[:, 2])


def test_the_mouth_is_drawn_only_when_asked() -> None:
    without, with_mouth = (
        face_map(portrait(), (512, 512), draw_mouth=mouth).any(2).sum() for mouth in (False, True)
    )
    assert with_mouth > without * 1.2


def test_faithful_hand_maps_are_the_official_ones_only_at_their_own_size() -> None:
    pose = default_pose(1, 24.0)
    own = pose_map(pose, 0, (768, 768))
    larger = pose_map(pose, 0, (1000, 900))
    np.testing.assert_array_equal(larger[:768, :768], own)
    assert not larger[768:].any()
    stretched = pose_map(pose, 0, (512, 512), faithful=False)
    rows = [np.flatnonzero(picture.any((1, 2))).mean() / len(picture) for picture in (own, stretched)]
    assert abs(rows[0] - rows[1]) < 0.01


def test_without_hands_the_guide_is_black() -> None:
    pose = empty(2, 24.0, (512, 512))
    guide = as_guide(pose_map(pose, i, (512, 512)) for i in range(2))
    assert guide.shape == (3, 2, 512, 512)
    assert not guide.any()


def test_showing_over_a_portrait_and_on_black() -> None:
    motion = Motion(talker(3), default_pose(3, 25.0))
    grey = np.full((300, 200, 3), 100, np.uint8)
    over, black = next(iter(shown(motion, grey))), next(iter(shown(motion)))
    assert over.shape == (300, 200, 3)
    assert (over == 60).mean() > 0.5
    assert black.shape == (512, 512, 3)
    assert len(list(shown(motion))) == 3


def test_contact_sheet() -> None:
    sheet = contact_sheet(Motion(talker(50)), columns=3, rows=2)
    assert sheet.shape == (512, 768, 3)
    assert contact_sheet(Motion(talker(2)), columns=5).shape == (256, 5 * 256, 3)


def test_description_names_jumps_and_coverage() -> None:
    body = default_pose(50, 25.0)
    hands, scores = body.hands.copy(), body.hand_score.copy()
    hands[20:, 0] += 300
    scores[:10, 1] = 0
    leaping = type(body)(body.body, hands, body.body_score, scores, 25.0, body.size)
    info = describe(Motion(talker(50), leaping))
    assert info.jumps == (20,)
    assert (info.face, info.left_hand, info.right_hand) == (1.0, 1.0, 0.8)
    assert (info.frames, info.seconds) == (50, 2.0)
