"""Fit what gives life to head, brows, eyes and mouth: `python -m training.life --data talking_motion.npz -o
FOLDER`.

Needs `heldout.npz` (from `training.crossval --keep heldout.npz`): what nets that never saw a person
say of that person's mouth. What they miss, and what recorded heads do, is described by a linear random
process; only its fitted numbers are written (life.safetensors), no trajectories. A minute or two on one core.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save_file

from echomimic.motion.speech.articulation import Stretch
from echomimic.motion.speech.life_model import CONTROL_RATE, HEAD, LIFE_LEADS, LifeModel
from echomimic.motion.speech.log_mel import FRAME_RATE
from echomimic.motion.speech.mouth_model import MouthModel, load_mouth
from echomimic.motion.tracks import gaussian
from training.basis import Basis, symmetric
from training.data import LIPS, Clip, Recordings, load
from training.head import fit_blinks, fit_glances, fit_unrest
from training.mouth import Recipe
from training.simulate import (
    MEASURES,
    Guess,
    acted,
    clip_energy,
    common_basis,
    head_channels,
    of_performance,
    recorded,
)

Double = npt.NDArray[np.float64]

ORDER = 4
STEP = round(FRAME_RATE / CONTROL_RATE)
SHORTEST = 75
MOUTH = 5
"""How many ways the mouth has a will of its own in."""
SLOW = 1.5
"""Frames over which that will is smoothed: faster than that the lips belong to the sound."""
BY_CHANCE = (0.0, 0.35, 0.35)
"""Share of the variance lacking in opening, width and protrusion that chance gives;
stretching gives the rest."""
WAVES = (0.35, 2.5)
"""Spread of the log size of the noise and seconds over which it changes:
bursts and rests of recorded heads."""
ROUNDS, TAKES = 6, 3


@dataclass(frozen=True)
class Example:
    """One clip: what was recorded, what nets guessed, and how loud it was."""

    clip: Clip
    guess: Guess
    real: Double
    energy: Double


def examples(recordings: Recordings, basis: Basis, kept: Path) -> list[Example]:
    """All clips that are long enough and have a held-out guess."""
    guesses = np.load(kept)
    found = []
    for clip in recordings.clips:
        if len(clip) >= SHORTEST and f"{clip.name}|shape" in guesses:
            shape, cues = (guesses[f"{clip.name}|{part}"].astype(np.float64) for part in ("shape", "cues"))
            real = basis.read(symmetric(clip.shape, recordings)).astype(np.float64)
            found.append(Example(clip, Guess(shape, cues), real, clip_energy(clip)))
    return found


def fit_stretch(parts: list[Example], basis: Basis) -> Stretch:
    """Measures, what they do to coefficients,
    and the gain that makes the median guess vary as its recording."""
    v = basis.vectors.astype(np.float64)
    gap, width = v[:, 13, 1] - v[:, 14, 1], v[:, 291, 0] - v[:, 61, 0]
    measures = np.stack([gap, width, v[:, LIPS, 2].mean(1)], 1)
    shapes = np.concatenate([part.real for part in parts])
    taken = shapes @ measures
    directions = np.linalg.solve(taken.T @ taken, taken.T @ shapes)
    gain = np.median([(p.real @ measures).std(0) / (p.guess.shape @ measures).std(0) for p in parts], 0)
    gain = np.sqrt(1 + (gain**2 - 1) * (1 - np.array(BY_CHANCE)))
    mean = np.concatenate([part.guess.shape for part in parts]).mean(0)
    closed = np.quantile(np.concatenate([(p.guess.shape @ gap)[p.energy > 0.4] for p in parts]), 0.08)
    return Stretch(measures, directions, gain, mean, float(closed))


def own_will(parts: list[Example], stretch: Stretch, basis: Basis) -> tuple[Double, list[Double]]:
    """(M, K) the main ways in which mouths differ from the guess other than by opening,
    and each clip's track."""
    left = []
    for part in parts:
        off = part.real - part.guess.shape
        off = gaussian(off - off.mean(0), SLOW)
        left.append(off - np.outer(off @ stretch.measures[:, 0], stretch.directions[0]))
    lips = basis.vectors[:, LIPS].reshape(len(basis.vectors), -1).astype(np.float64)
    stacked = np.concatenate([off / (off.std() + 1e-6) for off in left])
    root = np.linalg.cholesky(lips @ lips.T + 1e-9 * np.eye(len(lips)))
    axes = np.linalg.svd(stacked @ root, full_matrices=False)[2][:MOUTH]
    mouth = axes @ np.linalg.inv(root)
    mouth = mouth - np.outer(mouth @ stretch.measures[:, 0], stretch.directions[0])
    return mouth, [off @ root @ axes.T for off in left]


def channels(part: Example, own: Double) -> Double:
    """(F, D) head and mouth together."""
    return np.concatenate([head_channels(part.clip), own], 1)


