"""Fit what gives life to head, brows, eyes and mouth: `python -m training.life --data talking_motion.npz -o
FOLDER`.

Needs `heldout.npz` (from `training.crossval --keep heldout.npz`): what nets that never saw a person
say of that person's mouth. What they miss, and what recorded heads do, is described by a linear random
process that is tuned (training.tuning) until what comes out of the generator has the recorded spectra and
correlations; only its fitted numbers are written (life.safetensors), no trajectories. Under a minute on one
core; the same inputs give the same numbers.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save_file

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
    clip_energy,
    common_basis,
    head_channels,
    recorded,
)
from training.spectra import WINDOW, coherence, linear_process, log_power
from training.tuning import OPENING, ORDER, Wanted, tuned

Double = npt.NDArray[np.float64]

SHORTEST = 75
MOUTH = 6
"""How many ways the mouth has a will of its own in: opening, width, protrusion and the main ones of what is
left."""
SLOW = 1.0
"""Frames over which that will is smoothed: faster than that the lips belong to the sound."""
BY_CHANCE = (0.1, 0.7, 0.8)
"""Share of the variance lacking in opening, width and protrusion that chance gives; stretching gives the
rest."""
BEND = 2.0
"""How much slower openings grow the wider they are, per eye distance, where tuning begins."""
WAVES = (0.35, 2.5)
"""Spread of the log size of the noise and seconds over which it changes: bursts and rests of recorded
heads."""
STRESS = 3.0
"""By how much more than recorded heads, on average, the generated ones go with the stress: a stress that
people nod on is one of several, and which one the sound does not tell."""
SMOOTH_TAPS = 3.0
"""How much the answer to an accent is smoothed, in accents' variances."""


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
    return Stretch(measures, directions, np.diag(gain), mean, float(closed), BEND)


def own_will(parts: list[Example], stretch: Stretch, basis: Basis) -> tuple[Double, list[Double]]:
    """(M, K) the main ways in which mouths differ from the guess, and each clip's track."""
    known = stretch.directions
    tracks, left = [], []
    for part in parts:
        off = part.real - part.guess.shape
        off = gaussian(off - off.mean(0), SLOW)
        taken = off @ stretch.measures
        tracks.append(taken)
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
    wanted.power[:, OPENING] += np.log(BY_CHANCE[0])
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
        np.array([stretch.bend]),
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
