"""Fit what gives life to head, brows, eyes and mouth: `python -m training.life --data talking_motion.npz -o
FOLDER`.

Needs `heldout.npz` (from `training.crossval --keep heldout.npz`): what nets that never saw a person
say of that person's mouth. What they miss, and what recorded heads do, is described by a linear random
process whose spectra are tuned until what comes out of the generator has the recorded ones; only its fitted
numbers are written (life.safetensors), no trajectories. Some minutes on one core.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save_file

from echomimic.motion.performance import Performance
from echomimic.motion.speech.articulation import CLOSED_SHARE, Stretch
from echomimic.motion.speech.life_model import LIFE_LEADS, HeadFollowing, LifeModel
from echomimic.motion.speech.log_mel import FRAME_RATE
from echomimic.motion.speech.mouth_model import MouthModel, load_mouth
from echomimic.motion.tracks import gaussian, smooth_wide
from training.basis import Basis, symmetric
from training.data import LIPS, Clip, Recordings, load
from training.head import fit_blinks, fit_glances, fit_unrest
from training.mouth import Recipe
from training.simulate import (
    Guess,
    acted,
    clip_energy,
    common_basis,
    head_channels,
    of_performance,
    recorded,
)
from training.spectra import WINDOW, Cross, coherence, linear_process, log_power

Double = npt.NDArray[np.float64]

ORDER = 12
SHORTEST = 75
MOUTH = 5
"""How many ways the mouth has a will of its own in: width, protrusion and the main ones of what is left."""
SLOW = 1.0
"""Frames over which that will is smoothed: faster than that the lips belong to the sound."""
BY_CHANCE = (0.0, 0.7, 0.8)
"""Share of the variance lacking in opening, width and protrusion that chance gives; stretching gives the
rest."""
WAVES = (0.35, 2.5)
"""Spread of the log size of the noise and seconds over which it changes: bursts and rests of recorded
heads."""
STRESS = 3.0
"""By how much more than recorded heads, on average, the generated ones go with the stress: a stress that
people nod on is one of several, and which one the sound does not tell."""
SMOOTH_TAPS = 3.0
"""How much the answer to an accent is smoothed, in accents' variances."""
ROUNDS, TAKES = 6, 3
SLOWEST = np.array([0.5, 0.5, 0.25])
"""How strongly the slowest frequencies make up for what spreads lack: four seconds tell little of them."""
NARROWER = 0.94
"""Share of the median recorded spread aimed at: few people who move a lot make it wide, most move less."""
STEP, LEAST_POWER = 0.7, -7.0
"""Share of a log ratio that one round mends, and how far down the mouth's own will may be turned."""


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
    closed = np.quantile(np.concatenate([(p.guess.shape @ gap)[p.energy > 0.4] for p in parts]), CLOSED_SHARE)
    return Stretch(measures, directions, gain, mean, float(closed))


def own_will(parts: list[Example], stretch: Stretch, basis: Basis) -> tuple[Double, list[Double]]:
    """(M, K) the main ways in which mouths differ from the guess other than by opening, and each clip's
    track."""
    known = stretch.directions[1:]
    tracks, left = [], []
    for part in parts:
        off = part.real - part.guess.shape
        off = gaussian(off - off.mean(0), SLOW)
        taken = off @ stretch.measures
        tracks.append(taken[:, 1:])
        left.append(off - taken @ stretch.directions)
    lips = basis.vectors[:, LIPS].reshape(len(basis.vectors), -1).astype(np.float64)
    stacked = np.concatenate([off / (off.std() + 1e-6) for off in left])
    root = np.linalg.cholesky(lips @ lips.T + 1e-9 * np.eye(len(lips)))
    axes = np.linalg.svd(stacked @ root, full_matrices=False)[2][: MOUTH - len(known)]
    others = axes @ np.linalg.inv(root)
    others = others - (others @ stretch.measures) @ stretch.directions
    rest = [off @ root @ axes.T for off in left]
    return np.concatenate([known, others]), [
        np.concatenate(both, 1) for both in zip(tracks, rest, strict=True)
    ]


