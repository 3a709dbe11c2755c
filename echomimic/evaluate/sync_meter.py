"""Sync-C and Sync-D with the user's SyncNet: how far lips and sound are apart, over shifts of up to 15
frames.

Written from the description of Chung and Zisserman, Out of time (2016): five frames of a face and 0.2 s of
MFCC are mapped to vectors; distances over all shifts give Sync-D (the least) and Sync-C (the median minus the
least).
"""

from __future__ import annotations

from collections import deque

import cv2
import numpy as np
import numpy.typing as npt

from echomimic.arrays import Doubles
from echomimic.errors import WeightsError
from echomimic.evaluate.face_meter import Shot
from echomimic.evaluate.nets import JudgeNet, Tensor
from echomimic.faces.detect import extent
from echomimic.media.audio import RATE, Speech
from echomimic.media.image import Picture

# SyncNet was trained at this rate, on five frames of 224 pixels and 20 columns of 13 MFCCs (Chung 2016).
FPS = 25
SHIFTS = 15
"""Frames to either side."""
_LIPS, _COLUMNS, _BANDS, _SIDE = 5, 20, 13, 224
# The margin that SyncNet's own pipeline leaves around a face.
_CROP = 0.4
_BATCH = 16


def sync_figures(lips: npt.ArrayLike, sounds: npt.ArrayLike, shifts: int = SHIFTS) -> tuple[float, float]:
    """(Sync-C, Sync-D) of lip and sound vectors (N, D), one pair per frame.

    The distance of each frame's lips to the sound at every shift (sound outside: zeros), averaged over
    frames.
    """
    seen, heard = np.asarray(lips, np.float64), np.asarray(sounds, np.float64)
    padded = np.pad(heard, ((shifts, shifts), (0, 0)))
    gaps = [np.linalg.norm(seen - padded[s : s + len(seen)], axis=1).mean() for s in range(2 * shifts + 1)]
    return float(np.median(gaps) - np.min(gaps)), float(np.min(gaps))


def mfcc(samples: npt.NDArray[np.float32]) -> Doubles:
    """(T, 13) cepstra of 16 kHz sound: 25 ms windows every 10 ms, 26 bands, pre-emphasis 0.97, lifter 22,
    energy first.

    Samples count as 16-bit integers, as SyncNet was taught with.
    """
    wave = samples.astype(np.float64) * 32768
    wave = np.append(wave[:1], wave[1:] - 0.97 * wave[:-1])
    wave = np.pad(wave, (0, max(0, 400 - len(wave))))
    frames = np.lib.stride_tricks.sliding_window_view(wave, 400)[::160]
    power = np.abs(np.fft.rfft(frames, 512)) ** 2 / 512
    energy = np.maximum(power @ _mel_bands().T, np.finfo(float).eps)
    turned = np.log(energy) @ _cosines().T
    turned *= 1 + 11 * np.sin(np.pi * np.arange(_BANDS) / 22)
    turned[:, 0] = np.log(np.maximum(power.sum(1), np.finfo(float).eps))
    return np.asarray(turned, np.float64)


def _mel_bands(count: int = 26) -> Doubles:
    top = 2595 * np.log10(1 + RATE / 2 / 700)
    warped = np.linspace(0, top, count + 2) / 2595
    edges = np.floor(513 * 700 * (np.power(10.0, warped) - 1) / RATE).reshape(-1, 1)
    at = np.arange(257)
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (at - low) / np.maximum(middle - low, 1), (high - at) / np.maximum(high - middle, 1)
    bands = np.maximum(0, np.where(at < middle, rising, falling)) * ((at >= low) & (at < high))
    return np.asarray(bands, np.float64)


def _cosines(count: int = 26) -> Doubles:
    row = np.arange(_BANDS, dtype=np.float64).reshape(-1, 1)
    waves = np.cos(np.pi * row * (2 * np.arange(count) + 1) / (2 * count))
    return np.asarray(waves * np.where(row == 0, np.sqrt(1 / count), np.sqrt(2 / count)), np.float64)


class SyncMeter:
    """Totals: sync_c, sync_d.

    The network takes lips (N, 3, 5, 224, 224) BGR 0 to 255 and cepstra (N, 1, 13, 20), and gives two (N, D).
    """

    def __init__(self, net: JudgeNet, speech: Speech, fps: float) -> None:
        self._net, self._speech, self._fps = net, speech, fps
        self._crops: deque[Tensor] = deque(maxlen=_LIPS)
        self._batch: list[tuple[Tensor, Tensor]] = []
        self._lips: list[Tensor] = []
        self._sounds: list[Tensor] = []
        self._taken = 0
        self.protocol = (
            f"Sync-C/D: {net.label}; 25 fps, ±{SHIFTS} frames, faces cut by our mesh (SyncNet's pipeline "
            "uses S3FD and another tracker): never beside the numbers of papers"
        )

    def read(self, shot: Shot) -> dict[str, float]:
        if shot.face is None:
            self._crops.clear()
        # each frame stands for the 25-per-second moments that fall into it
        while self._taken / FPS < (shot.number + 0.5) / self._fps:
            if shot.face is not None:
                self._crops.append(_face_crop(shot.picture, extent(shot.face.points)))
                if len(self._crops) == _LIPS:
                    self._batch.append((np.stack(self._crops, 1), self._cepstra(self._taken - _LIPS + 1)))
            self._taken += 1
        if len(self._batch) >= _BATCH:
            self._run()
        return {}

    def _cepstra(self, first: int) -> Tensor:
        """(1, 13, 20) of the 0.2 s that begin at a frame."""
        start = round(first * RATE / FPS)
        heard = mfcc(self._speech.read(start, start + (_COLUMNS - 1) * 160 + 400))
        return np.asarray(heard.T[None], np.float32)

    def _run(self) -> None:
        lips, sounds = (np.stack(part) for part in zip(*self._batch, strict=True))
        self._batch.clear()
        given = self._net(lips, sounds)
        if len(given) != 2:
            raise WeightsError(f"{self._net.label} gives {len(given)} outputs, not 2; see docs/evaluate.md")
        self._lips.append(given[0].reshape(len(lips), -1))
        self._sounds.append(given[1].reshape(len(lips), -1))

    def totals(self) -> dict[str, float]:
        if self._batch:
            self._run()
        if not self._lips:
            return {}
        confidence, distance = sync_figures(np.concatenate(self._lips), np.concatenate(self._sounds))
        return {"sync_c": confidence, "sync_d": distance}


def _face_crop(picture: Picture, box: tuple[float, float, float, float]) -> Tensor:
    """(3, 224, 224) BGR: the face with SyncNet's margins, grey outside the picture."""
    x0, y0, x1, y1 = box
    half, x, y = max(x1 - x0, y1 - y0) / 2, (x0 + x1) / 2, (y0 + y1) / 2
    left, side, top = x - half * (1 + _CROP), 2 * half * (1 + _CROP), y - half
    matrix = np.array([[side / _SIDE, 0, left], [0, side / _SIDE, top]])
    flags = cv2.WARP_INVERSE_MAP | cv2.INTER_AREA
    crop = cv2.warpAffine(picture, matrix, (_SIDE, _SIDE), flags=flags, borderValue=(110, 110, 110))
    return np.ascontiguousarray(crop[..., ::-1].transpose(2, 0, 1), np.float32)
