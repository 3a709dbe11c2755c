"""Body pose: the value, its file, and the bundled default."""

from pathlib import Path

import numpy as np
import pytest

from echomimic.errors import DriverError
from echomimic.motion.body_pose import BodyPose, empty
from echomimic.motion.face_motion import FaceMotion
from echomimic.motion.files.motion_file import Motion, read_motion
from echomimic.motion.speech.default_pose import default_pose
from tests.motion.people import body_of, face_of, person, talker


def test_a_file_keeps_everything(tmp_path: Path) -> None:
    pose = default_pose(3, 24.0, (640, 480))
    pose.save(tmp_path / "m.npz")
    again = BodyPose.load(tmp_path / "m.npz")
    for name in ("body", "hands", "body_score", "hand_score"):
        np.testing.assert_array_equal(getattr(again, name), getattr(pose, name))
    assert (again.fps, again.size, again.face) == (24.0, (640, 480), None)


def test_one_file_holds_face_and_body(tmp_path: Path) -> None:
    Motion(talker(4), default_pose(4, 25.0)).save(tmp_path / "m.npz")
    both = read_motion(tmp_path / "m.npz")
    assert len(face_of(both)) == len(body_of(both)) == 4
    assert len(FaceMotion.load(tmp_path / "m.npz")) == len(BodyPose.load(tmp_path / "m.npz")) == 4


def test_half_a_face_is_refused() -> None:
    with pytest.raises(DriverError, match="go together"):
        BodyPose(**{name: getattr(person(), name) for name in ("body", "hands", "body_score", "hand_score")},
                 fps=25.0, size=(10, 10), face=np.zeros((1, 68, 2)))  # fmt: skip


def test_wrong_shapes_are_refused() -> None:
    good = person()
    with pytest.raises(DriverError, match="hands"):
        BodyPose(good.body, good.hands[:, :, :20], good.body_score, good.hand_score, 25.0, (10, 10))
    with pytest.raises(DriverError, match="no frames"):
        empty(0, 25.0, (10, 10))


def test_resizing_moves_every_point() -> None:
    pose = person((768, 768)).resized(384, 768)
    np.testing.assert_allclose(pose.hands, person((768, 768)).hands * [0.5, 1.0])


class TestDefault:
    def test_it_loops_without_a_seam(self) -> None:
        pose = default_pose(24 * 36 + 1, 24.0)
        np.testing.assert_allclose(pose.hands[0], pose.hands[24 * 12], atol=1e-6)
        steps = np.linalg.norm(np.diff(pose.hands, axis=0), axis=-1).max((1, 2))
        assert steps.max() < 0.04 * 768

    def test_any_rate_shows_the_same_motion(self) -> None:
        slow, fast = default_pose(24, 12.0), default_pose(60, 30.0)
        np.testing.assert_allclose(slow.hands[::2], fast.hands[::5], atol=1e-6)

    @pytest.mark.parametrize("size", [(768, 768), (512, 768), (1024, 576)])
    def test_hands_stay_in_the_lower_half_of_the_picture(self, size: tuple[int, int]) -> None:
        hands = default_pose(300, 25.0, size).hands
        assert (hands >= 0).all()
        assert (hands < size).all()
        assert hands[..., 1].min() > size[1] / 2

    def test_hands_rest_and_gesture(self) -> None:
        wrists = default_pose(300, 25.0).hands[:, :, 0]
        speed = np.linalg.norm(np.diff(wrists, axis=0), axis=2) * 25 / 768
        assert 0.3 < speed.max() < 1.5
        assert np.quantile(speed, 0.1) < 0.05
