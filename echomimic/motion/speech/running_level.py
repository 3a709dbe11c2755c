"""How loud and how coloured a voice is, while it is still being heard.

Two ways to know: measured over the whole speech beforehand (FixedLevel), or followed as the sound comes in
(RunningLevel): quick to rise, slow to fall, starting from a usual voice.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from echomimic.arrays import Floats
from echomimic.motion.speech.log_mel import BANDS, VOLUME, Level

USUAL_PEAK, USUAL_LEVEL = -2.6, -4.8
"""Log power of loud columns and mean of active ones when the wave's volume is VOLUME:
as measured on speech."""
USUAL_VOLUME = 0.06
"""Volume expected before anything is heard: a headset or a synthetic voice."""
_RANGE = 6.0
_RISE = 0.3
"""Share of the way to a louder column gone in each of them:
a new voice is known after some tenths of a second."""
_FALL = 0.005
"""What the peak loses with every column in which something stirs: 2.2 decibels a second."""
_STIRS = 2.0
_NOISE_RISE = 0.002
_FIRST, _LONGEST = 40.0, 800.0
"""Columns that the usual level counts for, and over how many the running mean reaches back."""
_QUIETEST = -9.0


class LevelTracker(Protocol):
    """Tells by what the next columns are to be normalised."""

    @property
    def gain(self) -> float:
        """What the wave is multiplied by before its logarithm is taken."""
        ...

    def hear(self, mel: Floats) -> Level:
        """The level after hearing `mel` (N, 80), log-mel of the wave times `gain`."""
        ...


class FixedLevel:
    """A level that was measured beforehand."""

    def __init__(self, level: Level) -> None:
        self.level = level

    @property
    def gain(self) -> float:
        return self.level.gain

    def hear(self, mel: Floats) -> Level:
        return self.level


class RunningLevel:
    """A level that follows the voice; all its numbers are of the wave without gain."""

    def __init__(self, volume: float = USUAL_VOLUME) -> None:
        shift = 2 * np.log(volume / VOLUME)
        self.peak, self.noise = USUAL_PEAK + shift, USUAL_PEAK + shift - 2 * _RANGE
        self.spectrum = np.full(BANDS, USUAL_LEVEL + shift)
        self.counted = _FIRST

    @property
    def gain(self) -> float:
        return float(np.exp(0.5 * (USUAL_PEAK - self.peak)))

    def hear(self, mel: Floats) -> Level:
        gain = self.gain
        shift = 2 * np.log(gain)
        heard = mel.astype(np.float64) - shift
        for column, energy in zip(heard, heard.mean(1), strict=True):
            self._hear(column, float(energy))
        level = float(self.spectrum.mean())
        tilt = (self.spectrum - level).astype(np.float32)
        return Level(level + shift, tilt, max(self.peak + shift, _QUIETEST), gain)

    def _hear(self, column: np.ndarray, energy: float) -> None:
        self.noise = min(energy, self.noise + _NOISE_RISE)
        if energy > self.peak:
            self.peak += _RISE * (energy - self.peak)
        elif energy > self.noise + _STIRS:
            self.peak -= _FALL
        if energy > self.peak - _RANGE:
            self.counted = min(self.counted + 1, _LONGEST)
            self.spectrum += (column - self.spectrum) / self.counted
