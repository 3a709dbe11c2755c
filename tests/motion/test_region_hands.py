"""Edits of a stretch of hands."""

from dataclasses import replace

import numpy as np
import pytest

from echomimic.errors import DriverError
from echomimic.motion.body_pose import BodyPose
from echomimic.motion.region import Edit, apply_edits
from echomimic.motion.region_hands import apply_hand_edits, hand_curves
from echomimic.motion.speech.default_pose import default_pose
from tests.motion.people import handless
from tests.motion.test_region import acted, none

FRAMES, FPS = 100, 25.0


def waving(size: tuple[int, int] = (768, 768)) -> BodyPose:
    """Hands and arms that go up and down, never twice alike."""
    still = default_pose(1, FPS, size)[np.zeros(FRAMES, np.intp)]
    lift = 40 * np.sin(np.arange(FRAMES) / 5.3) * size[1] / 768
    hands, body = still.hands.copy(), still.body.copy()
    hands[..., 1] += lift[:, None, None]
    body[:, [4, 7], 1] += lift[:, None]
    return replace(still, hands=hands, body=body)


def nobody(name: str) -> BodyPose:
    raise AssertionError(name)


@pytest.mark.parametrize("op", ["gain", "smooth", "mute", "mirror", "replace"])
def test_frames_outside_the_stretch_keep_their_bits_and_inside_something_happens(op: str) -> None:
    before, other = waving(), waving((512, 512))
    edit = Edit(op, 1.0, 2.0, "hands", amount=2.0, seconds=0.4, source="other", offset=2.0)  # type: ignore[arg-type]
    after = apply_hand_edits(before, [edit], lambda _: other)
    for name in ("hands", "body"):
        ours, theirs = getattr(before, name), getattr(after, name)
        assert (ours[:25] == theirs[:25]).all()
        assert (ours[50:] == theirs[50:]).all()
        assert np.abs(ours[30:45] - theirs[30:45]).max() > 3
        assert np.abs(np.diff(theirs, axis=0)).max() < 120, "it comes and goes softly"


def test_muted_hands_stand_where_they_usually_are() -> None:
    before = waving()
    after = apply_hand_edits(before, [Edit("mute", 1.0, 2.0, "hands")], nobody)
    assert np.ptp(after.hands[30:45, 0, 0, 1]) < 1e-9
    assert after.hands[35, 0, 0, 1] == pytest.approx(before.hands[:, 0, 0, 1].mean())


def test_a_mirror_turns_the_person_about_its_own_middle() -> None:
    before = waving().moved((1.0, 1.0), (90.0, 0.0), (768, 768))
    after = apply_hand_edits(before, [Edit("mirror", 1.0, 2.0, "hands")], nobody)
    for pose in (before, after):
        middle = pose.body[35, [2, 5], 0].mean()
        assert middle == pytest.approx(before.body[35, [2, 5], 0].mean(), abs=1.0)


def test_hands_edits_leave_the_face_and_face_edits_the_hands() -> None:
    face, pose = acted(), waving()
    hands = Edit("gain", 1.0, 2.0, "hands", amount=2.0)
    assert apply_edits(face, [hands], none) is face
    assert apply_hand_edits(pose, [Edit("mute", 1.0, 2.0, "head")], nobody) is pose
    assert apply_edits(face, [Edit("replace", 1.0, 2.0, "hands", source="a")], none) is face


def test_a_source_without_hands_is_refused() -> None:
    with pytest.raises(DriverError, match="shows no hands"):
        apply_hand_edits(waving(), [Edit("replace", 1, 2, "hands", source="a")], lambda _: handless())


def test_a_hand_that_only_one_side_shows_stays_where_it_is() -> None:
    one = waving()
    score = one.hand_score.copy()
    score[:, 1] = 0
    lone = replace(one, hand_score=score, hands=np.where(score[..., None] > 0, one.hands, 0.0))
    after = apply_hand_edits(one, [Edit("replace", 1.0, 2.0, "hands", source="a")], lambda _: lone)
    shown = after.hand_score[:, 1, 0] > 0
    assert shown[:25].all()
    assert not shown[35]
    assert after.hands[shown, 1].min() > 50, "it does not fly to the corner"


def test_curves_are_the_wrists_above_their_usual_place() -> None:
    curves = hand_curves(waving())
    assert len(curves["left"]) == len(curves["right"]) == FRAMES
    assert 0.05 < max(curves["left"]) < 1
    assert np.median(curves["left"]) == pytest.approx(0, abs=1e-6)
    assert hand_curves(handless()) == {"left": [], "right": []}
