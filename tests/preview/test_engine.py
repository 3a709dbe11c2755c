"""Frames come in order, the same on any number of threads, and stop when nobody wants them."""

import contextlib
from dataclasses import replace
from pathlib import Path
from threading import Event

import cv2
import numpy as np
import pytest

from echomimic.conditions import Conditions, gather
from echomimic.errors import NoFaceError
from echomimic.media.audio import Speech
from echomimic.media.image import read_picture
from echomimic.motion.performance import Performance
from echomimic.preview import engine
from echomimic.preview.engine import PreviewEngine, moved, rendered
from echomimic.preview.renderer import PreviewRenderer
from echomimic.request import Settings
from tests.preview.portrait import draw, play


@pytest.fixture(scope="module")
def renderer() -> PreviewRenderer:
    return draw(128, 128, 34.0).renderer(128, 128)


@pytest.fixture(scope="module")
def performance() -> Performance:
    t = np.arange(12, dtype=np.float32)
    rotation = np.stack([0.05 * np.sin(t), 0.08 * np.cos(t), 0.03 * np.sin(2 * t)], 1)
    blink = np.stack([np.clip(np.sin(t), 0, 1)] * 2, 1)
    return play(12, mouth=np.clip(np.sin(t), -0.2, 1), rotation=rotation, blink=blink)


def test_frames_do_not_depend_on_threads(renderer: PreviewRenderer, performance: Performance) -> None:
    together = list(rendered(renderer, performance, range(12)))
    one_thread = list(rendered(renderer, performance, range(12), 1))
    alone = [renderer.render(performance, i) for i in range(12)]
    assert all(
        np.array_equal(a, c) and np.array_equal(b, c)
        for a, b, c in zip(together, one_thread, alone, strict=True)
    )
    assert not np.array_equal(together[0], together[3])


def test_same_portrait_gives_the_same_bits(performance: Performance) -> None:
    first, second = (draw(128, 128, 34.0).renderer(128, 128).render(performance, 3) for _ in range(2))
    assert np.array_equal(first, second)


def test_closing_stops_the_work(renderer: PreviewRenderer, performance: Performance) -> None:
    before = cv2.getNumThreads()
    with contextlib.closing(rendered(renderer, performance, range(12))) as frames:
        next(frames)
    assert next(frames, None) is None
    assert cv2.getNumThreads() == before


def test_two_renders_at_once_leave_opencv_as_it_was(
    renderer: PreviewRenderer, performance: Performance
) -> None:
    before = cv2.getNumThreads()
    first, second = (rendered(renderer, performance, range(12)) for _ in range(2))
    next(first), next(second)
    first.close()
    assert cv2.getNumThreads() == 1
    second.close()
    assert cv2.getNumThreads() == before


def test_a_frame_that_fails_fails_the_iterator(renderer: PreviewRenderer, performance: Performance) -> None:
    with pytest.raises(IndexError):
        list(rendered(renderer, performance, range(14)))


def test_the_portrait_is_prepared_while_the_speech_is_heard(
    portrait: Path,
    short_speech: Path,
    renderer: PreviewRenderer,
    performance: Performance,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = Settings(size=128, length=2)
    job = gather(read_picture(portrait), Speech.open(short_speech), settings)
    begun = Event()

    def prepare(_: Conditions) -> PreviewRenderer:
        begun.set()
        return renderer

    def hear(*_: object) -> Performance:
        assert begun.wait(20), "the portrait waits for the speech"
        return performance

    monkeypatch.setattr(engine, "renderer_for", prepare)
    monkeypatch.setattr(engine, "performance", hear)
    assert len(list(PreviewEngine(settings).frames(job))) == 2


def test_a_portrait_without_a_face_is_refused_from_the_thread_that_prepares_it(
    portrait: Path, short_speech: Path
) -> None:
    settings = Settings(size=128, length=2)
    job = gather(read_picture(portrait), Speech.open(short_speech), settings)
    with pytest.raises(NoFaceError, match="from the front"):
        next(PreviewEngine(settings).frames(replace(job, face=None)))


def test_a_face_moves_with_its_picture() -> None:
    face = draw(96, 96, 24.0).face
    shifted = moved(face, -10, 5)
    assert np.allclose(shifted.points - face.points, (-10, 5, 0))
    assert shifted.box[0] == face.box[0] - 10
