"""People in motion: the same channels from a recording, from the generator and from any video."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from echomimic.arrays import Doubles, Floats
from echomimic.errors import SpeechError
from echomimic.evaluate.lips import Heard, hear
from echomimic.faces.geometry import MESH_POINTS, eye_opening
from echomimic.media.audio import Speech
from echomimic.motion.face_motion import FaceMotion
from echomimic.motion.retarget.head_pose import closed_mouth, split_heads
from echomimic.motion.speech.life_model import LifeModel
from echomimic.motion.speech.log_mel import FRAME_RATE, measure
from echomimic.motion.speech.mouth_model import PRESSED, MouthModel
from echomimic.motion.speech.performance_from_speech import frame_energy, voicing
from echomimic.motion.track.video import extract
from echomimic.motion.tracks import at_times, gaussian
from training.data import Clip
from training.simulate import (
    BRIDGE,
    BROWS,
    HEAD_NOISE,
    LIP_NOISE,
    Guess,
    acted,
    clip_energy,
    lip_measures,
    of_performance,
    recorded,
)

LIPS = 3
"""The first channels: opening, width, protrusion."""
_MOST_CLOSED = 0.15
VIDEOS = {".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v"}


@dataclass(frozen=True, eq=False)
class Moving:
    """One person, F frames at 25 per second.

    track: (F, 7) the MEASURES of `training.simulate`. lid: (F,) how open the eyes are, 1 when open. energy:
    (F,) loudness, 0 to 1. heard: what the sound asks of the mouth. Both None without sound.
    """

    name: str
    person: str
    track: Doubles
    lid: Doubles
    energy: Doubles | None = None
    heard: Heard | None = None

    def __len__(self) -> int:
        return len(self.track)


def about_rest(track: Doubles) -> Doubles:
    """A track about its own rest: lips about the mean of the most closed mouths, the head about its mean."""
    closed = track[track[:, 0] <= np.quantile(track[:, 0], _MOST_CLOSED), :LIPS].mean(0)
    return np.concatenate([track[:, :LIPS] - closed, track[:, LIPS:] - track[:, LIPS:].mean(0)], 1)


def of_clip(clip: Clip, guess: Guess, mouth: MouthModel) -> Moving:
    """What was recorded of a person of the training data."""
    energy = clip_energy(clip)
    heard = heard_in(guess, energy, mouth)
    return Moving(
        clip.name, clip.person, about_rest(recorded(clip)), clip.lid.astype(np.float64), energy, heard
    )


def of_generator(
    like: Moving, clip: Clip, guess: Guess, mouth: MouthModel, life: LifeModel, seed: int, style: str
) -> Moving:
    """What the generator makes of the same sound."""
    performance = acted(clip, guess, mouth, life, seed, style)
    return replace(
        like,
        track=about_rest(of_performance(performance)),
        lid=1 - performance.blink.mean(1).astype(np.float64),
    )


def heard_in(guess: Guess, energy: Doubles, mouth: MouthModel) -> Heard:
    """A guess of the nets as `echomimic evaluate` hears a speech."""
    across = (mouth.basis[:, 291, 0] - mouth.basis[:, 61, 0]).astype(np.float64)
    return Heard(
        np.maximum(guess.shape @ mouth.gap, 0),
        guess.shape @ across,
        guess.cues[:, PRESSED],
        voicing(energy.astype(np.float32)),
    )


def of_video(path: Path) -> Moving:
    """What is seen and heard in a video, brought to 25 frames per second. Raises DriverError without a
    face."""
    motion = extract(path).face
    assert motion is not None
    track, lid = seen_in(motion)
    try:
        speech = Speech.open(path)
    except SpeechError:
        return Moving(path.stem, path.stem, track, lid)
    energy = frame_energy(speech, len(track), measure(speech)).astype(np.float64)
    return Moving(path.stem, path.stem, track, lid, energy, hear(speech, len(track), FRAME_RATE))


def seen_in(motion: FaceMotion) -> tuple[Doubles, Doubles]:
    """(F, 7) MEASURES and (F,) openness of the eyes, smoothed as recordings are: trackers tremble."""
    heads = split_heads(motion)
    moments = np.arange(0, len(motion) - 1e-6, motion.fps / FRAME_RATE)
    moved: Floats = (heads.face - closed_mouth(heads.face))[:, :MESH_POINTS]
    brow = moved[:, BROWS, 1].mean(1) - moved[:, BRIDGE, 1].mean(1)
    head = np.column_stack([brow, heads.angles]).astype(np.float64)
    lips = at_times(lip_measures(moved), moments)
    eyes = np.array([np.mean(eye_opening(points)) for points in heads.face])
    track = [gaussian(lips, LIP_NOISE), gaussian(at_times(head, moments), HEAD_NOISE)]
    lid: npt.NDArray[np.float64] = at_times(eyes / max(float(np.quantile(eyes, 0.8)), 1e-6), moments)
    return about_rest(np.concatenate(track, 1)), lid
