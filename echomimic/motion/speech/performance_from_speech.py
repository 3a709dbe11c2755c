"""Speech to performance: what a head does while it says this.

The mouth follows the speech through a learned ensemble (mouth.py), everything else is drawn by a fitted
random process that hears the speech's energy (generator.py). Works at 25 frames per second and is resampled
to the rate wanted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from echomimic.arrays import Doubles, Floats, smoothstep
from echomimic.motion.performance import Performance
from echomimic.motion.speech import log_mel as hearing
from echomimic.motion.speech.log_mel import FRAME_RATE
from echomimic.motion.speech.mouth_model import MEL_PER_FRAME, PRESSED, TUCKED, MouthModel, mouth_model
from echomimic.motion.speech.stepper import Manner, Stepper
from echomimic.motion.tracks import smooth_wide
from echomimic.option import check_number
from echomimic.progress import Progress, Report, silent

_STRONGEST, OFTENEST = 2.0, 4.0
_FASTEST, _SLOWEST = 100.0, 5.0

# Frames of silence after what was heard, so that the last frame is known; loudness has to be further ahead.
_AFTER = 8

_GAIN = 1.25
_SWELL = 1.3
_WIDE_OPEN = 0.30
_TUCKED_GAP = 0.35


@dataclass(frozen=True, eq=False)
class Listened:
    """What is heard in a speech, before any strength: at 25 per second, a little longer than the video."""

    shapes: Floats
    """(steps, K) coefficients of the mouth."""
    cues: Floats
    """(steps, 3) what the lips must do."""
    energy: Floats
    """(steps,) loudness, 0 to 1."""


def listen(speech: hearing.Sound, frames: int, fps: float, report: Report = silent) -> Listened:
    """Hears a speech for a performance of `frames` frames at `fps`: nearly all of the time that one takes."""
    steps = int(np.ceil(frames * FRAME_RATE / fps)) + 2
    report(Progress("audio", 0, steps))
    model, level = mouth_model(), hearing.measure(speech)
    report(Progress("audio", 0, steps))  # each report is where a stop lands
    energy = frame_energy(speech, steps, level)
    shapes, cues = model(speech, steps, level, report)
    return Listened(shapes, cues, energy)


def perform(
    speech: hearing.Sound,
    frames: int,
    fps: float,
    *,
    seed: int = 0,
    expressiveness: float = 1.0,
    head_motion: float = 1.0,
    blink_rate: float = 1.0,
    gaze: float = 1.0,
    style: str = "natural",
    heard: Listened | None = None,
    report: Report = silent,
) -> Performance:
    """The performance of `frames` frames at `fps` (5 to 100) for a speech; frame i shows the moment i / fps.

    expressiveness scales the mouth, head_motion the head, brows and shoulders, blink_rate the number of
    blinks, gaze the movement of the eyes: each 0 off, 1 natural, 2 the most. style says how much of a speaker
    this is before that: calm, natural or lively. Equal speech, seed and settings give equal values.
    ``heard`` is what :func:`listen` gave for the same speech, frames and fps, where it was asked before.
    Raises ValueError when a number is out of range.
    """
    named = {
        "expressiveness": expressiveness,
        "head_motion": head_motion,
        "blink_rate": blink_rate,
        "gaze": gaze,
    }
    _check(frames, fps, named)
    heard = heard or listen(speech, frames, fps, report)
    stepper = Stepper(Manner(**named, style=style), fps, seed, mouth=mouth_model())
    mouths = ((0, _AFTER), (0, 0))
    energy = np.pad(heard.energy, (0, 3 * _AFTER))
    done = stepper.act(energy, np.pad(heard.shapes, mouths), np.pad(heard.cues, mouths))
    report(Progress("audio", len(heard.energy), len(heard.energy)))
    return done[:frames]


def _check(frames: int, fps: float, strengths: Mapping[str, float]) -> None:
    check_number("frames", frames, 1, None, whole=True)
    check_number("fps", fps, _SLOWEST, _FASTEST)
    for name, strength in strengths.items():
        check_number(name, strength, 0, OFTENEST if name == "blink_rate" else _STRONGEST)


def frame_energy(speech: hearing.Sound, steps: int, level: hearing.Level) -> Floats:
    """(steps,) loudness at 25 per second, 0 in silence to 1 in the loudest speech."""
    parts = []
    for start in range(0, steps * MEL_PER_FRAME, hearing.CHUNK):
        stop = min(start + hearing.CHUNK, steps * MEL_PER_FRAME)
        heard = hearing.activity(hearing.log_mel(speech, start, stop, level.gain), level)
        parts.append(heard.reshape(-1, MEL_PER_FRAME).mean(1))
    return np.concatenate(parts)


def mouth_track(
    model: MouthModel, shapes: Floats, cues: Floats, energy: Floats, strength: float = 1.0
) -> Doubles:
    """(T, K) coefficients to show: as lively as real mouths, lips together on m, b and p, at rest in silence.

    A net trained on many people predicts their average, which moves less than any of them and never quite
    closes.
    """
    track = smooth_wide(shapes.astype(np.float64), 0.5)
    track = strength * (track + (_SWELL - 1) * (track - smooth_wide(track, 2 * FRAME_RATE)))
    voiced = voicing(energy)
    gap = track @ model.gap
    pressed = _spread(smoothstep(cues[:, PRESSED].astype(np.float64), 0.2, 0.55))
    tucked = smoothstep(cues[:, TUCKED].astype(np.float64), 0.3, 0.8) * (1 - _TUCKED_GAP)
    wanted = opening_track(gap, voiced) * (1 - np.maximum(pressed, tucked))
    track = track + (wanted - gap)[:, None] * model.opening
    return np.asarray(track * voiced[:, None], dtype=np.float64)


def opening_track(gap: Doubles, voiced: Doubles) -> Doubles:
    """Mouth opening with the spread of real ones:
    the least opened tenth of speech is closed, the rest amplified."""
    speaking = gap[voiced > 0.5]
    closed = np.quantile(speaking, 0.08) if len(speaking) > 10 else 0.0
    wide = np.maximum(0.0, gap - 0.95 * closed) * _GAIN
    return np.asarray(
        np.minimum(wide, _WIDE_OPEN + 0.35 * np.maximum(0.0, wide - _WIDE_OPEN)), dtype=np.float64
    )


def voicing(energy: Floats) -> Doubles:
    """0 where nothing is said, 1 in speech; opens a little before a sound and closes gently after."""
    heard = (energy > hearing.SPEAKING).astype(np.float64)
    held = np.clip(1.6 * smooth_wide(heard, 2.0), 0, 1)
    early = smooth_wide(np.append(heard[2:], heard[-2:])[: len(heard)], 1.0)
    return np.maximum(held, early)


def _spread(closed: Doubles) -> Doubles:
    """Lips are half-way in the frame before and after they meet."""
    near = np.pad(closed, 1)
    return np.maximum(closed, 0.5 * np.maximum(near[:-2], near[2:]))
