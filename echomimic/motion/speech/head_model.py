"""Head, brows, eyes and breathing for a speech: a small random process whose numbers were fitted to recorded heads.

Head pose, position and brows follow a linear process (each moment is a weighted sum of the last ones, of the speech's
energy around it, and of noise that grows with the energy). It always falls back to rest, which is the portrait's own
pose. Blinks and glances are renewal processes. Everything is drawn from one seed, so equal inputs give equal motion.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from echomimic.arrays import Doubles, Floats, smoothstep
from echomimic.errors import WeightsError
from echomimic.motion.speech.log_mel import FRAME_RATE
from echomimic.motion.tracks import smooth_wide

CONTROL_RATE = 12.5
LEADS = (-3, -2, -1, 0, 1, 2, 3, 4)

_LIMITS = np.array([0.13, 0.17, 0.11, 0.20, 0.14, 0.07])
_VOR = np.array([-0.090, -0.055])
_BREATH = 0.011
_SETTLE = 0.5
_CALM = 0.75


@dataclass(frozen=True)
class HeadModel:
    """The fitted numbers; D = 6 channels (pitch, yaw, roll, x, y, brow), at CONTROL_RATE.

    memory: (P, D, D) weights of the last P states, newest first. drive: (len(LEADS) + 1, D) weights of the energy's
    accents at LEADS and of the energy itself. noise: (D, D) lower triangular. unrest: (2,) log noise at silence and
    its growth with energy. blink: (shape, mean interval s, chance of a double, closing s, opening s).
    glance: (shape, mean fixation s, spread x, spread y in eye distances).
    """

    memory: Doubles
    drive: Doubles
    noise: Doubles
    unrest: Doubles
    blink: Doubles
    glance: Doubles

    @classmethod
    def load(cls, path: Path) -> HeadModel:
        """Read the numbers. Raises WeightsError when the file is missing or of another kind."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            tensors = load_file(path)
            return cls(**{name: tensors[name].astype(np.float64) for name in cls.__dataclass_fields__})
        except (OSError, SafetensorError, KeyError) as error:
            raise WeightsError(f"{path.name}: cannot be read ({error}); reinstall echomimic") from error


@lru_cache(maxsize=1)
def head_model() -> HeadModel:
    """The shipped model."""
    return HeadModel.load(Path(__file__).parents[1] / "models" / "head.safetensors")


@dataclass(frozen=True)
class Liveliness:
    """Everything of a performance that is not the mouth; shapes as in Performance."""

    rotation: Floats
    translation: Floats
    blink: Floats
    gaze: Floats
    brow: Floats
    body: Floats


def sample(track: Doubles, at: Doubles) -> Doubles:
    """Values of (N, …) `track` at fractional positions `at`, by Catmull-Rom cubics; the ends are held."""
    at = np.clip(at, 0, len(track) - 1)
    left = np.floor(at).astype(int)
    t = (at - left).reshape(-1, *([1] * (track.ndim - 1)))
    p0, p1, p2, p3 = (track[np.clip(left + step, 0, len(track) - 1)] for step in (-1, 0, 1, 2))
    curve = p1 + 0.5 * t * (p2 - p0 + t * (2 * p0 - 5 * p1 + 4 * p2 - p3 + t * (3 * (p1 - p2) + p3 - p0)))
    return np.asarray(curve, dtype=np.float64)


def drives(energy: Doubles) -> Doubles:
    """(N, len(LEADS) + 1) what speech does to the head at CONTROL_RATE: accents at several leads, and the energy."""
    accent = energy - smooth_wide(energy, CONTROL_RATE / 2)
    ahead = [accent[np.clip(np.arange(len(energy)) + lead, 0, len(energy) - 1)] for lead in LEADS]
    return np.stack([*ahead, energy], 1)


def animate_head(
    energy: Floats, frames: int, fps: float, seed: int, head_motion: float, blink_rate: float, gaze: float
) -> Liveliness:
    """Motion for `frames` frames at `fps`. energy: (N,) loudness 0 to 1 at FRAME_RATE, N x fps >= frames x FRAME_RATE.

    The strengths scale amplitude (head_motion, gaze) or frequency (blink_rate); 0 switches the part off.
    """
    model = head_model()
    loud = energy.astype(np.float64)
    times = np.arange(frames) / fps
    streams = [np.random.default_rng([seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF, stream]) for stream in range(4)]
    track = head_track(model, loud, streams[0])
    head = sample(track, times * CONTROL_RATE) * np.minimum(head_motion, 2.0)
    head = _LIMITS * np.tanh(head / _LIMITS)
    blinks = blink_track(model, loud, times, streams[1], blink_rate)
    looks = glance_track(model, times, streams[2]) + head[:, [1, 0]] * _VOR
    return Liveliness(
        rotation=head[:, :3].astype(np.float32),
        translation=head[:, 3:5].astype(np.float32),
        blink=np.repeat(blinks[:, None], 2, 1).astype(np.float32),
        gaze=(looks * gaze).astype(np.float32),
        brow=head[:, 5].astype(np.float32),
        body=body_track(head, times, streams[3], min(head_motion, 1.0)).astype(np.float32),
    )


