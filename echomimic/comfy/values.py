"""The server's values and ours: IMAGE, AUDIO and VIDEO to pictures and speech, and back.

IMAGE is (B, H, W, 3) floats in 0…1; AUDIO is ``{"waveform": (B, C, T), "sample_rate": int}``. They belong to
the server's cache: nothing here writes into one.
"""

from collections.abc import Iterable
from fractions import Fraction
from typing import Any

import numpy as np
import torch

from echomimic.errors import PictureError, SpeechError
from echomimic.media.audio import Speech
from echomimic.media.image import Picture


def pictures_of(image: Any) -> list[Picture]:
    """Every picture of an IMAGE as (H, W, 3) uint8. Raises :class:`PictureError` when there is none."""
    if not isinstance(image, torch.Tensor) or image.ndim != 4 or 0 in image.shape:
        raise PictureError("image holds no picture; connect a LoadImage node")
    return [to_bytes(picture) for picture in image]


def to_bytes(picture: torch.Tensor) -> Picture:
    """One (H, W, 3) float picture in 0…1, wherever it lies, as uint8; a single channel is grey."""
    values = picture[..., : 3 if picture.shape[-1] >= 3 else 1].detach().to("cpu", torch.float32, copy=True)
    values = values.expand(*values.shape[:-1], 3).contiguous()
    return np.asarray(values.nan_to_num_(0.0).clamp_(0.0, 1.0).mul_(255.0).round_().to(torch.uint8).numpy())


def speech_of(audio: Any) -> Speech:
    """The first recording of an AUDIO. Raises :class:`SpeechError` when it is missing, empty or too short."""
    if not isinstance(audio, dict) or not isinstance(audio.get("waveform"), torch.Tensor):
        raise SpeechError("audio holds no sound; connect a LoadAudio node, or a video that has sound")
    wave = audio["waveform"]
    if wave.ndim != 3 or 0 in wave.shape:
        raise SpeechError("audio is empty; load a recording with speech of at least 0.2 s")
    if wave.is_complex():
        raise SpeechError("audio holds complex numbers; load a recording with a LoadAudio node")
    samples = wave[0].detach().to("cpu", torch.float32, copy=True).numpy()
    return Speech.from_array(samples, _rate_of(audio), "audio")


def _rate_of(audio: dict[str, Any]) -> int:
    try:
        return int(audio.get("sample_rate", 0))
    except (TypeError, ValueError, OverflowError):
        raise SpeechError(
            f"audio has a sample_rate of {audio['sample_rate']!r}; load a recording with a LoadAudio node"
        ) from None


def sound_of(audio: dict[str, Any], seconds: float) -> dict[str, Any]:
    """The AUDIO as it was, cut to the video's length; never padded."""
    rate = _rate_of(audio)
    wave = audio["waveform"][:1, :, : max(1, round(seconds * rate))]
    return {"waveform": wave.detach().to("cpu", torch.float32, copy=True), "sample_rate": rate}


def image_of(frames: Iterable[Picture], count: int) -> torch.Tensor:
    """Frames as one IMAGE, filled in as they come; ``count`` is how many are expected at most."""
    image, filled = torch.empty(0), 0
    for frame in frames:
        if not filled:
            image = torch.empty((count, *frame.shape), dtype=torch.float32)
        torch.div(torch.from_numpy(np.ascontiguousarray(frame)), 255.0, out=image[filled])
        filled += 1
    return image[:filled]


def rate_of(fps: float) -> Fraction:
    """A frame rate as the exact fraction that containers use."""
    return Fraction(fps).limit_denominator(1001)
