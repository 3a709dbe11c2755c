"""The real main job on real input: the shipped portrait speaks."""

import asyncio
import threading
from pathlib import Path
from typing import Any

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


def test_the_same_seed_gives_the_same_bits_and_another_seed_another_take(
    portrait: Path, speech: Path
) -> None:
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
        echomimic.animate(portrait, speech, tmp_path / "t.mp4", stepz=3)  # type: ignore[call-arg]


def of_parts(portrait: Path, speech: Path, **options: Any) -> np.ndarray:
    """Frames 5 to 12 of a video, rendered by themselves and cut from the whole; and of the whole."""
    job = conditions.gather(portrait, speech, Settings(length=14, size=128, **options))
    whole = np.stack(list(flow.render(job, engine.load(job.settings))))
    part = np.stack(list(flow.render(job, engine.load(job.settings), frames=range(5, 12))))
    return np.stack([part, whole[5:12]])


@pytest.mark.parametrize("options", [{}, {"crop": "head", "paste_back": True}])
def test_a_range_is_rendered_to_the_same_bytes(portrait: Path, speech: Path, options: dict[str, Any]) -> None:
    alone, cut = of_parts(portrait, speech, **options)
    assert np.array_equal(alone, cut)
    assert not np.array_equal(alone[0], alone[-1])


@pytest.mark.parametrize("frames", [range(10, 15), range(3, 3), range(-2, 3), range(0, 8, 2)])
def test_ranges_that_are_not_in_the_video_are_refused(
    portrait: Path, speech: Path, frames: range, fake_engine: Any
) -> None:
    job = conditions.gather(portrait, speech, Settings(length=14))
    with pytest.raises(SettingsError, match=r"within range\(0, 14\)"):
        next(flow.render(job, fake_engine, frames=frames))


def test_the_preview_prepares_a_portrait_once(portrait: Path, speech: Path) -> None:
    job = conditions.gather(portrait, speech, Settings(length=14, size=128))
    preview, stages = echomimic.load(), []
    for frames in (range(3), range(6, 9)):
        stages.append({p.stage for p in seen_in(job, preview, frames)})
    assert stages[0] >= {"audio", "preparing"}
    assert stages[1] == {"rendering"}


def seen_in(job: echomimic.Conditions, preview: echomimic.Engine, frames: range) -> list[Progress]:
    seen: list[Progress] = []
    assert len(list(echomimic.render(job, preview, seen.append, frames=frames))) == len(frames)
    return seen


def test_a_loaded_engine_is_used_again(
    portrait: Path, short_speech: Path, tmp_path: Path, fake_engine: Any
) -> None:
    for name in ("a.mp4", "b.mp4"):
        echomimic.animate(portrait, short_speech, tmp_path / name, engine=fake_engine, length=2, seed=5)
    first, _, second, _ = fake_engine.seen
    assert first.settings == second.settings
    assert first.settings.seed == 5
    with pytest.raises(SettingsError, match="model is v1, but the engine was loaded with preview"):
        echomimic.animate(portrait, short_speech, tmp_path / "c.mp4", engine=fake_engine, model="v1")


class Stopped(Exception):
    pass


def test_a_job_in_a_thread_is_cancelled_from_outside(portrait: Path, speech: Path, tmp_path: Path) -> None:
    """As docs/python.md says it is done."""
    stop, begun = threading.Event(), threading.Event()

    def report(progress: Progress) -> None:
        if progress.stage == "rendering":
            begun.set()
        if stop.is_set():
            raise Stopped

    async def cancelled() -> None:
        job = asyncio.to_thread(
            echomimic.animate, portrait, speech, tmp_path / "t.mp4", size=128, length=2000, report=report
        )
        task = asyncio.create_task(job)
        await asyncio.to_thread(begun.wait)
        stop.set()
        await task

    with pytest.raises(Stopped):
        asyncio.run(cancelled())
    assert list(tmp_path.iterdir()) == []


def test_the_face_of_the_package_is_what_it_says() -> None:
    for name in echomimic.__all__:
        assert getattr(echomimic, name) is not None
    assert set(echomimic.__all__) <= set(dir(echomimic))
    with pytest.raises(AttributeError, match="nonsense"):
        echomimic.nonsense  # noqa: B018
