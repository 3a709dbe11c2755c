"""Turn the life process until what comes out of the generator, with the mouth's rules behind it, has the
spectra, the skew and the coherence of recordings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from echomimic.motion.performance import Performance
from echomimic.motion.speech.life_model import HEAD, LifeModel
from echomimic.motion.speech.mouth_model import MouthModel
from training.data import Clip
from training.simulate import Guess, acted, head_channels, of_performance, recorded
from training.spectra import HOP, WINDOW, Cross, coherence, linear_process, log_power

Double = npt.NDArray[np.float64]

OPENING, WIDTH, PROTRUSION = HEAD, HEAD + 1, HEAD + 2
"""Channels that come after the head's, of the process and of what is seen."""
SEEN = HEAD + 3
ORDER = 12
ROUNDS, TAKES = 10, 3
SHORT = 50
"""Frames of the windows in which channels are seen to go together and to one side: two seconds."""
SLOWEST = np.array([0.5, 0.5, 0.25])
"""How strongly the slowest frequencies make up for what spreads lack: four seconds tell little of them."""
NARROWER = 0.92
"""Share of the median recorded spread aimed at: few people who move a lot make it wide, most move less."""
BRISK = 1.07
"""By how much speeds, the median of them, may be above recorded ones."""
STEP, LEAST_POWER = 0.7, -7.0
"""Share of a log ratio that one round mends, and how far down the mouth's own will may be turned."""
BEND_STEP = 3.0
"""By how much openings bend more (per eye distance) for each unit of skew too much."""
LEAST_SHARE = 1e-3
"""Least eigenvalue of a coherence."""


class Example(Protocol):
    """One clip, and what nets guessed of it."""

    @property
    def clip(self) -> Clip: ...
    @property
    def guess(self) -> Guess: ...


@dataclass(frozen=True)
class Wanted:
    """What the process's spectra are to become: of each channel of the process, the recorded power or that
    which a round of tuning asks for; together: how channels go together."""

    power: Double
    together: Cross


def seen(made: Performance) -> Double:
    """(F, SEEN) pitch, yaw, roll, x, y, brow, opening, width, protrusion of what was generated."""
    lips = of_performance(made)[:, :3]
    return np.column_stack([made.rotation, made.translation, made.brow, lips]).astype(np.float64)


def seen_of(clip: Clip) -> Double:
    """(F, SEEN) the same of a recording."""
    return np.concatenate([head_channels(clip), recorded(clip)[:, :3]], 1)


@dataclass(frozen=True)
class Habits:
    """What tracks have in common. power: (BINS, SEEN) logarithms. together: (BINS, SEEN, SEEN). side: (SEEN,)
    skew per unit. lean: (SEEN,) skew of short windows. going: (SEEN, SEEN) correlations in short windows."""

    power: Double
    together: Cross
    side: Double
    lean: Double
    going: Double


def habits(tracks: Sequence[Double]) -> Habits:
    """Of recordings or of what was generated."""
    off = [track - track.mean(0) for track in tracks]
    side = np.median([(x**3).mean(0) / x.std(0) ** 4 for x in off], 0)
    lean, going = (np.mean(part, 0) for part in zip(*map(_short, tracks), strict=True))
    return Habits(log_power(tracks), coherence(tracks), np.asarray(side), lean, going)


def _short(track: Double) -> tuple[Double, Double]:
    """(SEEN,) mean skew and (SEEN, SEEN) mean correlation of a track's short windows."""
    starts = range(0, len(track) - SHORT + 1, HOP)
    off = np.array([track[start : start + SHORT] for start in starts])
    off = off - off.mean(1, keepdims=True)
    even = off / (off.std(1, keepdims=True) + 1e-3)
    return (even**3).mean((0, 1)), np.einsum("wfi,wfj->ij", even, even) / (SHORT * len(off))


def tuned(parts: Sequence[Example], mouth: MouthModel, life: LifeModel, wanted: Wanted) -> LifeModel:
    """The model whose performances have the recordings' habits."""
    long = [part for part in parts if len(part.clip) >= WINDOW]
    real = [seen_of(part.clip) for part in long]
    goal = habits(real)
    first, more = wanted.power, np.zeros_like(goal.power)
    for turn in range(ROUNDS):
        memory, noise = linear_process(wanted.power, wanted.together, ORDER)
        life = replace(life, memory=memory, noise=noise)
        made = _made(long, mouth, life, 100 * turn)
        shown = habits(made)
        lacking, speed = (_lacking(real * TAKES, made, measure) for measure in (_spread, _speed))
        more[: len(SLOWEST)] += np.outer(SLOWEST, np.log(NARROWER * lacking))
        more[len(SLOWEST) :] += np.minimum(np.log(BRISK * speed), 0)
        power = wanted.power.copy()
        power[:, :SEEN] += STEP * (goal.power + more - shown.power)
        power[:, OPENING] = np.minimum(power[:, OPENING], first[:, OPENING])  # else lips leave the sound
        wanted = Wanted(np.maximum(power, first + LEAST_POWER), turned(wanted.together, goal, shown))
        life = leaned(life, goal, shown, np.median([_spread(m) for m in made], 0), lacking)
    return life


def _lacking(real: Sequence[Double], made: Sequence[Double], measure: Callable[[Double], Double]) -> Double:
    """(SEEN,) median ratio of recorded to generated."""
    pairs = zip(real, made, strict=True)
    return np.asarray(np.median([measure(r) / measure(m) for r, m in pairs], 0))


def _spread(track: Double) -> Double:
    return np.asarray(track.std(0))


def _speed(track: Double) -> Double:
    return np.asarray(np.abs(np.diff(track, axis=0)).mean(0))


def _made(parts: Sequence[Example], mouth: MouthModel, life: LifeModel, seed: int) -> list[Double]:
    """TAKES times what is seen of all parts."""
    return [
        seen(acted(part.clip, part.guess, mouth, life, seed + TAKES * number + take))
        for take in range(TAKES)
        for number, part in enumerate(parts)
    ]


def turned(together: Cross, goal: Habits, shown: Habits) -> Cross:
    """How the process's channels are to go together, from what is lacking in what is seen; the opening
    belongs to the sound and is left as it is."""
    off = STEP * (goal.together - shown.together)
    off[:, OPENING], off[:, :, OPENING] = 0, 0
    asked = together.copy()
    asked[:, :SEEN, :SEEN] += off
    values, vectors = np.linalg.eigh(asked)
    asked = (vectors * np.maximum(values, LEAST_SHARE)[:, None]) @ vectors.conj().transpose(0, 2, 1)
    size = np.sqrt(np.einsum("bii->bi", asked).real)
    return np.asarray(asked / (size[:, :, None] * size[:, None, :]))


def leaned(life: LifeModel, goal: Habits, shown: Habits, spread: Double, lacking: Double) -> LifeModel:
    """Skews, and what head and lips do with the opening."""
    skew, gain = life.skew.copy(), life.gain.copy()
    skew[:SEEN] += STEP * (goal.side - shown.side) / 6
    skew[OPENING] = 0
    slope = STEP * (goal.going - shown.going)[OPENING] * spread / spread[OPENING]
    gain[0, 0] *= lacking[OPENING] ** STEP
    gain[0, 1:] += slope[[WIDTH, PROTRUSION]] * gain[0, 0]
    bend = life.bend + BEND_STEP * (shown.lean - goal.lean)[OPENING]
    return replace(life, skew=skew, gain=gain, jaw=life.jaw + slope[:HEAD], bend=np.maximum(bend, 0))