def drives(energy: Double) -> Double:
    """(N, len(LIFE_LEADS) + 1) the process's inputs from the energy at CONTROL_RATE,
    as LifeProcess makes them."""
    slow, accents = 0.0, np.zeros(len(energy) - min(LIFE_LEADS))
    for i, loud in enumerate(energy):
        slow += (loud - slow) / (0.5 * CONTROL_RATE)
        accents[i - min(LIFE_LEADS)] = loud - slow
    ahead = [accents[lead - min(LIFE_LEADS) :][: len(energy)] for lead in LIFE_LEADS]
    before = np.concatenate([[0.0], energy[:-1]])
    return np.stack([*ahead, before], 1)


def fit_process(parts: list[Example], tracks: list[Double]) -> tuple[Double, Double, Double, Double, Double]:
    """Memory, drive, noise, unrest and the channels' median spread, by least squares over both phases."""
    strength = np.median([track.std(0) for track in tracks], 0)
    past, drive, now, loud = [], [], [], []
    for part, track in zip(parts, tracks, strict=True):
        even = track / (track.std(0) + 0.25 * strength) * strength
        heard = gaussian(part.energy, 0.8)
        for phase in range(STEP):
            states, level = even[phase::STEP], heard[phase::STEP]
            index = np.arange(ORDER, len(states))
            past.append(np.concatenate([states[index - lag] for lag in range(1, ORDER + 1)], 1))
            push = drives(level)
            drive.append(push[index] - push.mean(0))
            now.append(states[index])
            loud.append(push[index, -1])
    inputs, target = np.concatenate([np.concatenate(past), np.concatenate(drive)], 1), np.concatenate(now)
    weights = np.linalg.solve(inputs.T @ inputs + np.diag(1e-4 * (inputs**2).sum(0)), inputs.T @ target)
    rest, width = target - inputs @ weights, target.shape[1]
    memory = np.stack([block.T for block in np.split(weights[: ORDER * width], ORDER)])
    noise = np.linalg.cholesky(np.cov(rest.T))
    return memory, weights[ORDER * width :], noise, fit_unrest(rest, np.concatenate(loud)), strength


def spread_ratios(parts: list[Example], mouth: MouthModel, life: LifeModel) -> Double:
    """(7,) medians over clips of generated over recorded spread of the MEASURES."""
    ratios = []
    for number, part in enumerate(parts):
        real = recorded(part.clip).std(0)
        for take in range(TAKES):
            made = acted(part.clip, part.guess, mouth, life, TAKES * number + take)
            ratios.append(of_performance(made).std(0) / real)
    return np.asarray(np.median(ratios, 0))


def tune(parts: list[Example], mouth: MouthModel, life: LifeModel) -> LifeModel:
    """Scale head and stretch until what is generated varies as the median recording does."""
    for _ in range(ROUNDS):
        ratio = dict(zip(MEASURES, 1 / spread_ratios(parts, mouth, life), strict=True))
        scale = np.ones(len(life.noise))
        scale[:HEAD] = [ratio[name] for name in ("pitch", "yaw", "roll", "yaw", "pitch", "brow")]
        gain = life.gain * [ratio[name] ** 0.8 for name in ("opening", "width", "protrusion")]
        life = replace(
            life,
            memory=life.memory * scale[None, :, None] / scale[None, None, :],
            drive=life.drive * scale,
            noise=life.noise * scale[:, None],
            gain=np.clip(gain, 1.0, 4.0),
        )
    return life


def fit(recordings: Recordings, kept: Path, shipped: MouthModel, only: set[str] | None = None) -> LifeModel:
    """All numbers from the recordings (of the people `only`, if given)."""
    basis = common_basis(recordings, Recipe.coefficients)
    parts = [p for p in examples(recordings, basis, kept) if only is None or p.clip.person in only]
    stretch = fit_stretch(parts, basis)
    mouth, own = own_will(parts, stretch, basis)
    process = fit_process(parts, [channels(part, track) for part, track in zip(parts, own, strict=True)])
    clips = [clip for clip in recordings.clips if only is None or clip.person in only]
    life = LifeModel(
        *process[:4],
        np.array(WAVES),
        mouth,
        fit_blinks([clip.lid.astype(np.float64) for clip in clips]),
        fit_glances([clip for clip in clips if len(clip) >= SHORTEST]),
        stretch.measures,
        stretch.directions,
        stretch.gain,
        stretch.mean,
        np.array([stretch.closed]),
    )
    return tune(parts, replace(shipped, basis=basis.vectors), life)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="talking_motion.npz, its json beside it")
    parser.add_argument("--heldout", type=Path, required=True, help="what training.crossval --keep wrote")
    parser.add_argument("-o", "--output", type=Path, default=Path("echomimic/motion/models"))
    options = parser.parse_args()
    life = fit(load(options.data), options.heldout, load_mouth(options.output / "mouth.safetensors"))
    tensors = {
        name: np.ascontiguousarray(getattr(life, name), np.float32) for name in LifeModel.__dataclass_fields__
    }
    save_file(tensors, options.output / "life.safetensors", {"model": "echomimic life", "format": "1"})


if __name__ == "__main__":
    main()