def accents(energy: Double) -> Double:
    """(F, len(LIFE_LEADS)) how loudness stands out, as LifeProcess hears it."""
    padded = np.pad(energy, (1, 1 + max(LIFE_LEADS)), mode="edge")
    loud = np.convolve(padded, np.ones(3) / 3, mode="valid")
    slow, found = 0.0, np.zeros(len(loud) - min(LIFE_LEADS))
    for i, value in enumerate(loud):
        slow += (value - slow) / (0.5 * FRAME_RATE)
        found[i - min(LIFE_LEADS)] = value - slow
    return np.stack([found[lead - min(LIFE_LEADS) :][: len(energy)] for lead in LIFE_LEADS], 1)


def fit_jaw(parts: list[Example]) -> Double:
    """(6,) how heads and brows go with the opening of the mouth, slow drift apart: heads lean back as jaws
    fall."""
    slopes = []
    for part in parts:
        opened = HeadFollowing(np.ones(1)).push(recorded(part.clip)[:, 0])[:, 0]
        opened = opened - smooth_wide(opened, FRAME_RATE)
        head = head_channels(part.clip)
        slopes.append((head - smooth_wide(head, FRAME_RATE)).T @ opened / (opened @ opened))
    return np.asarray(np.median(slopes, 0))


def fit_drive(parts: list[Example], tracks: list[Double], jaw: Double, strength: Double) -> Double:
    """(L, D) what accents add: least squares over all clips, each as large as the others, smooth over the
    leads."""
    taps = len(LIFE_LEADS)
    system, right = np.zeros((taps, taps)), np.zeros((taps, len(strength)))
    for part, track in zip(parts, tracks, strict=True):
        heard = accents(part.energy)
        track = track.copy()
        track[:, : len(jaw)] -= HeadFollowing(jaw).push(recorded(part.clip)[:, 0])
        even = (track - smooth_wide(track, FRAME_RATE)) / (track.std(0) + 0.25 * strength) * strength
        system += heard.T @ heard
        right += heard.T @ even
    bend = np.diff(np.eye(taps + 4)[:, 2:-2], 2, axis=0)
    penalty = SMOOTH_TAPS * np.trace(system) / taps * bend.T @ bend
    return np.asarray(STRESS * np.linalg.solve(system + penalty, right))


def unrest(parts: list[Example], tracks: list[Double]) -> Double:
    """(2,) how the noise grows with loudness."""
    rest, loud = [], []
    for part, track in zip(parts, tracks, strict=True):
        off = (track - track.mean(0)) / (track.std(0) + 1e-9)
        index = np.arange(ORDER, len(off))
        rest.append(np.diff(off, axis=0)[index - 1])
        loud.append(gaussian(part.energy, 0.8)[index])
    return fit_unrest(np.concatenate(rest), np.concatenate(loud))


@dataclass(frozen=True)
class Wanted:
    """What the generator's spectra are to become: of each channel of the process, the recorded power or that
    which a round of tuning asks for; together: how channels go together."""

    power: Double
    together: Cross


def head_and_lips(made: Performance) -> Double:
    """(F, 8) pitch, yaw, roll, x, y, brow, width, protrusion of what was generated."""
    lips = of_performance(made)[:, 1:3]
    return np.column_stack([made.rotation, made.translation, made.brow, lips]).astype(np.float64)


def recorded_head_and_lips(clip: Clip) -> Double:
    """(F, 8) the same of a recording."""
    return np.concatenate([head_channels(clip), recorded(clip)[:, 1:3]], 1)


def _sides(tracks: Sequence[Double]) -> Double:
    """(C,) median over tracks of the skew, per unit of the channel."""
    off = [track - track.mean(0) for track in tracks]
    return np.asarray(np.median([(x**3).mean(0) / x.std(0) ** 4 for x in off], 0))


