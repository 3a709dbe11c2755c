"""Guides: what the networks are shown of the portrait, the speech and the driver."""

from pathlib import Path

import numpy as np
import pytest
import torch

from echomimic.conditions import Conditions
from echomimic.diffusion.guides import GuideFeatures, guide_for, guide_pictures
from echomimic.errors import DriverError, NoFaceError
from echomimic.motion.body_pose import BodyPose, empty
from echomimic.motion.face_motion import FaceMotion
from echomimic.progress import NoteTaker, silent
from tests.diffusion.conftest import Make, example


def told() -> tuple[list[str], NoteTaker]:
    report = NoteTaker(silent)
    return report.notes, report


def face_driver(path: Path, frames: int = 5, fps: float = 24.0) -> str:
    """The example's own face, sliding to the right."""
    picture, face, _ = example()
    steps = np.array([[[4 * i, 0, 0]] for i in range(frames)], np.float32)
    points = face.points + steps
    FaceMotion(points, fps, (picture.shape[1], picture.shape[0])).save(path)
    return str(path)


def hand_driver(path: Path, *, shoulders: bool = True) -> str:
    """Five frames of two hands at random places, in a square picture."""
    rng, pose = np.random.default_rng(0), empty(5, 24.0, (768, 768))
    body, score = pose.body.copy(), pose.body_score.copy()
    if shoulders:
        body[:, 2], body[:, 5], body[:, 1], score[:, [1, 2, 5]] = (250, 400), (518, 400), (384, 390), 1.0
    hands = 300 + rng.random((5, 2, 21, 2)) * 300
    BodyPose(body, hands, score, np.ones((5, 2, 21)), 24.0, (768, 768)).save(path)
    return str(path)


def test_the_mask_covers_the_face_and_is_drawn_once(make: Make) -> None:
    conditions = make("v1", facecrop_ratio=0.8)
    guide = guide_for(conditions)
    mask = guide.pictures([3, 1])
    assert guide.still
    assert mask.shape == (1, 1, 128, 128)
    inside = mask[0, 0, 30:80, 40:90]
    assert inside.mean() > 0.9
    assert mask[0, 0, 0].max() == 0
    calls: list[int] = []

    class Guider(torch.nn.Conv2d):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            calls.append(len(x))
            return super().forward(x)

    features = GuideFeatures(Guider(1, 4, 1), guide, torch.device("cpu"))
    assert torch.equal(features([1]), features([2, 3]))
    assert calls == [1]


def test_without_a_face_the_mask_covers_everything(make: Make) -> None:
    with_face = make("v1")
    picture, view, speech = with_face.picture, with_face.view, with_face.speech
    conditions = Conditions(picture, None, view, speech, 4, 24.0, with_face.settings)
    assert guide_for(conditions).pictures([0]).min() == 1
    pose = make("v1-pose")
    with pytest.raises(NoFaceError):
        guide_for(Conditions(picture, None, view, speech, 4, 24.0, pose.settings))


def test_landmarks_follow_a_driver_there_and_back(make: Make, tmp_path: Path) -> None:
    conditions = make("v1-pose", driver=face_driver(tmp_path / "m.npz"), frames=9)
    notes, report = told()
    guide = guide_for(conditions, report)
    maps = guide.pictures(range(9))
    assert maps.shape == (9, 3, 128, 128)
    assert torch.equal(maps[3], maps[5])
    assert torch.equal(maps[0], maps[8])
    assert not torch.equal(maps[0], maps[4])
    columns = [float(m.amax((0, 1)).nonzero().float().mean()) for m in maps]
    assert columns[4] > columns[0]
    assert notes == ["the driver lasts 0.2 s, the video 0.4 s: it is played there and back"]
    assert torch.equal(guide.pictures([5, 3])[0], maps[5])


def test_landmarks_lie_on_the_shown_face_when_made_from_speech(make: Make) -> None:
    conditions = make("v1-pose")
    drawn = guide_for(conditions).pictures([0])[0].amax(0)
    (x0, y0, x1, y1), points = conditions.view.rect, example()[1].points
    eye = (points[33, :2] - [x0, y0]) * 128 / [x1 - x0, y1 - y0]
    around = drawn[int(eye[1]) - 6 : int(eye[1]) + 6, int(eye[0]) - 6 : int(eye[0]) + 6]
    assert around.max() > 0.5


def test_a_driver_keeps_its_speed(make: Make, tmp_path: Path) -> None:
    driver = face_driver(tmp_path / "m.npz", frames=10, fps=12.0)
    resampled, slow = (
        make("v1-pose", driver=driver, frames=9),
        make("v1-pose", driver=driver, frames=9, fps=12.0),
    )
    fast, same = guide_for(resampled).pictures([8]), guide_for(slow).pictures([4])
    assert (fast - same).abs().mean() < 0.001
    faithful = make("v1-pose", driver=driver, frames=9, faithful=True)
    moved = guide_for(faithful).pictures([8]) - guide_for(faithful).pictures([4])
    assert moved.abs().mean() > 0.002


@pytest.mark.parametrize("driver", ["none", "auto", "file", "no shoulders", "faithful"])
def test_hand_maps_come_from_every_source(driver: str, make: Make, tmp_path: Path) -> None:
    named = (
        driver
        if driver in ("none", "auto")
        else hand_driver(tmp_path / "h.npz", shoulders=driver != "no shoulders")
    )
    notes, report = told()
    conditions = make("v2", driver=named, frames=5, width=128, height=192, faithful=driver == "faithful")
    maps = guide_for(conditions, report).pictures([0, 4])
    assert maps.shape == (2, 3, 192, 128)
    if driver not in (
        "auto",
        "faithful",
    ):  # the example shows no hands; official draws 768 x 768 and cuts a corner out
        assert maps.max() > 0.5
    assert bool(notes) == (driver in ("auto", "no shoulders"))


@pytest.mark.parametrize("model", ["v1-pose", "v2"])
def test_a_driver_of_the_wrong_kind_is_named(model: str, make: Make, tmp_path: Path) -> None:
    driver = hand_driver(tmp_path / "m.npz") if model == "v1-pose" else face_driver(tmp_path / "m.npz")
    with pytest.raises(DriverError, match=r"m\.npz shows .* needs a"):
        guide_for(make(model, driver=driver))
    with pytest.raises(DriverError, match="no such file"):
        guide_for(make(model, driver=str(tmp_path / "nowhere.npz")))


def test_digests_tell_guides_apart(make: Make, tmp_path: Path) -> None:
    first, second = make("v1"), make("v1", facemask_ratio=0.3)
    assert guide_for(first).digest() == guide_for(first).digest() != guide_for(second).digest()
    spoken = make("v1-pose")
    mouth = make("v1-pose", draw_mouth=True)
    assert guide_for(spoken).digest() != guide_for(mouth).digest()


def test_guides_can_be_looked_at(make: Make) -> None:
    for model in ("v1", "v1-pose", "v2"):
        seen = list(guide_pictures(make(model, driver="none", frames=2)))
        assert [p.shape for p in seen] == [(128, 128, 3)] * 2
        assert seen[0].dtype == np.uint8
        assert seen[0].max() > 100
