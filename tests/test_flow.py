"""The real main job on real input: the shipped portrait speaks."""

from pathlib import Path

import av
import numpy as np
import pytest

import echomimic
from echomimic import conditions, engine, flow
from echomimic.errors import SettingsError
from echomimic.faces.detect import find_faces
from echomimic.faces.geometry import eye_distance, mouth_opening
from echomimic.media.audio import RATE, Speech
from echomimic.media.image import read_picture
from echomimic.media.video import VideoReader
from echomimic.progress import Progress
from echomimic.request import Settings


def openings(path: Path, every: int = 2) -> np.ndarray:
    """How far the mouth is open, in eye distances, measured again in the video."""
    faces = [find_faces(frame)[0] for i, frame in enumerate(VideoReader(path)) if i % every == 0]
    return np.array([mouth_opening(face.points) / eye_distance(face.points) for face in faces])


def test_a_portrait_speaks(portrait: Path, speech: Path, tmp_path: Path) -> None:
    seen: list[Progress] = []
    out = tmp_path / "talk.mp4"
    result = echomimic.animate(portrait, speech, out, length=50, size=320, report=seen.append)
    assert (result.frames, result.fps, result.width, result.height) == (50, 25.0, 320, 320)
    with av.open(str(out)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 50
    opening = openings(out)
    assert opening.max() - opening.min() > 0.04, "the mouth does not move"
    assert [p.done for p in seen if p.stage == "rendering"] == list(range(1, 51))
    assert list(tmp_path.iterdir()) == [out]


def test_the_same_seed_gives_the_same_bits_and_another_seed_another_take(portrait: Path, speech: Path) -> None:
    heard = Speech.open(speech)
    part = Speech.from_array(heard.read(RATE, 2 * RATE), RATE)

    def take(seed: int) -> np.ndarray:
        job = conditions.gather(read_picture(portrait), part, Settings(seed=seed, size=192))
        return np.stack(list(flow.render(job, engine.load(job.settings))))

    first = take(1)
    assert (first == take(1)).all()
    assert (first != take(2)).any()


def test_every_control_at_zero_gives_the_photo(portrait: Path, short_speech: Path) -> None:
    still = Settings(expressiveness=0, head_motion=0, blink_rate=0, gaze=0, size=576)
    picture = read_picture(portrait)
    job = conditions.gather(picture, Speech.open(short_speech), still)
    frames = list(flow.render(job, engine.load(still)))
    away = np.abs(frames[-1].astype(int) - frames[0]).mean()
    assert away < 0.5, "something still moves"


def test_unknown_options_are_named(portrait: Path, speech: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="stepz"):
        echomimic.animate(portrait, speech, tmp_path / "t.mp4", stepz=3)