def _opening(track: Double) -> float:
    return float(track[:, 0].std())


def tuned(parts: list[Example], mouth: MouthModel, life: LifeModel, wanted: Wanted) -> LifeModel:
    """Turn the channels' spectra until what is generated has the recorded ones."""
    long = [part for part in parts if len(part.clip) >= WINDOW]
    goal = log_power([recorded_head_and_lips(part.clip) for part in long])
    lean = _sides([recorded_head_and_lips(part.clip) for part in long])
    power, first = wanted.power.copy(), wanted.power
    for turn in range(ROUNDS):
        memory, noise = linear_process(power, wanted.together, ORDER)
        life = replace(life, memory=memory, noise=noise)
        made = [
            (part, acted(part.clip, part.guess, mouth, life, 100 * turn + TAKES * number + take))
            for number, part in enumerate(long)
            for take in range(TAKES)
        ]
        tracks = [head_and_lips(one) for _, one in made]
        narrow = [
            recorded_head_and_lips(p.clip).std(0) / t.std(0) for (p, _), t in zip(made, tracks, strict=True)
        ]
        goal[: len(SLOWEST)] += np.outer(SLOWEST, np.log(NARROWER * np.median(narrow, 0)))
        lacking = goal - log_power(tracks)
        power[:, : lacking.shape[1]] += STEP * lacking
        power = np.maximum(power, first + LEAST_POWER)
        sides = _sides(tracks)
        life.skew[: len(sides)] += STEP * (lean - sides) / 6
        wide = np.median([_opening(of_performance(one)) / _opening(recorded(p.clip)) for p, one in made])
        life.gain[0] *= wide**-STEP
    return life


def fit(recordings: Recordings, kept: Path, shipped: MouthModel, only: set[str] | None = None) -> LifeModel:
    """All numbers from the recordings (of the people `only`, if given)."""
    basis = common_basis(recordings, Recipe.coefficients)
    parts = [p for p in examples(recordings, basis, kept) if only is None or p.clip.person in only]
    stretch = fit_stretch(parts, basis)
    mouth, own = own_will(parts, stretch, basis)
    tracks = [
        np.concatenate([head_channels(p.clip), own_track], 1) for p, own_track in zip(parts, own, strict=True)
    ]
    clips = [clip for clip in recordings.clips if only is None or clip.person in only]
    strength = np.median([track.std(0) for track in tracks], 0)
    long = [track for track in tracks if len(track) >= WINDOW]
    wanted = Wanted(log_power(long), coherence(long))
    memory, noise = linear_process(wanted.power, wanted.together, ORDER)
    jaw = fit_jaw(parts)
    life = LifeModel(
        memory,
        fit_drive(parts, tracks, jaw, strength),
        noise,
        unrest(parts, tracks),
        np.array(WAVES),
        np.zeros(len(noise)),
        jaw,
        mouth,
        fit_blinks([clip.lid.astype(np.float64) for clip in clips]),
        fit_glances([clip for clip in clips if len(clip) >= SHORTEST]),
        stretch.measures,
        stretch.directions,
        stretch.gain,
        stretch.mean,
        np.array([stretch.closed]),
    )
    return tuned(parts, replace(shipped, basis=basis.vectors), life, wanted)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="talking_motion.npz, its json beside it")
    parser.add_argument("--heldout", type=Path, required=True, help="what training.crossval --keep wrote")
    parser.add_argument("-o", "--output", type=Path, default=Path("echomimic/motion/models"))
    options = parser.parse_args()
    life = fit(load(options.data), options.heldout, load_mouth(options.output / "mouth.safetensors"))
    tensors = {
        name: np.ascontiguousarray(getattr(life, name), np.float64 if name == "memory" else np.float32)
        for name in LifeModel.__dataclass_fields__
    }  # a process as smooth as this one is near the edge: rounding may tip it over
    save_file(tensors, options.output / "life.safetensors", {"model": "echomimic life", "format": "1"})


if __name__ == "__main__":
    main()
