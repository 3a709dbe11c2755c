"""A written video starts at 0 with picture and sound together, at its own rate,
in its own colours: flash and click."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from echomimic.media.audio import Speech
from echomimic.media.video import Shape, frame_rate, open_writer

RATES = (24.0, 25.0, 29.97, 30.0, 50.0, 60.0)
FLASHES = (0.0, 0.5, 1.3)
"""Seconds at which the picture turns white and a click is heard."""


def clicks(rate: int, seconds: float) -> np.ndarray:
    wave = np.zeros(round(seconds * rate), np.float32)
    for at in FLASHES:
        first = round(at * rate)
        wave[first : first + rate // 50] = 0.8 * np.sin(2 * np.pi * 2000 * np.arange(rate // 50) / rate)
    return wave


def write(path: Path, fps: float, rate: int, seconds: float = 2.0) -> Path:
    frames = round(seconds * fps)
    white = {round(at * fps) for at in FLASHES}
    with open_writer(
        path, Shape(64, 64, fps, frames), Speech.from_array(clicks(rate, seconds), rate)
    ) as writer:
        for i in range(frames):
            writer.add(np.full((64, 64, 3), 230 if i in white else 20, np.uint8))
    return path


def seen(path: Path) -> list[float]:
    """Seconds of the file at which a white frame begins."""
    with av.open(str(path)) as container:
        frames = [
            (f.pts * f.time_base, f.to_ndarray(format="gray").mean()) for f in container.decode(video=0)
        ]
    return [float(at) for at, level in frames if level > 125]


def heard(path: Path) -> list[float]:
    """Seconds of the file at which a click begins."""
    parts: list[np.ndarray] = []
    at = 0.0
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            at = at if parts else float(frame.pts * frame.time_base)
            parts.append(frame.to_ndarray().mean(0))
            rate = frame.sample_rate
    loud = np.flatnonzero(np.abs(np.concatenate(parts)) > 0.2)
    return [at + float(t) / rate for t in [loud[0], *loud[1:][np.diff(loud) > 0.1 * rate]]]


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
@pytest.mark.parametrize("fps", RATES)
def test_flash_and_click_come_together(tmp_path: Path, suffix: str, fps: float) -> None:
    path = write(tmp_path / f"v{suffix}", fps, 44100 if fps == 25 else 16000)
    shown, said = seen(path), heard(path)
    assert len(shown) == len(said) == len(FLASHES)
    assert shown[0] == 0.0
    for flash, click, wanted in zip(shown, said, FLASHES, strict=True):
        assert abs(flash - wanted) <= 0.5 / fps + 0.001
        assert abs(click - wanted) < 0.006


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
@pytest.mark.parametrize("fps", RATES)
def test_stamps_and_rate(tmp_path: Path, suffix: str, fps: float) -> None:
    path = write(tmp_path / f"v{suffix}", fps, 16000, 1.5)
    exact = {29.97: Fraction(30000, 1001)}.get(fps, Fraction(fps))
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.average_rate == exact
        stamps = [frame.pts * frame.time_base for frame in container.decode(video=0)]
    assert stamps[0] == 0
    assert all(abs(at - i / exact) <= Fraction(1, 1000) for i, at in enumerate(stamps))
    with av.open(str(path)) as container:
        sound = next(container.decode(audio=0))
        assert abs(sound.pts * sound.time_base) <= Fraction(1, 1000)


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
@pytest.mark.parametrize("samples", [16000, 16300])
def test_sound_is_whole_to_its_last_sample(tmp_path: Path, suffix: str, samples: int) -> None:
    wave = 0.5 * np.sin(2 * np.pi * 300 * np.arange(samples) / 16000)
    with open_writer(
        tmp_path / f"v{suffix}", Shape(64, 64, 25, 25), Speech.from_array(wave, 16000)
    ) as writer:
        for _ in range(25):
            writer.add(np.zeros((64, 64, 3), np.uint8))
    with av.open(str(tmp_path / f"v{suffix}")) as container:
        sound = np.concatenate([f.to_ndarray().mean(0) for f in container.decode(audio=0)])
    loud = np.flatnonzero(np.abs(sound) > 0.1)
    assert (loud[-1] - loud[0]) / 48000 == pytest.approx(samples / 16000, abs=0.006)


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_colours_are_tagged_as_they_are_coded(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"v{suffix}"
    with open_writer(path, Shape(64, 64, 25, 2), None) as writer:
        for _ in range(2):
            writer.add(np.full((64, 64, 3), (200, 40, 60), np.uint8))
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        assert [context.colorspace, context.color_primaries, context.color_trc, context.color_range] == [
            1,
            1,
            1,
            1,
        ]
        frame = next(container.decode(video=0))
        assert (frame.colorspace, frame.color_range) == (1, 1)
        luma = frame.to_ndarray()[:64].mean()
    # BT.709 weights of red, green and blue, in 16 to 235; BT.601 would give 91
    assert luma == pytest.approx(16 + 219 * (0.2126 * 200 + 0.7152 * 40 + 0.0722 * 60) / 255, abs=2)


WRITTEN = {
    29.97: (30000, 1001),
    23.976: (24000, 1001),
    59.94: (60000, 1001),
    25: (25, 1),
    12.5: (25, 2),
    30: (30, 1),
}


@pytest.mark.parametrize(("fps", "rate"), WRITTEN.items())
def test_rates_are_written_as_editors_know_them(fps: float, rate: tuple[int, int]) -> None:
    assert frame_rate(fps) == Fraction(*rate)
