"""A video beside the one it ought to equal: PSNR, SSIM, and the other's lips,
frame by frame at the same moment."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from echomimic.evaluate.face_meter import Shot, lips
from echomimic.faces.track import FaceTracker
from echomimic.media.image import Picture, resize
from echomimic.media.video import VideoReader

SAME = 100.0
"""Decibels that stand for equal pictures (PSNR of equal pictures is infinite)."""
# Pixels of the longer side at which SSIM is measured at most.
_LARGEST = 512
_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
"""Window and constants of Wang et al. 2004."""


def psnr(first: Picture, second: Picture) -> float:
    """Peak signal-to-noise ratio over all pixels and channels, dB; `SAME` when they are equal."""
    error = float(cv2.norm(first, second, cv2.NORM_L2SQR)) / first.size
    return SAME if error == 0 else min(SAME, float(10 * np.log10(255**2 / error)))


def ssim(first: Picture, second: Picture) -> float:
    """Mean structural similarity of the two brightnesses
    (Wang et al. 2004: Gaussian window, 11 pixels, sigma 1.5)."""
    a, b = _brightness(first), _brightness(second)
    mean_a, mean_b = _blur(a), _blur(b)
    var_a, var_b = _blur(a * a) - mean_a**2, _blur(b * b) - mean_b**2
    both = _blur(a * b) - mean_a * mean_b
    top = (2 * mean_a * mean_b + _C1) * (2 * both + _C2)
    bottom = (mean_a**2 + mean_b**2 + _C1) * (var_a + var_b + _C2)
    inner = slice(_WINDOW // 2, -(_WINDOW // 2))
    return float((top / bottom)[inner, inner].mean(dtype=np.float64))


def _brightness(picture: Picture) -> npt.NDArray[np.float32]:
    height, width = picture.shape[:2]
    shrink = min(1.0, _LARGEST / max(height, width))
    small = resize(picture, round(width * shrink), round(height * shrink))
    return cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)


def _blur(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return np.asarray(cv2.GaussianBlur(values, (_WINDOW, _WINDOW), _SIGMA), np.float32)


class Companion:
    """The pictures of another video, at the moments of the first one's frames; read once, in order."""

    def __init__(self, path: Path, fps: float) -> None:
        self._reader = VideoReader(path)
        self._step = self._reader.fps / fps
        self._frames: Iterator[Picture] = iter(self._reader)
        self._at, self._now = -1, None

    _now: Picture | None

    def picture(self, number: int) -> Picture | None:
        """What it shows in frame `number` of the first video; None after its end."""
        wanted = int(number * self._step + 0.5)
        while self._at < wanted:
            self._now = next(self._frames, None)
            self._at += 1
            if self._now is None:
                break
        return self._now


class ReferenceMeter:
    """Series: psnr (dB), ssim (to 1), reference_opening
    and reference_width (the reference's lips, eye distances)."""

    def __init__(self, companion: Companion) -> None:
        self._companion, self._tracker = companion, FaceTracker()

    def read(self, shot: Shot) -> dict[str, float]:
        other = self._companion.picture(shot.number)
        if other is None:
            return {}
        face = self._tracker.track(other)
        height, width = shot.picture.shape[:2]
        same = resize(other, width, height)
        read = {"psnr": psnr(shot.picture, same), "ssim": ssim(shot.picture, same)}
        if face is None:
            return read
        opening, wide = lips(face)
        return read | {"reference_opening": opening, "reference_width": wide}

    def totals(self) -> dict[str, float]:
        return {}
