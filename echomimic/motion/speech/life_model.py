"""Head, brows and the mouth's own will: one small random process whose numbers were fitted to recorded
people.

Head pose, position, brows and what mouths do that no sound tells follow one linear process, so that nods,
brows and lips belong together: each moment is a weighted sum of the last ones, of the speech's energy before
it, and of noise that grows with the energy and comes in slow waves. It always falls back to rest, which is
the portrait's own pose.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from echomimic.arrays import Doubles
from echomimic.errors import WeightsError
from echomimic.motion.speech.articulation import Stretch
from echomimic.motion.speech.log_mel import FRAME_RATE
from echomimic.motion.speech.streams import Tail

HEAD = 6
"""The first channels: pitch, yaw, roll, x, y, brow."""
LIFE_LEADS = tuple(range(-12, 3))
"""Frames by which an accent of the speech comes after (before, where negative) what it moves: people nod with
the stress, not after it."""
# How often the jaw's motion is softened, going half of the way each time, before the head goes with it.
_SOFTENINGS = 2
# Seconds of the mean that an accent stands out from.
_ACCENT = 0.5


@dataclass(frozen=True)
class LifeModel:
    """The fitted numbers; D = 6 + M channels (pitch, yaw, roll, x, y, brow, mouth), 25 times a second.

    memory: (P, D, D) weights of the last P states, newest first. drive: (L, D) what the energy's accents at L
    leads add. noise: (D, D) lower triangular. unrest: (2,) log noise in silence and its growth with energy.
    waves: (2,) spread of the noise's log size and seconds over which it changes. skew: (D,) curvature by
    which a channel goes further one way than the other, per unit. jaw: (6,) what the head does with each eye
    distance by which the mouth opens. mouth: (M, K) coefficients per unit of each mouth channel. blink:
    (shape, mean interval s, chance of a double, closing s, opening s). glance: (shape, mean fixation s,
    spread x, spread y in eye distances). measures (K, 3), directions (3, K), gain (3, 3), mean (K,), closed
    (1,), bend (1,): see Stretch.
    """

    memory: Doubles
    drive: Doubles
    noise: Doubles
    unrest: Doubles
    waves: Doubles
    skew: Doubles
    jaw: Doubles
    mouth: Doubles
    blink: Doubles
    glance: Doubles
    measures: Doubles
    directions: Doubles
    gain: Doubles
    mean: Doubles
    closed: Doubles
    bend: Doubles

    @classmethod
    def load(cls, path: Path) -> LifeModel:
        """Read the numbers. Raises WeightsError when the file is missing or of another kind."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            tensors = load_file(path)
            return cls(**{name: tensors[name].astype(np.float64) for name in cls.__dataclass_fields__})
        except (OSError, SafetensorError, KeyError) as error:
            raise WeightsError(f"{path.name}: cannot be read ({error}); reinstall echomimic") from error

    @property
    def stretch(self) -> Stretch:
        """How mouths are made as large as life."""
        return Stretch(
            self.measures, self.directions, self.gain, self.mean, float(self.closed[0]), float(self.bend[0])
        )


@lru_cache(maxsize=1)
def life_model() -> LifeModel:
    """The shipped model."""
    return LifeModel.load(Path(__file__).parents[1] / "models" / "life.safetensors")


class LifeProcess:
    """The process in steps of one frame; hears loudness at 25 per second."""

    def __init__(self, model: LifeModel, rng: np.random.Generator) -> None:
        self.model, self.rng = model, rng
        channels = len(model.noise)
        self.weights = np.concatenate(list(model.memory), 1).T
        self.past = np.zeros((len(model.memory), channels))
        self.wave = rng.standard_normal()
        self.slow = 0.0
        self.energy, self.accent = Tail(np.zeros(1)), Tail(np.zeros((-min(LIFE_LEADS), 2)))
        self.states = Tail(np.zeros((0, channels)))

    def hear(self, energy: npt.NDArray[np.floating]) -> None:
        """Loudness of the next frames, 0 to 1."""
        self.energy.append(energy.astype(np.float64))
        while self.accent.stop + 1 < self.energy.stop:
            self._listen(self.accent.stop)
        while self.states.stop + max(LIFE_LEADS) < self.accent.stop:
            self._step(self.states.stop)

    def _listen(self, frame: int) -> None:
        loud = float(np.mean(self.energy.span(frame - 1, frame + 2)))
        self.slow += (loud - self.slow) / (_ACCENT * FRAME_RATE)
        self.accent.append(np.array([[loud - self.slow, loud]]))
        self.energy.forget(frame)

    def _step(self, frame: int) -> None:
        model = self.model
        heard = self.accent.span(frame + min(LIFE_LEADS), frame + max(LIFE_LEADS) + 1)
        loud = heard[-1 - max(LIFE_LEADS), 1]
        spread, seconds = model.waves
        keep = np.exp(-1 / (seconds * FRAME_RATE))
        self.wave = keep * self.wave + np.sqrt(1 - keep**2) * self.rng.standard_normal()
        size = np.exp(model.unrest[0] + model.unrest[1] * loud + spread * self.wave - spread**2)
        noise = model.noise @ self.rng.standard_normal(len(model.noise))
        state = self.past.ravel() @ self.weights + size * noise
        self.past = np.concatenate([state[None], self.past[:-1]])
        shown = state + heard[:, 0] @ model.drive
        self.states.append((shown + model.skew * shown**2)[None])
        self.accent.forget(frame + min(LIFE_LEADS) + 1)

    def frames(self, start: int, stop: int) -> Doubles:
        """(stop - start, D) states of the frames; the ones before them are forgotten."""
        self.states.forget(start)
        return np.asarray(self.states.span(start, stop))


class HeadFollowing:
    """What the head does with the jaw: it leans back as the mouth opens, a little later and softer."""

    def __init__(self, jaw: Doubles) -> None:
        self.jaw, self.stages = jaw, np.zeros(_SOFTENINGS)

    def push(self, opening: Doubles) -> Doubles:
        """(n, 6) added to the head, from (n,) openings in eye distances."""
        soft = np.empty(len(opening))
        for i, value in enumerate(opening):
            for stage in range(_SOFTENINGS):
                value = self.stages[stage] = 0.5 * (self.stages[stage] + value)
            soft[i] = value
        return np.outer(soft, self.jaw)


def cubic(p0: Doubles, p1: Doubles, p2: Doubles, p3: Doubles, t: Doubles) -> Doubles:
    """The Catmull-Rom curve from p1 (t = 0) to p2 (t = 1)."""
    return np.asarray(
        p1 + 0.5 * t * (p2 - p0 + t * (2 * p0 - 5 * p1 + 4 * p2 - p3 + t * (3 * (p1 - p2) + p3 - p0)))
    )
