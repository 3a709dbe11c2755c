"""Train the small net that tells speech from music, tones and noise: `python -m training.presence --data
talking_motion.npz -o echomimic/motion/models`.

Speech: the recordings and flite's sentences, alone and under noise or music. Everything else is made here
with random numbers: chords and melodies of many timbres, drums, held and gliding tones, alarms, clicks, hum,
and noise of many colours that swells or not. All of it becomes log-mel as the generator hears it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from echomimic.media.audio import RATE
from echomimic.motion.speech.log_mel import VOLUME, Level, activity, level_of, mel_of, normalise
from echomimic.motion.speech.running_level import RunningLevel
from training.augment import Augment
from training.data import MEL_PER_FRAME, load
from training.live import AHEADS
from training.mouth import Learner, Recipe, export_nets, listening
from training.mouth_net import MouthNet, window
from training.phones import spoken

Array = npt.NDArray[np.float32]
Double = npt.NDArray[np.float64]

SECONDS = 5.0
_RAW = 3.0
"""Normalised log-mel is in units of so many nats."""
_CALLS, _LOWEST, _HIGHEST = 0.33, 9, (54, 62)
"""Share of what is heard through a telephone; the first band that it carries at the latest (300 Hz), and the
first beyond what it carries (3.3 to 4.2 kHz)."""


@dataclass(frozen=True)
class PresenceRecipe:
    """Every number of the training."""

    width: int = 24
    drop: float = 0.1
    frames: int = 75
    batch: int = 32
    steps: int = 1300
    rate: float = 3e-3
    sentences: int = 200
    others: int = 1000
    seed: int = 7


def _time() -> Double:
    return np.arange(int(SECONDS * RATE)) / RATE


def coloured(rng: np.random.Generator) -> Double:
    """Noise of any slope, steady or swelling."""
    time = _time()
    spectrum = np.fft.rfft(rng.standard_normal(len(time)))
    noise = np.fft.irfft(spectrum / np.arange(1, len(spectrum) + 1) ** rng.uniform(-0.1, 1.0), len(time))
    if rng.random() < 0.4:
        swell = np.sin(2 * np.pi * rng.uniform(0.2, 6) * time + rng.uniform(0, 6))
        noise = noise * np.exp(rng.uniform(0.3, 1.5) * swell)
    return np.asarray(noise / noise.std())


def _note(rng: np.random.Generator, pitch: float, seconds: float, timbre: Double) -> Double:
    """One note: overtones, attack, decay, perhaps vibrato."""
    time = np.arange(int(seconds * RATE)) / RATE
    attack, decay, slope, bend, beat, dark, most = timbre
    phase = 2 * np.pi * pitch * (time + bend * np.sin(2 * np.pi * beat * time) / (2 * np.pi * beat))
    overtones = range(1, 1 + max(1, min(int(most), int(7000 / pitch))))
    wave = sum(np.sin(k * phase + rng.uniform(0, 6)) / k**slope * np.exp(-dark * k * time) for k in overtones)
    return np.asarray(wave * np.minimum(1, time / attack) * np.exp(-decay * time))


def _timbre(rng: np.random.Generator) -> Double:
    """attack s, decay 1/s, slope of the overtones, depth and pace of the vibrato, how fast overtones fade,
    how many there are."""
    return np.array(
        [
            10 ** rng.uniform(-2.7, -0.8),
            10 ** rng.uniform(-0.7, 1.0),
            rng.uniform(0.0, 2.5),
            rng.choice([0.0, 0.0, rng.uniform(0, 0.012)]),
            rng.uniform(4, 7),
            rng.choice([0.0, rng.uniform(0, 1.5)]),
            rng.integers(2, 15),
        ]
    )


def music(rng: np.random.Generator) -> Double:
    """Chords, a melody and drums, each there or not."""
    total = np.zeros(int(SECONDS * RATE))
    beat = 60 / rng.uniform(60, 190)
    root = 110 * 2 ** rng.uniform(-0.5, 1.5)
    scale = np.array([0, 2, 3, 5, 7, 8, 10] if rng.random() < 0.5 else [0, 2, 4, 5, 7, 9, 11])
    chord, solo = _timbre(rng), _timbre(rng)
    parts = rng.random(3) < [0.8, 0.6, 0.55]
    chords_last, fast = int(rng.choice([1, 2, 4])), float(rng.choice([0.5, 1.0, 1.0, 2.0]))
    moment, degree, held = 0.0, 0, int(rng.choice([1, 1, 4, 8]))
    for number in range(int(SECONDS / beat / fast) + 1):
        start = int(moment * RATE)
        degree = int(rng.integers(7)) if number % (held * chords_last) == 0 else degree
        if parts[0] and number % chords_last == 0:
            for step in (0, 2, 4):
                high = 2 ** ((scale[(degree + step) % 7] + 12 * ((degree + step) // 7)) / 12)
                _put(total, _note(rng, root * high, beat * fast * chords_last, chord), start)
        if parts[1]:
            high = 2 ** ((scale[int(rng.integers(7))] + 12) / 12)
            _put(total, 1.3 * _note(rng, root * high, beat * fast, solo), start)
        if parts[2] or not parts[:2].any():
            _put(total, _drum(rng), start)
        moment += beat * fast
    return np.asarray(total / (total.std() + 1e-9))


def _drum(rng: np.random.Generator) -> Double:
    time = np.arange(int(0.3 * RATE)) / RATE
    thump = np.sin(2 * np.pi * rng.uniform(45, 120) * time) * np.exp(-time * rng.uniform(8, 25)) * 3
    hiss = rng.standard_normal(len(time)) * np.exp(-time * rng.uniform(15, 80)) * 1.5
    return np.asarray(thump * (rng.random() < 0.6) + hiss * (rng.random() < 0.7))


def _put(total: Double, part: Double, start: int) -> None:
    stop = min(len(total), start + len(part))
    total[start:stop] += part[: max(0, stop - start)]


def tones(rng: np.random.Generator) -> Double:
    """Held, gliding, pulsed or warbling tones, hum or clicks."""
    time = _time()
    kind, pitch = int(rng.integers(5)), 10 ** rng.uniform(1.9, 3.6)
    if kind == 0:
        wave = np.sin(2 * np.pi * pitch * (time + rng.uniform(-0.09, 0.09) * time**2))
    elif kind == 1:
        other = pitch * rng.uniform(1.02, 1.9)
        wave = np.sin(2 * np.pi * pitch * time) + np.sin(2 * np.pi * other * time)
        wave = wave * (time * rng.uniform(0.5, 6) % 1.0 < rng.uniform(0.2, 0.8))
    elif kind == 2:
        wave = np.sin(2 * np.pi * pitch * time + rng.uniform(5, 300) * np.sin(rng.uniform(2, 40) * time))
    elif kind == 3:
        wave = np.sign(np.sin(2 * np.pi * rng.uniform(45, 200) * time)) * (0.4 + rng.random())
    else:
        wave = np.zeros(len(time))
        for at in rng.integers(0, len(time) - 800, int(rng.integers(3, 40))):
            wave[at : at + 800] += rng.standard_normal(800) * np.exp(-np.arange(800) / rng.uniform(20, 200))
    wave = wave + 10 ** rng.uniform(-4, -1.5) * rng.standard_normal(len(time))
    return np.asarray(wave / (wave.std() + 1e-9))


MAKERS: tuple[Callable[[np.random.Generator], Double], ...] = (coloured, music, music, music, music, tones)


def other_sounds(count: int, rng: np.random.Generator) -> list[Array]:
    """(4F, 80) raw log-mel of sounds without speech, each at the loudness of speech."""
    waves = (MAKERS[i % len(MAKERS)](rng) for i in range(count))
    return [mel_of((0.15 * wave).astype(np.float32)) for wave in waves]


@dataclass(frozen=True)
class Heard:
    """mel (4F, 80) normalised; said (F,) 1 where something is said; counts (F,) 0 where that is unclear."""

    mel: Array
    said: Array
    counts: Array


def alone(mel: Array, live: bool) -> Heard:
    frames = len(mel) // MEL_PER_FRAME
    return Heard(_normal(mel, live), np.zeros(frames, np.float32), np.ones(frames, np.float32))


def _normal(mel: Array, live: bool) -> Array:
    """As it is heard when it is known whole, or while it comes in."""
    if not live:
        return normalise(mel, level_of(lambda: iter([mel])))
    level, heard = RunningLevel(VOLUME), []
    for start in range(0, len(mel), MEL_PER_FRAME):
        turned = mel[start : start + MEL_PER_FRAME] + np.float32(2 * np.log(level.gain))
        heard.append(normalise(turned, level.hear(turned)))
    return np.concatenate(heard)


def mixed(speech: Array, other: Array | None, ratio: float, live: bool) -> Heard:
    """Speech (raw log-mel) `ratio` nats above another sound; pauses longer than half a second count as
    nothing."""
    frames = len(speech) // MEL_PER_FRAME
    own = Level(0.0, np.zeros(80, np.float32), float(np.quantile(speech.mean(1), 0.95)))
    loud = activity(speech, own)[: frames * MEL_PER_FRAME].reshape(-1, MEL_PER_FRAME).mean(1) > 0.4
    near = np.convolve(loud, np.ones(13), "same") > 0
    if other is not None:
        power = [float(np.log(np.mean(np.exp(mel)))) for mel in (speech, other)]
        speech = np.logaddexp(speech, np.resize(other, speech.shape) + power[0] - power[1] - ratio)
    counts = (loud | ~near).astype(np.float32)
    return Heard(_normal(speech.astype(np.float32), live), loud.astype(np.float32), counts)


def lessons(speech: list[Array], others: list[Array], rng: np.random.Generator) -> Iterator[Heard]:
    """Every sound alone, every speech alone and twice with something else."""
    for number, mel in enumerate(others):
        yield alone(line(rng)(mel), number % 2 == 0)
    for mel in speech:
        yield mixed(line(rng)(mel), None, 0.0, bool(rng.random() < 0.5))
        for live in (False, True):
            other, ratio = others[int(rng.integers(len(others)))], float(rng.uniform(-1.0, 5.0))
            heard = line(rng)
            yield mixed(heard(mel), heard(other), ratio, live)


def line(rng: np.random.Generator) -> Callable[[Array], Array]:
    """What raw log-mel (N, 80) comes through: a third of the time a telephone, or sound at 8 kHz."""
    if rng.random() > _CALLS:
        return lambda mel: mel
    low, high = int(rng.integers(0, _LOWEST + 1)), int(rng.integers(*_HIGHEST))
    left = np.float32(rng.uniform(-16, -11))

    def cut(mel: Array) -> Array:
        band = np.arange(mel.shape[1])
        return np.where((band >= low) & (band < high), mel, np.minimum(mel, left))

    return cut


class Draw:
    """Batches: half of them from sounds without speech."""

    def __init__(self, heard: list[Heard], recipe: PresenceRecipe) -> None:
        self.recipe, self.rng = recipe, np.random.default_rng(recipe.seed)
        said = [one for one in heard if one.said.any()]
        self.groups = ([one for one in heard if not one.said.any()], said)

    def __call__(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        rows = [self._cut(self.groups[i % 2]) for i in range(self.recipe.batch)]
        mel, said, counts = (torch.from_numpy(np.stack(column)) for column in zip(*rows, strict=True))
        return mel, said, counts

    def _cut(self, group: list[Heard]) -> tuple[Array, Array, Array]:
        one, frames = group[int(self.rng.integers(len(group)))], self.recipe.frames
        start = int(self.rng.integers(0, max(1, len(one.said) - frames)))
        said, counts = (np.zeros(frames, np.float32) for _ in range(2))
        known = min(frames, len(one.said) - start)
        said[:known], counts[:known] = one.said[start : start + known], one.counts[start : start + known]
        mel = window(one.mel, start, frames) + np.float32(self.rng.normal(0, 0.25))
        return mel, said, counts


def learn(heard: list[Heard], recipe: PresenceRecipe) -> MouthNet:
    """The net; its one output is the log odds that something is said."""
    torch.manual_seed(recipe.seed)
    net = MouthNet(recipe.width, 1, 0, Recipe.dilations, recipe.drop, AHEADS[3])
    draw, augment = Draw(heard, recipe), Augment(recipe.seed)
    learner = Learner([net], recipe.steps, recipe.rate, Recipe())
    for step in range(recipe.steps):
        mel, said, counts = draw()
        mel = augment.colour(augment.voice(mel))
        odds = net(mel)[..., 0]
        missed = nn.functional.binary_cross_entropy_with_logits(odds, said, reduction="none")
        learner.step((missed * counts).sum() / counts.sum())
        if step >= recipe.steps // 2:
            learner.remember(Recipe.average)
    learner.settle()
    return net.eval()


def gather(data: Path, recipe: PresenceRecipe) -> list[Heard]:
    """All lessons."""
    rng = np.random.default_rng(recipe.seed)
    sentences = [one.mel * np.float32(_RAW) for one in spoken(recipe.sentences, recipe.seed)]
    recorded = [clip.mel for clip in load(data).clips]
    return list(lessons(sentences + recorded, other_sounds(recipe.others, rng), rng))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="talking_motion.npz, its json beside it")
    parser.add_argument("-o", "--output", type=Path, default=Path("echomimic/motion/models"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    recipe = PresenceRecipe()
    net = learn(gather(options.data, recipe), recipe)
    shared = listening(Recipe.dilations, AHEADS[3])
    export_nets([net], options.output / "presence.safetensors", "echomimic speech presence", shared)


if __name__ == "__main__":
    main()
