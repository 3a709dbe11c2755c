"""What engines follow: one reading of the driver, the video's rate and length, and any range of it."""

from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest

from echomimic import driving
from echomimic.conditions import Conditions, gather
from echomimic.faces.detect import find_faces
from echomimic.media.audio import Speech
from echomimic.media.image import Picture, read_picture
from echomimic.motion.face_motion import FaceMotion
from echomimic.motion.files.motion_file import Motion
from echomimic.motion.load import Driver, motion_from
from echomimic.progress import NoteTaker, silent
from echomimic.request import Settings

FACE = ("expression", "rotation", "translation", "blink", "gaze", "brow", "body")


@pytest.fixture(scope="module")
def picture() -> Picture:
    return read_picture(Path(__file__).resolve().parents[2] / "echomimic" / "example" / "portrait.jpg")


@pytest.fixture(scope="module")
def nodding(picture: Picture) -> Motion:
    """The example's face going down by two pixels a frame, 20 frames at 25 per second."""
    points = find_faces(picture, most=1)[0].points
    moved = np.stack([points + np.array([0, 2 * i, 0], np.float32) for i in range(20)]).astype(np.float32)
    return Motion(face=FaceMotion(moved, 25.0, (picture.shape[1], picture.shape[0])))


def conditions_of(picture: Picture, driver: str | Motion, **options: object) -> Conditions:
    speech = Speech.from_array(0.3 * np.sin(np.arange(24_000) * 0.1), 16_000)
    return gather(picture, speech, Settings(**options), driver=driver)  # type: ignore[arg-type]


@pytest.mark.parametrize("driven", [False, True])
def test_a_range_is_that_part_of_the_whole(picture: Picture, nodding: Motion, driven: bool) -> None:
    job = conditions_of(picture, nodding if driven else "auto", length=40)
    whole, part = driving.performance(job), driving.performance(job, frames=range(7, 19))
    assert len(whole) == 40
    assert len(part) == 12
    for name in FACE:
        assert np.array_equal(getattr(part, name), getattr(whole, name)[7:19]), name
    marks = driving.landmarks(job)
    assert np.array_equal(driving.landmarks(job, frames=range(7, 19)).points, marks.points[7:19])
    hands = conditions_of(picture, "none", model="v2", length=40)
    assert np.array_equal(driving.hands(hands, frames=range(7, 19)).hands, driving.hands(hands).hands[7:19])


def test_a_motion_can_be_given_itself(picture: Picture, nodding: Motion) -> None:
    job = conditions_of(picture, nodding, length=20)
    nose = driving.landmarks(job).points[:, 1, 1]
    assert nose[19] - nose[0] > 20


def test_a_short_driver_goes_there_and_back_and_that_is_said_once(picture: Picture, nodding: Motion) -> None:
    report = NoteTaker(silent)
    job = conditions_of(picture, nodding, length=39)
    nose = driving.landmarks(job, report).points[:, 1, 1]
    np.testing.assert_allclose(nose, nose[::-1], atol=1e-3)
    assert report.notes == ["the driver lasts 0.8 s, the video 1.6 s: it is played there and back"]


def test_what_a_driver_names_is_read_once(picture: Picture, nodding: Motion, tmp_path: Path) -> None:
    nodding.save(tmp_path / "m.npz")
    job = conditions_of(picture, str(tmp_path / "m.npz"), length=20)
    with patch("echomimic.motion.load.motion_from", wraps=motion_from) as read:
        driving.performance(job)
        driving.performance(job)
        driving.landmarks(job)
    assert read.call_count == 1


@pytest.mark.parametrize(("source", "generated"), [("auto", True), ("none", True), ("dance.npz", False)])
def test_which_drivers_are_generated(source: str, generated: bool) -> None:
    assert Driver(source).generated is generated


def test_unused_options_change_nothing(picture: Picture) -> None:
    assert conditions_of(picture, "auto", faithful=True).settings == conditions_of(picture, "auto").settings
