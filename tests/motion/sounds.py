"""Sounds for the tests, with the two members the motion rooms ask of a speech."""

from dataclasses import dataclass

import numpy as np

RATE = 16_000


@dataclass(frozen=True)
class Sound:
    """16 kHz samples in memory."""

    wave: np.ndarray

    @property
    def samples(self) -> int:
        return len(self.wave)

    def read(self, start: int, stop: int) -> np.ndarray:
        low, high = max(start, 0), min(stop, len(self.wave))
        part = self.wave[low : max(low, high)]
        return np.pad(part, (low - start, stop - start - (low - start) - len(part))).astype(np.float32)


def vowels(seconds: float, seed: int = 0, syllables: float = 4.0) -> Sound:
    """Something like speech: a buzz through two moving formants, on and off four times a second."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * RATE)) / RATE
    pitch = 120 + 20 * np.sin(2 * np.pi * 0.7 * t)
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    first = 500 + 250 * np.sin(2 * np.pi * 1.3 * t)
    second = 1500 + 500 * np.sin(2 * np.pi * 0.9 * t + 1)
    wave = np.zeros_like(t)
    for k in range(1, 30):
        gain = sum(np.exp(-0.5 * ((k * pitch - f) / 150) ** 2) for f in (first, second)) + 0.02
        wave += gain * np.sin(k * phase)
    envelope = np.clip(np.sin(np.pi * syllables * t) ** 2 * 1.4 - 0.2, 0, 1)
    return Sound((0.1 * wave * envelope + 0.0003 * rng.standard_normal(len(t))).astype(np.float32))


def silence(seconds: float) -> Sound:
    return Sound(np.zeros(int(seconds * RATE), np.float32))
