"""From what the nets guess to a mouth that moves as people's do, frame by frame.

A net trained on many people predicts their average, which moves less than any of them and never quite closes.
So the measures of the guess are stretched about their running mean, lips meet on m, b and p, and the mouth
rests in silence. Looks one frame ahead in the guess and three in the loudness.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from echomimic.arrays import Doubles, Floats, smoothstep
from echomimic.motion.speech.log_mel import FRAME_RATE, SPEAKING
from echomimic.motion.speech.mouth_model import IS_SPEECH, PRESSED, TUCKED, MouthModel
from echomimic.motion.speech.streams import Tail

DELAY = 1
ENERGY_AHEAD = 3
"""Frames by which the loudness must be known ahead of a guess."""
_SOFT = np.array([0.12, 0.76, 0.12])
# Seconds over which the mean mouth of a speaker is remembered.
_MEMORY = 4.0
_FIRST = 1.0
CLOSED_SHARE = 0.05
"""Share of speech, the least opened of it, in which lips are closed; as recorded."""
_CLOSED_STEP = 0.004
_TUCKED_GAP = 0.35
_RELAXES, _PARTED = 1.0, 0.4
"""Seconds in which the mouth comes to rest in a pause, and share of the speaker's mean mouth that is added to
what is heard there: recorded lips go on moving (0.19 eye distances a second, 0.52 in speech), and are nearly
as open half a second after a voice as in speech (0.06 of 0.075)."""
# How sure the ear must be that something is said, for the mouth to stay still and to move fully.
_SURE = (0.4, 0.8)
_HELD = np.exp(-0.5 * (np.arange(-8, ENERGY_AHEAD + 1) / 2.0) ** 2)
_EARLY = np.exp(-0.5 * (np.arange(-8, ENERGY_AHEAD + 1) - 2.0) ** 2)


@dataclass(frozen=True)
class Stretch:
    """How the guess is made as large as life.

    measures: (K, 3) opening, width and protrusion of the lips per unit of each coefficient. directions: (3,
    K) how coefficients change with each measure. gain: (3, 3) what each guessed measure (row) does to the
    shown ones. mean: (K,) the mean mouth of speech. closed: opening below which the guess means closed. bend:
    how much slower openings grow the wider they are, per eye distance.
    """

    measures: Doubles
    directions: Doubles
    gain: Doubles
    mean: Doubles
    closed: float
    bend: float


class Articulator:
    """Guesses, cues, loudness and chance in; coefficients to show out, DELAY frames later."""

    def __init__(self, model: MouthModel, stretch: Stretch, temperature: float, strength: float) -> None:
        self.model, self.stretch, self.strength = model, stretch, strength
        more = temperature * (stretch.gain - np.eye(len(stretch.gain)))
        self.closing = stretch.closed * stretch.directions[0]
        self.more = stretch.measures @ more @ stretch.directions
        self.shapes, self.cues = Tail(np.zeros((1, len(model.basis)))), Tail(np.zeros((2, 3)))
        self.energy = Tail(np.zeros(8))
        self.mean, self.closed, self.counted = stretch.mean.copy(), stretch.closed, _FIRST * FRAME_RATE
        self.done, self.rest = 0, 0.0

    def hear(self, energy: Floats) -> None:
        """Loudness of the next frames; must be ENERGY_AHEAD frames ahead of the guesses."""
        self.energy.append(energy.astype(np.float64))

    def push(self, shapes: Floats, cues: Floats, chance: Doubles) -> tuple[Doubles, Doubles]:
        """(n, K) coefficients and (n,) voicing;
        `chance` (n, K) is what chance adds to the frames that come out."""
        self.shapes.append(shapes.astype(np.float64))
        self.cues.append(cues.astype(np.float64))
        start, stop = self.done, self.shapes.stop - DELAY
        if stop <= start:
            return np.zeros((0, len(self.mean))), np.zeros(0)
        voiced = self._voicing(start, stop) * self._said(start, stop)
        track, rests = np.empty((stop - start, len(self.mean))), np.empty((stop - start, len(self.mean)))
        held = np.empty((stop - start, 1))
        for i, value in enumerate(voiced):
            track[i] = self._stretched(self._soft(start + i), value)
            held[i] = self._held(float(value))
            rests[i] = (held[i] - value) * self._parted()
        track = self._closing(track + chance, voiced) * held + rests
        self.done = stop
        for tail, kept in ((self.shapes, 1), (self.cues, 2), (self.energy, 8)):
            tail.forget(stop - kept)
        return self.strength * track, voiced

    def _held(self, voiced: float) -> float:
        """How far the mouth moves on in a pause: 1 in speech, less the longer nothing is said."""
        self.rest = max(voiced, self.rest * np.exp(-1 / (_RELAXES * FRAME_RATE)))
        return self.rest

    def _soft(self, frame: int) -> Doubles:
        return np.asarray(_SOFT @ self.shapes.span(frame - 1, frame + 2))

    def _voicing(self, start: int, stop: int) -> Doubles:
        """0 where nothing is said, 1 in speech; opens a little before a sound and closes gently after."""
        heard = self.energy.span(start - 8, stop + ENERGY_AHEAD) > SPEAKING
        windows = np.lib.stride_tricks.sliding_window_view(heard.astype(np.float64), len(_HELD))
        held = np.clip(1.6 * (windows @ _HELD) / _HELD.sum(), 0, 1)
        return np.asarray(np.maximum(held, windows @ _EARLY / _EARLY.sum()))

    def _said(self, start: int, stop: int) -> Doubles:
        """0 where music, tones or noise are heard without speech, 1 in speech."""
        sure = self.cues.span(start - 1, stop + 1)[:, IS_SPEECH]
        return smoothstep((sure[:-2] + sure[1:-1] + sure[2:]) / 3, *_SURE)

    def _parted(self) -> Doubles:
        """(K,) what lips are parted by in a pause beyond what is heard there."""
        return np.asarray(_PARTED * (self.mean - self.closing))

    def _stretched(self, shape: Doubles, voiced: float) -> Doubles:
        """One guess with its measures stretched about the running mean mouth."""
        if voiced > 0.5:
            self.counted = min(self.counted + 1, _MEMORY * FRAME_RATE)
            self.mean += (shape - self.mean) / self.counted
        return np.asarray(shape + (shape - self.mean) @ self.more)

    def _closing(self, track: Doubles, voiced: Doubles) -> Doubles:
        start, stop = self.done, self.done + len(track)
        gap = track @ self.stretch.measures[:, 0]
        pressed = _spread(smoothstep(self.cues.span(start - 1, stop + 1)[:, PRESSED], 0.2, 0.55))
        tucked = smoothstep(self.cues.span(start, stop)[:, TUCKED], 0.3, 0.8) * (1 - _TUCKED_GAP)
        wanted = self._opening(gap, voiced) * (1 - np.maximum(pressed, tucked))
        return np.asarray(track + (wanted - gap)[:, None] * self.stretch.directions[0])

    def _opening(self, gap: Doubles, voiced: Doubles) -> Doubles:
        """The least opened twentieth of speech is closed, and wide ones stay within what people do."""
        closed = np.empty_like(gap)
        for i, value in enumerate(gap):
            self.closed += (voiced[i] > 0.5) * _CLOSED_STEP * (CLOSED_SHARE - float(value < self.closed))
            closed[i] = self.closed
        wide = np.maximum(0.0, gap - closed)
        return np.asarray(wide / (1 + self.stretch.bend * wide))


def _spread(closed: Doubles) -> Doubles:
    """Lips are half-way in the frame before and after they meet; one frame more on either side goes in."""
    return np.maximum(closed[1:-1], 0.5 * np.maximum(closed[:-2], closed[2:]))
