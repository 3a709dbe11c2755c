"""How loud and how coloured a voice is, while it is still being heard.

Two ways to know: measured over the whole speech beforehand (FixedLevel), or followed as the sound comes in
(RunningLevel): quick to rise, slow to fall, starting from a usual voice.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from echomimic.arrays import Doubles, Floats, smoothstep
from echomimic.motion.speech.log_mel import BANDS, VOLUME, Level, subtract_noise

USUAL_PEAK, USUAL_LEVEL = -2.6, -4.8
"""Log power of loud columns and mean of active ones when the wave's volume is VOLUME:
as measured on speech."""
USUAL_VOLUME = 0.06
"""Volume expected before anything is heard: a headset or a synthetic voice."""
_RANGE = 6.0
# Share of the way to a louder column gone in each of them: a new voice is known after some tenths of a
# second.
_RISE = 0.3
# What the peak loses with every column in which something stirs: 2.2 decibels a second.
_FALL = 0.005
_STIRS = 2.0
# Columns over which the quietest one tells how loud the room is.
_REMEMBERED = 150
_STEADY, _ROOM, _SOON = 1.0, 20.0, 30
"""Columns at most so much louder (log power) than the quietest are the room's; over how many of them the room
is averaged, and how many columns must have been heard before."""
_ALIKE, _NO_ROOM = (0.15, 0.25), 1e-6
"""Share of the remembered columns as quiet as the quietest, up to which they are no room, and from which on
they are one (median of clean speech 0.09, in noise at 10 dB 0.3); what is left of a room that is none."""
_UNHEARD, _DIGITAL = 12.0, -15.5
"""How far below a usual voice a room is taken to be before it is heard; and what lies below the second is the
logarithm's own floor, digital silence, which tells nothing of a room."""
_FLAT = np.zeros(BANDS, np.float32)
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
        self.room = np.full(BANDS, USUAL_LEVEL + shift - _UNHEARD)
        self.latest = np.full(_REMEMBERED, self.noise)
        self.heard, self.quiet = 0, 0.0

    @property
    def gain(self) -> float:
        return float(np.exp(0.5 * (USUAL_PEAK - self.peak)))

    def hear(self, mel: Floats) -> Level:
        gain = self.gain
        shift = 2 * np.log(gain)
        for column, digital in zip(mel.astype(np.float64) - shift, mel.mean(1) < _DIGITAL, strict=True):
            if not digital:
                self._hear(column)
        level = float(self.spectrum.mean())
        tilt = (self.spectrum - level).astype(np.float32)
        noise = (self._room() + shift).astype(np.float32)
        return Level(level + shift, tilt, max(self.peak + shift, _QUIETEST), gain, noise)

    def _room(self) -> Doubles:
        """(80,) log power of the room; far less while what is quiet is not alike: then it is the voice's."""
        heard = self.latest[: self.heard]
        if len(heard) < _SOON:
            return self.room
        alike = np.mean(heard < heard.min() + _STEADY, keepdims=True)
        return np.asarray(self.room + np.log(np.maximum(smoothstep(alike, *_ALIKE), _NO_ROOM)))

    def _hear(self, column: Doubles) -> None:
        energy = float(column.mean())
        self.latest[self.heard % _REMEMBERED] = energy
        self.heard += 1
        if self.heard >= _SOON:
            self._learn_room(column, energy)
        self._learn_voice(column)

    def _learn_room(self, column: Doubles, energy: float) -> None:
        self.noise = float(self.latest[: self.heard].min())
        if energy < self.noise + _STEADY:
            falls = energy < self.room.mean() - _STEADY
            self.quiet = 0.0 if falls else min(self.quiet + 1, _ROOM)
            self.room += (column - self.room) / max(1.0, self.quiet)

    def _learn_voice(self, column: Doubles) -> None:
        room = Level(0.0, _FLAT, 0.0, 1.0, self._room().astype(np.float32))
        clean = subtract_noise(column[None].astype(np.float32), room)[0].astype(np.float64)
        energy = float(clean.mean())
        if energy > self.peak:
            self.peak += _RISE * (energy - self.peak)
        elif energy > self.noise + _STIRS:
            self.peak -= _FALL
        if energy > self.peak - _RANGE:
            self.counted = min(self.counted + 1, _LONGEST)
            self.spectrum += (clean - self.spectrum) / self.counted
