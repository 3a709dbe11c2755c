"""What is gathered before rendering: the face, the frame, the length."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from echomimic import conditions
from echomimic.conditions import gather
from echomimic.errors import NoFaceError, SettingsError, SpeechError
from echomimic.faces.detect import find_faces
from echomimic.media.audio import Speech
from echomimic.media.image import read_picture, resize
from echomimic.request import Settings

TONE = Speech.from_array(0.3 * np.sin(np.arange(16000) * 0.1), 16000)


@pytest.fixture
def picture(portrait: Path) -> np.ndarray:
    return read_picture(portrait)


@pytest.mark.parametrize(
    ("fps", "length", "frames"), [(None, 0, 25), (24.0, 0, 24), (29.97, 0, 30), (25.0, 7, 7)]
)
def test_length_is_the_speechs_unless_given(
    picture: np.ndarray, fps: float | None, length: int, frames: int
) -> None:
    assert gather(picture, TONE, Settings(fps=fps, length=length)).frames == frames


def test_the_face_asked_for_is_taken(picture: np.ndarray) -> None:
    two = np.concatenate([picture, resize(picture, 400, 576)[:, :400]], axis=1)
    large, other = (gather(two, TONE, Settings(), face=i).face for i in (0, 1))
    assert large is not None
    assert other is not None
    assert large.points[:, 0].mean() < 576 < other.points[:, 0].mean()
    with pytest.raises(NoFaceError, match="2 faces were found"):
        gather(two, TONE, Settings(), face=2)


def test_faces_that_cannot_be_used() -> None:
    with pytest.raises(NoFaceError, match="no face"):
        gather(np.full((200, 200, 3), 128, np.uint8), TONE, Settings())


def test_a_face_too_small(picture: np.ndarray) -> None:
    tiny = np.full((300, 300, 3), 128, np.uint8)
    tiny[100:150, 100:150] = resize(picture, 50, 50)
    with pytest.raises(NoFaceError, match=r"too small|no face"):
        gather(tiny, TONE, Settings())


def test_an_animal_is_not_given_a_persons_mouth_unasked(
    picture: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    dog = [replace(face, score=0.76, spread=0.02) for face in find_faces(picture)]
    monkeypatch.setattr(conditions, "find_faces", lambda *_: dog)
    with pytest.raises(NoFaceError, match=r"does not look like a human face.*no_face to any"):
        gather(picture, TONE, Settings())
    assert not gather(picture, TONE, Settings(no_face="any")).notes
    assert any("human face" in note for note in gather(picture, TONE, Settings(model="v1")).notes)


def test_silence(picture: np.ndarray) -> None:
    quiet = Speech.from_array(np.zeros(16000), 16000)
    with pytest.raises(SpeechError, match="silent"):
        gather(picture, quiet, Settings())
    assert gather(picture, quiet, Settings(), allow_silence=True).frames == 25


@pytest.mark.parametrize(
    ("settings", "size"),
    [
        (Settings(), (512, 512)),
        (Settings(size=300), (300, 300)),
        (Settings(width=400), (400, 400)),
        (Settings(width=400, height=200), (400, 200)),
        (Settings(crop="head"), (512, 512)),
        (Settings(crop="head", width=300, height=400), (300, 400)),
        (Settings(model="v2"), (768, 768)),
        (Settings(model="v1", width=512, height=640), (512, 640)),
    ],
)
def test_frame_size(picture: np.ndarray, settings: Settings, size: tuple[int, int]) -> None:
    view = gather(picture, TONE, settings).view
    assert (view.width, view.height) == size
    if settings.model == "preview":
        assert (view.right - view.left) / (view.bottom - view.top) == pytest.approx(
            size[0] / size[1], rel=0.01
        )


def test_a_wide_picture_keeps_its_proportions(picture: np.ndarray) -> None:
    wide = np.pad(picture, ((0, 0), (0, 600), (0, 0)), constant_values=90)
    view = gather(wide, TONE, Settings()).view
    assert view.height == 512
    assert view.width / view.height == pytest.approx(wide.shape[1] / wide.shape[0], rel=0.01)


@pytest.mark.parametrize(
    ("settings", "size"), [(Settings(size=512), "10240x512"), (Settings(width=128), "128x6")]
)
def test_a_panorama_makes_no_video_that_nothing_plays(
    picture: np.ndarray, settings: Settings, size: str
) -> None:
    wide = np.full((100, 2000, 3), 128, np.uint8)
    wide[:, :100] = resize(picture, 100, 100)
    with pytest.raises(SettingsError, match=f"would be {size} pixels; 16 to 8192"):
        gather(wide, TONE, settings)
    assert gather(wide, TONE, Settings()).view.width == 1920


def test_an_odd_picture_pasted_back_into_is_said(picture: np.ndarray) -> None:
    job = gather(picture[:575, :573], TONE, Settings(crop="head", paste_back=True))
    assert job.canvas is not None
    assert job.canvas.shape == (574, 572, 3)
    assert job.notes == ("573x575 rounded to even pixels: 572x574",)


def test_paste_back_is_seamless(picture: np.ndarray) -> None:
    settings = Settings(crop="head", paste_back=True)
    large = np.pad(picture, ((100, 201), (300, 301), (0, 0)), mode="reflect")
    job = gather(large, TONE, settings)
    assert job.canvas is not None
    assert job.canvas.shape[:2] == (876, 1176)
    whole = job.view.paste(resize(job.view.cut(large), 512, 512), job.canvas)
    assert np.abs(whole.astype(int) - job.canvas).mean() < 1.0
    marked = job.view.paste(np.zeros((512, 512, 3), np.uint8), job.canvas)
    assert (marked[0] == job.canvas[0]).all()
    assert marked[(job.view.top + job.view.bottom) // 2, (job.view.left + job.view.right) // 2].max() == 0


def test_options_without_effect_are_said(picture: np.ndarray) -> None:
    assert any("steps" in note for note in gather(picture, TONE, Settings(steps=9)).notes)


@pytest.mark.parametrize(
    ("length", "says"), [(26, []), (50, ["ends after 1.0 s; the video goes on in silence to 2.0"])]
)
def test_silence_after_the_speech_is_said(picture: np.ndarray, length: int, says: list[str]) -> None:
    notes = gather(picture, TONE, Settings(length=length)).notes
    assert len(notes) == len(says)
    assert all(said in note for said, note in zip(says, notes, strict=True))


@pytest.mark.parametrize(
    ("given", "notes"),
    [
        ({"cfg": 0}, ("cfg 0 acts as 1, no guidance",)),
        ({"cfg": 0.5}, ("cfg 0.5 acts as 1, no guidance",)),
        ({"cfg": 1}, ()),
        ({"context_frames": 0}, ("context_frames 0 acts as 12, the usual",)),
        ({}, ()),
    ],
)
def test_numbers_that_act_as_others_are_said(
    picture: np.ndarray, given: dict[str, Any], notes: tuple[str]
) -> None:
    assert gather(picture, TONE, Settings(model="v1", **given)).notes == notes


@pytest.mark.parametrize("model", ["v1", "v1-pose"])
@pytest.mark.parametrize(
    ("given", "size"),
    [
        ({"width": 192}, (192, 192)),
        ({"height": 256}, (256, 256)),
        ({"width": 192, "height": 256}, (192, 256)),
        ({"width": 192, "faithful": True}, (192, 512)),
    ],
)
def test_one_side_makes_a_models_square(
    picture: np.ndarray, model: Any, given: dict[str, Any], size: tuple[int, int]
) -> None:
    assert gather(picture, TONE, Settings(model=model, **given)).view.size == size
