"""What the package's generator makes of a recording's sound, and what was recorded: the same measures of
both.

MEASURES: opening (inner-lip point 13 over 14), width (corners 61 to 291) and protrusion (mean depth of the
lips) in outer eye distances; brow (its height over the nose's bridge), pitch, yaw and roll in radians, about
the clip's mean.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from echomimic.motion.performance import Performance
from echomimic.motion.speech.life_model import LifeModel
from echomimic.motion.speech.log_mel import activity
from echomimic.motion.speech.mouth_model import IS_SPEECH, MEL_OFFSET, MouthModel
from echomimic.motion.speech.stepper import Manner, Stepper
from echomimic.motion.tracks import gaussian
from training.basis import Basis, fit_basis
from training.crossval import opening, protrusion, width
from training.data import MEL_PER_FRAME, Clip, Recordings, clip_level

Double = npt.NDArray[np.float64]

MEASURES = ("opening", "width", "protrusion", "brow", "pitch", "yaw", "roll")
BROWS = np.array([70, 63, 105, 66, 107, 300, 293, 334, 296, 336, 52, 53, 65, 282, 283, 295])
BRIDGE = [6, 197, 195]
HEAD_NOISE = 1.3
"""Frames over which recorded heads and brows are smoothed: the tracker trembles."""
LIP_NOISE = 0.6
_PAD = 10


@dataclass(frozen=True)
class Guess:
    """What nets that never saw the person say of a clip: shape (F, K) coefficients, cues (F, 3)."""

    shape: Double
    cues: Double


def head_channels(clip: Clip) -> Double:
    """(F, 6) pitch, yaw, roll, x, y, brow about the clip's mean, tracker noise smoothed away."""
    turn = clip.rotation.astype(np.float64)
    pitch = np.arcsin(np.clip(-turn[:, 1, 2], -1, 1))
    yaw = np.arctan2(turn[:, 0, 2], turn[:, 2, 2])
    roll = np.arctan2(-turn[:, 1, 0], turn[:, 0, 0])
    brow = clip.shape[:, BROWS, 1].mean(1) - clip.shape[:, BRIDGE, 1].mean(1)
    track = np.column_stack([pitch, yaw, roll, clip.centre, brow])
    return np.asarray(gaussian(track - track.mean(0), HEAD_NOISE), np.float64)


def clip_energy(clip: Clip) -> Double:
    """(F,) loudness 0 to 1, as the generator hears it."""
    loud = activity(clip.mel, clip_level(clip.mel))
    index = np.clip(np.arange(MEL_PER_FRAME * len(clip)) + MEL_OFFSET, 0, len(loud) - 1)
    return np.asarray(loud[index].reshape(-1, MEL_PER_FRAME).mean(1), np.float64)


def lip_measures(shape: npt.NDArray[np.float32]) -> Double:
    """(F, 3) opening, width and protrusion of displacements (F, 468, 3)."""
    return np.column_stack([opening(shape), width(shape), protrusion(shape)]).astype(np.float64)


def recorded(clip: Clip) -> Double:
    """(F, 7) MEASURES of the person."""
    head = head_channels(clip)
    return np.concatenate([gaussian(lip_measures(clip.shape), LIP_NOISE), head[:, [5, 0, 1, 2]]], 1)


def acted(
    clip: Clip, guess: Guess, mouth: MouthModel, life: LifeModel, seed: int, style: str = "natural"
) -> Performance:
    """What the stepper makes of a clip's sound, given what nets heard in it."""
    energy = clip_energy(clip).astype(np.float32)
    stepper = Stepper(Manner(style=style), seed=seed, mouth=mouth, life=life)
    after = ((0, _PAD), (0, 0))
    shape, cues = (np.pad(x, after, mode="edge").astype(np.float32) for x in (guess.shape, guess.cues))
    cues[:, IS_SPEECH] = 1  # guesses may tell of pauses there
    return stepper.act(np.pad(energy, (0, 2 * _PAD)), shape, cues)[: len(clip)]


def of_performance(performance: Performance) -> Double:
    """(F, 7) MEASURES of a generated performance."""
    shape = np.asarray(np.tensordot(performance.expression, performance.basis, 1), np.float32)
    head = np.column_stack([performance.brow, performance.rotation])
    return np.concatenate([lip_measures(shape), head], 1).astype(np.float64)


def common_basis(recordings: Recordings, count: int) -> Basis:
    """The basis of all recordings, in which held-out guesses are kept."""
    return fit_basis(recordings.clips, recordings, count)