def head_track(model: HeadModel, energy: Doubles, rng: np.random.Generator) -> Doubles:
    """(N / 2, 6) pitch, yaw, roll, x, y and brow at CONTROL_RATE, from rest and about rest."""
    loud = smooth_wide(energy, 1.0)[:: round(FRAME_RATE / CONTROL_RATE)]
    push = drives(loud) @ model.drive
    spread = np.exp(model.unrest[0] + model.unrest[1] * loud)
    noise = rng.standard_normal((len(loud), len(_LIMITS))) @ model.noise.T
    order = len(model.memory)
    memory = np.concatenate(list(model.memory), 1).T
    states = np.zeros((len(loud) + order, len(_LIMITS)))
    ease = 1 - np.exp(-np.arange(len(loud)) / (_SETTLE * CONTROL_RATE))
    for i in range(1, len(loud)):
        past = states[i : i + order][::-1].ravel()
        states[i + order] = past @ memory + (push[i] + noise[i] * spread[i]) * ease[i]
    track = smooth_wide(states[order:], _CALM)
    start = np.exp(-np.arange(len(track)) / (_SETTLE * CONTROL_RATE))
    return np.asarray(track - track[0] * start[:, None], dtype=np.float64)


def blink_track(model: HeadModel, energy: Doubles, times: Doubles, rng: np.random.Generator, rate: float) -> Doubles:
    """(F,) lid closure 0 to 1: gamma intervals, drawn towards pauses, sometimes twice; quick to close, slow to open."""
    closed = np.zeros(len(times))
    if rate <= 0 or not len(times):
        return closed
    shape, mean, double, closing, opening = model.blink
    quiet, at = smooth_wide(energy, 2.0), rng.uniform(0.5, mean) / rate
    while at < times[-1]:
        near = np.arange(max(0, int((at - 0.35) * FRAME_RATE)), int((at + 0.35) * FRAME_RATE) + 1)
        near = near[near < len(quiet)]
        moment = near[np.argmin(quiet[near])] / FRAME_RATE if len(near) and rng.random() < 0.6 else at
        depth, again = rng.uniform(0.93, 1.0), rng.random() < double
        for start in (moment, moment + closing + 0.75 * opening)[: 1 + again]:
            part = slice(*np.searchsorted(times, [start, start + closing + opening + 0.1]))
            closed[part] = np.maximum(closed[part], depth * lid(times[part] - start, closing, opening))
        at = max(at, moment) + 0.45 + rng.gamma(shape, max(mean / rate - 0.45, 0.2) / shape)
    return closed


def lid(time: Doubles, closing: float, opening: float) -> Doubles:
    """Closure of a lid `time` seconds after the blink begins: S-shaped down, a short hold, a slower S-shaped up."""
    down = smoothstep(time / closing)
    up = np.clip((time - closing - 0.03) / opening, 0, 1)
    up = 1 - (1 - up) ** 2.2
    return np.asarray(down * (1 - up), dtype=np.float64)


def glance_track(model: HeadModel, times: Doubles, rng: np.random.Generator) -> Doubles:
    """(F, 2) small saccades around the viewer: the eye jumps in about 40 ms and then stays."""
    shape, mean, spread_x, spread_y = model.glance
    looks, target = np.zeros((len(times), 2)), np.zeros(2)
    at = rng.gamma(shape, mean / shape)
    while len(times) and at < times[-1]:
        away = rng.standard_normal(2) * (spread_x, spread_y)
        jump = np.where(rng.random() < 0.3, 0.0, np.clip(away, -2.5 * spread_x, 2.5 * spread_x)) - target
        part = slice(int(np.searchsorted(times, at)), None)
        looks[part] = target + jump * np.clip((times[part] - at) / 0.05, 0, 1)[:, None]
        target, at = target + jump, at + 0.12 + rng.gamma(shape, mean / shape)
    return looks


def body_track(head: Doubles, times: Doubles, rng: np.random.Generator, strength: float) -> Doubles:
    """(F, 2) shoulders: breathing of wandering depth and pace, and a share of what the head does, a little later."""
    pace, turn = rng.uniform(0.22, 0.28), rng.uniform(0, 2 * np.pi)
    drift = 0.6 * np.sin(2 * np.pi * 0.031 * times + rng.uniform(0, 2 * np.pi))
    phase = turn + 2 * np.pi * pace * times + drift
    breath = np.sin(phase) + 0.25 * np.sin(2 * phase)
    start = breath[0] if len(times) else 0.0
    lift = strength * _BREATH * (breath - start * np.exp(-times / 1.5))
    late = (
        smooth_wide(head[:, 3:5], max(1.0, 0.12 * len(times) / max(times[-1], 1e-3)))
        if len(times) > 1
        else head[:, 3:5]
    )
    return np.stack([0.22 * late[:, 0], lift + 0.12 * late[:, 1]], 1)
