"""Hearing in steps: samples go in, normalised log-mel columns and loudness come out.

One step is a hop of whole frames, cut at fixed places of the timeline, so that the chunks in which a sound
arrives change nothing at all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from echomimic.arrays import Floats
from echomimic.motion.speech.log_mel import AFTER, BEFORE, HOP, activity, mel_of, normalise
from echomimic.motion.speech.mouth_model import MEL_OFFSET, MEL_PER_FRAME
from echomimic.motion.speech.running_level import LevelTracker

FRAME_SAMPLES = HOP * MEL_PER_FRAME


@dataclass(frozen=True)
class HeardChunk:
    """mel: (4 n, 80) normalised columns for the nets. energy: (n,) loudness of the frames that are complete.
    muffled: how much of the voice noise hides, 0 to 1."""

    mel: Floats
    energy: Floats
    muffled: float


class Ear:
    """first: number of the first column wanted, negative: before the sound there is silence."""

    def __init__(self, level: LevelTracker, first: int) -> None:
        self.level = level
        self.column = first
        self.wave = np.zeros(BEFORE - first * HOP, np.float32)
        self.loud = np.zeros(0, np.float32)
        self.skip = MEL_OFFSET - first

    def hear(self, wave: Floats) -> HeardChunk:
        """The next hop: a whole number of frames' samples."""
        self.wave = np.concatenate([self.wave, wave])
        count = (len(self.wave) - BEFORE - AFTER) // HOP + 1
        used = self.wave[: (count - 1) * HOP + BEFORE + AFTER]
        self.wave = self.wave[count * HOP :]
        mel = mel_of(used, self.level.gain)
        level = self.level.hear(mel)
        self.column += count
        return HeardChunk(normalise(mel, level), self._frames(activity(mel, level)), level.muffled)

    def _frames(self, loud: Floats) -> Floats:
        """Mean loudness of each frame whose columns are all there."""
        gone = min(self.skip, len(loud))
        self.skip -= gone
        self.loud = np.concatenate([self.loud, loud[gone:]])
        whole = len(self.loud) // MEL_PER_FRAME * MEL_PER_FRAME
        ready, self.loud = self.loud[:whole], self.loud[whole:]
        return np.asarray(ready.reshape(-1, MEL_PER_FRAME).mean(1), np.float32)
