"""What the package's generator makes of a recording's sound, and what was recorded: the same measures of
both.

MEASURES: opening (inner-lip point 13 over 14), width (corners 61 to 291) and protrusion (mean depth of the
lips) in outer eye distances; brow (its height over the nose's bridge), pitch, yaw and roll in radians, about
the clip's mean.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from echomimic.motion.speech.articulation import DELAY, ENERGY_AHEAD, Articulator
from echomimic.motion.speech.life_model import HEAD, LifeModel, LifeProcess
from echomimic.motion.speech.log_mel import activity
from echomimic.motion.speech.mouth_model import MEL_OFFSET, MouthModel
from echomimic.motion.speech.stepper import LIMITS, STYLES
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
_PAD = 40


@dataclass(frozen=True)
class Guess:
    """What nets that never saw the person say of a clip: shape (F, K) coefficients, cues (F, 3)."""

    shape: Double
    cues: Double


Moves = Callable[[Clip, int], Double]
"""A clip's sound and a seed to (F, 7) MEASURES."""


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


def recorded(clip: Clip) -> Double:
    """(F, 7) MEASURES of the person."""
    lips = np.column_stack([opening(clip.shape), width(clip.shape), protrusion(clip.shape)]).astype(
        np.float64
    )
    head = head_channels(clip)
    return np.concatenate([gaussian(lips, LIP_NOISE), head[:, [5, 0, 1, 2]]], 1)


def simulated(
    clip: Clip, guess: Guess, mouth: MouthModel, life: LifeModel, seed: int, style: str = "natural"
) -> tuple[Double, Double]:
    """(F, K) coefficients and (F, 6) head channels, as the stepper makes them."""
    temperature, amplitude = STYLES[style]
    energy = clip_energy(clip).astype(np.float32)
    process = LifeProcess(life, np.random.default_rng([seed, 0, 0]))
    process.hear(np.pad(energy, (0, _PAD)))
    states = process.frames(0, len(clip))
    articulator = Articulator(mouth, life.stretch, temperature, 1.0)
    articulator.hear(np.pad(energy, (0, ENERGY_AHEAD), mode="edge"))
    shape, cues = (
        np.pad(x, ((0, DELAY), (0, 0)), mode="edge").astype(np.float32) for x in (guess.shape, guess.cues)
    )
    track, _ = articulator.push(shape, cues, temperature * states[:, HEAD:] @ life.mouth)
    return track, LIMITS * np.tanh(states[:, :HEAD] * amplitude / LIMITS)


def measured(track: Double, head: Double, basis: npt.NDArray[np.float32]) -> Double:
    """(F, 7) MEASURES of a generated performance."""
    shape = np.asarray(np.tensordot(track, basis, 1), np.float32)
    lips = np.column_stack([opening(shape), width(shape), protrusion(shape)])
    return np.concatenate([lips, head[:, [5, 0, 1, 2]]], 1)


def common_basis(recordings: Recordings, count: int) -> Basis:
    """The basis of all recordings, in which held-out guesses are kept."""
    return fit_basis(recordings.clips, recordings, count)
