"""Hands that beat time: from the rhythm of speech to movements of two given hands.

A gesture is described by five channels per hand, (F, 2, 5): shift x and y in shoulder widths, turn in
radians, spread and curl of the fingers as shares. All are 0 when a hand rests as given. The person's left
hand comes first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from echomimic.arrays import Doubles, smoothstep
from echomimic.motion.body_pose import HAND
from echomimic.motion.tracks import gaussian

CHANNELS = 5
# Where a hand goes while its owner speaks: inward, up, a little turned and opened.
_LIFT = np.array([0.03, -0.09, 0.05, 0.04, -0.10])
# A full beat's stroke.
_BEAT = np.array([0.035, 0.15, 0.14, 0.07, -0.12])
# How far a hand drifts between beats, per channel: one that stands still looks like a picture pasted on.
_WANDER = np.array([0.035, 0.030, 0.07, 0.02, 0.04])
_RAISE, _STROKE = (0.20, 0.13), (0.06, 0.11)
"""(centre before or after the beat, width) of the movement that prepares a beat
and of the beat itself, seconds."""
# A stroke is prepared by a raise of this share of it the other way.
_PREPARE = 0.55
# Seconds around a beat beyond which nothing of it is left.
_NEAR = 0.8
# Seconds in which hands leave their place at the start of a video.
_SOFT_START = 0.5
# Seconds over which rest and gesture pass into each other.
_SETTLE = 0.35
# Nobody beats twice in less than this many seconds.
_REFRACTORY = 0.42
# Rise of loudness in a 25th of a second that makes a stressed syllable.
_ONSET = 0.045
# Inward is to the image's right for the right hand, which is on its left, and the other way for the left
# one.
_INWARD = np.array([-1.0, 1.0])


@dataclass(frozen=True)
class Beats:
    """Moments a hand may mark: `times` (N,) in seconds, `strength` (N,) 0…1."""

    times: Doubles
    strength: Doubles


def beats_in(energy: npt.NDArray[np.floating], rate: float) -> Beats:
    """Stressed syllables: the loudest moments after sharp rises of `energy` (T,),
    0…1 at `rate` per second."""
    loud = gaussian(np.asarray(energy, np.float64), 0.05 * rate)
    rise = np.maximum(np.diff(loud, prepend=loud[:1]), 0) * rate / 25
    peaks = np.flatnonzero((rise > _ONSET) & (rise >= np.roll(rise, 1)) & (rise > np.roll(rise, -1)))
    chosen: list[int] = []
    for peak in peaks[np.argsort(-rise[peaks], kind="stable")]:
        if all(abs(peak - other) > _REFRACTORY * rate for other in chosen):
            chosen.append(int(peak))
    ahead = max(1, round(0.16 * rate))
    nuclei = np.array([p + int(np.argmax(loud[p : p + ahead + 1])) for p in sorted(chosen)], np.float64)
    return Beats(nuclei / rate, np.clip(rise[sorted(chosen)] / 0.2, 0.3, 1.0))


def gestures(activity: Doubles, beats: Beats, fps: float, seed: int, *, around: bool = False) -> Doubles:
    """(F, 2, 5) channels for F frames of `activity` (0 silent … 1 speaking).
    `around`: the end joins the beginning."""
    rng = np.random.default_rng([seed, 0x9E57])
    frames = len(activity)
    busy = _follow_lazily(activity, fps, around)[:, None, None]
    sides = np.stack([_INWARD, *np.ones((4, 2))], axis=1)
    sides[:, 2] = _INWARD
    channels = busy * _LIFT * sides + busy * _WANDER * _wander(frames, fps, rng, around)
    near = np.arange(-round(_NEAR * fps), round(_NEAR * fps) + 1)
    for time, strength in zip(beats.times, beats.strength, strict=True):
        share = _hands_of_a_beat(rng)[:, None] * strength
        flavour = share * _BEAT * rng.uniform(0.6, 1.3, CHANNELS) * sides
        touched = round(time * fps) + near
        stroke = _stroke(touched / fps - time)[:, None, None] * flavour
        if around:
            np.add.at(channels, touched % frames, stroke)
        else:
            inside = (touched >= 0) & (touched < frames)
            channels[touched[inside]] += stroke[inside]
    return np.asarray(channels if around else channels * _beginning(frames, fps))


def pose_hands(hands: Doubles, channels: Doubles, unit: float) -> Doubles:
    """Two hands (2, 21, 2) moved by channels (F, 2, 5): (F, 2, 21, 2).
    `unit`: the shoulder width in their pixels."""
    wrist = hands[:, :1]
    local = np.repeat((hands - wrist)[None], len(channels), axis=0)
    local = _curl(local, channels[..., 4])
    local = _fan_out(local, channels[..., 3])
    cos, sin = np.cos(channels[..., 2])[..., None], np.sin(channels[..., 2])[..., None]
    x, y = local[..., 0], local[..., 1]
    turned = np.stack([x * cos - y * sin, x * sin + y * cos], axis=-1)
    return np.asarray(turned + wrist + unit * channels[:, :, None, :2])


def _beginning(frames: int, fps: float) -> Doubles:
    """(F, 1, 1) rises from 0: the first frame shows the hands as they are in the portrait."""
    return smoothstep(np.arange(frames, dtype=np.float64) / (_SOFT_START * fps))[:, None, None]


def _follow_lazily(activity: Doubles, fps: float, around: bool) -> Doubles:
    """Activity as the arms follow it: lazily."""
    wanted, count = np.asarray(activity, np.float64), len(activity)
    if not around:
        return np.asarray(gaussian(wanted, _SETTLE * fps))
    return np.asarray(gaussian(np.tile(wanted, 3), _SETTLE * fps)[count : 2 * count])


def _wander(frames: int, fps: float, rng: np.random.Generator, around: bool) -> Doubles:
    """(F, 2, 5) slow noise of unit spread."""
    noise = rng.standard_normal((frames, 2, CHANNELS))
    tripled = np.concatenate([noise] * 3) if around else noise
    slow = gaussian(tripled, 0.7 * fps)
    slow = slow[frames : 2 * frames] if around else slow
    # A Gaussian of standard deviation s leaves 1 / (2 s sqrt(pi)) of the noise's power.
    return np.asarray(np.clip(slow * np.sqrt(2 * 0.7 * fps * np.sqrt(np.pi)), -2, 2))


def _hands_of_a_beat(rng: np.random.Generator) -> Doubles:
    """(2,) how much each hand takes part: both, one of them, or none."""
    kind = rng.random()
    lead = int(rng.random() < 0.5)
    share = np.full(2, 0.9 if kind < 0.5 else 0.3)
    share[lead] = 1.0
    return np.asarray(share * (kind < 0.85) * rng.uniform(0.7, 1.2))


def _stroke(since: Doubles) -> Doubles:
    """Up before the beat, down on it, then back to rest; `since` the beat in seconds."""
    raised = np.exp(-0.5 * ((since + _RAISE[0]) / _RAISE[1]) ** 2)
    struck = np.exp(-0.5 * ((since - _STROKE[0]) / _STROKE[1]) ** 2)
    return np.asarray(struck - _PREPARE * raised)


def _curl(local: Doubles, curl: Doubles) -> Doubles:
    """Fingers drawn towards their knuckles by `curl` (negative: stretched), the tips most."""
    curled: Doubles = local.copy()
    for finger in range(5):
        root = local[:, :, 4 * finger + 1]
        for joint in range(1, 4):
            index = 4 * finger + 1 + joint
            shorter = 1 - np.clip(curl, -0.4, 0.8) * joint / 3
            curled[:, :, index] = root + (local[:, :, index] - root) * shorter[..., None]
    assert curled.shape[2] == HAND
    return curled


def _fan_out(local: Doubles, spread: Doubles) -> Doubles:
    """Fingers fanned out across the hand's own axis by `spread`."""
    axis = local[:, :, 9]
    across = np.stack([-axis[..., 1], axis[..., 0]], axis=-1)
    across /= np.maximum(np.linalg.norm(across, axis=-1, keepdims=True), 1e-9)
    sideways = np.einsum("fhnd,fhd->fhn", local, across)
    return np.asarray(
        local + (np.clip(spread, -0.4, 0.4)[..., None] * sideways)[..., None] * across[:, :, None]
    )
