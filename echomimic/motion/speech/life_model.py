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
from echomimic.motion.speech.streams import Tail

CONTROL_RATE = 12.5
FRAMES_PER_CONTROL = 2
HEAD = 6
"""The first channels: pitch, yaw, roll, x, y, brow."""
LIFE_LEADS = (-7, -6, -5, -4, -3, -2, -1)
"""Controls by which an accent of the speech comes before what it moves:
none is needed that is not heard yet."""
HEAD_SIZE = np.array([0.82, 0.78, 0.97, 1.0, 1.0, 0.92])
"""By how much the head's channels are drawn smaller than the process makes them: fresh seeds on unseen mouths
then give the recorded spread (medians over 25 clips), which the fit, made on the same clips, overshoots."""
CONTROLS_AHEAD = 2
"""A frame between two controls is drawn through two later ones."""
_ACCENT = 0.5
"""Seconds of the mean that an accent stands out from."""


@dataclass(frozen=True)
class LifeModel:
    """The fitted numbers; D = 6 + M channels (pitch, yaw, roll, x, y, brow, mouth), at CONTROL_RATE.

    memory: (P, D, D) weights of the last P states, newest first. drive: (L + 1, D) weights of the
    energy's accents at L leads and of itself. noise: (D, D) lower triangular. unrest: (2,) log noise in
    silence and its growth with energy. waves: (2,) spread of the noise's log size and seconds over which it
    changes. mouth: (M, K) coefficients per unit of each mouth channel. blink: (shape, mean interval s, chance
    of a double, closing s, opening s). glance: (shape, mean fixation s, spread x, spread y in eye distances).
    measures (K, 3), directions (3, K), gain (3,), mean (K,), closed (1,): see Stretch.
    """

    memory: Doubles
    drive: Doubles
    noise: Doubles
    unrest: Doubles
    waves: Doubles
    mouth: Doubles
    blink: Doubles
    glance: Doubles
    measures: Doubles
    directions: Doubles
    gain: Doubles
    mean: Doubles
    closed: Doubles

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
        return Stretch(self.measures, self.directions, self.gain, self.mean, float(self.closed[0]))


@lru_cache(maxsize=1)
def life_model() -> LifeModel:
    """The shipped model."""
    return LifeModel.load(Path(__file__).parents[1] / "models" / "life.safetensors")


class LifeProcess:
    """The process in steps of one control; hears loudness at 25 per second."""

    def __init__(self, model: LifeModel, rng: np.random.Generator, temperature: float = 1.0) -> None:
        self.model, self.rng, self.temperature = model, rng, temperature
        channels = len(model.noise)
        self.weights = np.concatenate(list(model.memory), 1).T
        self.past = np.zeros((len(model.memory), channels))
        self.wave = rng.standard_normal()
        self.slow = 0.0
        self.energy, self.accent = Tail(np.zeros(1)), Tail(np.zeros((-min(LIFE_LEADS), 2)))
        self.states = Tail(np.zeros((2, channels)))

    def hear(self, energy: npt.NDArray[np.floating]) -> None:
        """Loudness of the next frames, 0 to 1."""
        self.energy.append(energy.astype(np.float64))
        while FRAMES_PER_CONTROL * (self.accent.stop + 1) <= self.energy.stop:
            self._listen(self.accent.stop)
        while self.states.stop <= self.accent.stop + max(LIFE_LEADS) + 1:
            self._step(self.states.stop)

    def _listen(self, control: int) -> None:
        frame = FRAMES_PER_CONTROL * control
        loud = float(np.mean(self.energy.span(frame - 1, frame + FRAMES_PER_CONTROL)))
        self.slow += (loud - self.slow) / (_ACCENT * CONTROL_RATE)
        self.accent.append(np.array([[loud - self.slow, loud]]))
        self.energy.forget(frame + FRAMES_PER_CONTROL - 1)

    def _step(self, control: int) -> None:
        model = self.model
        heard = self.accent.span(control + min(LIFE_LEADS), control + max(LIFE_LEADS) + 1)
        loud = heard[-1, 1]
        drive = np.append(heard[:, 0], loud)
        spread, seconds = model.waves
        keep = np.exp(-1 / (seconds * CONTROL_RATE))
        self.wave = keep * self.wave + np.sqrt(1 - keep**2) * self.rng.standard_normal()
        size = np.exp(model.unrest[0] + model.unrest[1] * loud + spread * self.wave - spread**2)
        noise = model.noise @ self.rng.standard_normal(len(model.noise))
        state = self.past.ravel() @ self.weights + drive @ model.drive + self.temperature * size * noise
        self.past = np.concatenate([state[None], self.past[:-1]])
        self.states.append(state[None])
        self.accent.forget(control + min(LIFE_LEADS) + 1)

    def frames(self, start: int, stop: int) -> Doubles:
        """(stop - start, D) states at frames of 25 per second, by Catmull-Rom cubics through the controls."""
        at = np.arange(start, stop) / FRAMES_PER_CONTROL
        left = np.floor(at).astype(int)
        first = int(left[0]) - 1
        known = self.states.span(first, int(left[-1]) + CONTROLS_AHEAD + 1)
        p0, p1, p2, p3 = (known[left - first + step] for step in (-1, 0, 1, 2))
        self.states.forget(int(stop // FRAMES_PER_CONTROL) - 1)
        t = (at - left)[:, None]
        drawn = cubic(p0, p1, p2, p3, t)
        drawn[:, :HEAD] = HEAD_SIZE * rounded(p0, p1, p2, p3, t)[:, :HEAD]
        return drawn


def rounded(p0: Doubles, p1: Doubles, p2: Doubles, p3: Doubles, t: Doubles) -> Doubles:
    """The cubic B-spline between p1 and p2: passes near the points, not through them,
    and so has no tremble."""
    weights = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    return np.asarray(sum(w * p for w, p in zip(weights, (p0, p1, p2, p3), strict=True)) / 6)


def cubic(p0: Doubles, p1: Doubles, p2: Doubles, p3: Doubles, t: Doubles) -> Doubles:
    """The Catmull-Rom curve from p1 (t = 0) to p2 (t = 1)."""
    return np.asarray(
        p1 + 0.5 * t * (p2 - p0 + t * (2 * p0 - 5 * p1 + 4 * p2 - p3 + t * (3 * (p1 - p2) + p3 - p0)))
    )
