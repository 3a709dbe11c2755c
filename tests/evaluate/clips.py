"""Clips to judge: the shipped portrait speaks by the preview, and what was seen is distorted on purpose."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from echomimic.flow import animate
from echomimic.media.audio import RATE, Speech
from echomimic.media.image import Picture
from echomimic.media.video import Shape, VideoReader, open_writer

EXAMPLE = Path(__file__).resolve().parents[2] / "echomimic" / "example"
SECONDS = 1.8


def speech_part(seconds: float = SECONDS, start: float = 0.3) -> np.ndarray:
    """A part of the shipped speech, 16 kHz."""
    return Speech.open(EXAMPLE / "speech.flac").read(round(start * RATE), round((start + seconds) * RATE))


def write_clip(path: Path, frames: Iterable[Picture], fps: float, sound: np.ndarray | None) -> Path:
    """A video of these frames and this sound (16 kHz)."""
    frames = list(frames)
    shape = Shape(frames[0].shape[1], frames[0].shape[0], fps, len(frames))
    speech = None if sound is None else Speech.from_array(sound, RATE)
    with open_writer(path, shape, speech, overwrite=True) as writer:
        for frame in frames:
            writer.add(frame)
    return path


def render_clip(folder: Path) -> Path:
    """The shipped portrait saying a part of the shipped speech, 256 pixels."""
    sound = write_sound(folder / "said.wav", speech_part())
    animate(EXAMPLE / "portrait.jpg", sound, folder / "clip.mp4", size=256, seed=5)
    return folder / "clip.mp4"


def write_sound(path: Path, samples: np.ndarray) -> Path:
    """A 16-bit mono WAV file."""
    import wave

    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype(np.int16).tobytes())
    return path


def distort(clip: Path, path: Path, change: Callable[[int, Picture], Picture]) -> Path:
    """The clip with every picture changed, and its own sound."""
    reader = VideoReader(clip)
    return write_clip(path, [change(i, f) for i, f in enumerate(reader)], reader.fps, speech_part())
