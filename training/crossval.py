"""How well mouths of unseen people are predicted: every fifth of the people is held out once.

    python -m training.crossval --data talking_motion.npz

Opening is the height of inner-lip point 13 over 14, width the distance of the corners 61 and 291, both in the
canonical head frame. Per clip: Pearson correlation of opening and of width; lip error, the mean distance of
the 40 lip points from the recorded (not symmetrised) ones in outer eye distances. Summed up as means weighted
by frames.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training.basis import Basis, fit_basis
from training.data import (
    INNER_BOTTOM,
    INNER_TOP,
    LEFT_CORNER,
    LIPS,
    RIGHT_CORNER,
    Array,
    Clip,
    Recordings,
    clip_input,
    folds,
    load,
)
from training.mouth import Recipe, Start, begin, cue_classes, ensemble, parse_recipe
from training.mouth_net import predict, predict_cues


@dataclass(frozen=True)
class Score:
    """One held-out clip."""

    name: str
    frames: int
    opening: float
    width: float
    error: float
    opening_spread: float
    width_spread: float
    protrusion: float


def opening(shape: Array) -> Array:
    return np.asarray(shape[:, INNER_TOP, 1] - shape[:, INNER_BOTTOM, 1])


def width(shape: Array) -> Array:
    return np.asarray(shape[:, RIGHT_CORNER, 0] - shape[:, LEFT_CORNER, 0])


def protrusion(shape: Array) -> Array:
    return np.asarray(shape[:, LIPS, 2].mean(1))


def correlation(a: Array, b: Array) -> float:
    """Pearson's r, 0 when one does not move."""
    return float(np.corrcoef(a, b)[0, 1]) if min(a.std(), b.std()) > 1e-6 else 0.0


def score(clip: Clip, guess: Array) -> Score:
    """Compare a predicted (F, 468, 3) with the recorded one."""
    real = clip.shape
    return Score(
        clip.name,
        len(clip),
        correlation(opening(real), opening(guess)),
        correlation(width(real), width(guess)),
        float(np.linalg.norm((real - guess)[:, LIPS], axis=2).mean()),
        float(opening(guess).std() / opening(real).std()),
        float(width(guess).std() / width(real).std()),
        correlation(protrusion(real), protrusion(guess)),
    )


def crossval(
    recipe: Recipe,
    recordings: Recordings,
    start: Start,
    groups: list[set[str]] | None = None,
    report: Callable[[list[Score]], None] | None = None,
    kept: dict[str, Array] | None = None,
) -> list[Score]:
    """Scores of all clips, each predicted by nets and a basis that never saw its person.

    kept: takes what was predicted, in the basis of all recordings: "clip|shape" (F, K) and "clip|cues" (F,
    3).
    """
    common = fit_basis(recordings.clips, recordings, recipe.coefficients)
    scores: list[Score] = []
    for group in groups or folds(recordings.clips):
        seen = [clip for clip in recordings.clips if clip.person not in group]
        basis = fit_basis(seen, recordings, recipe.coefficients)
        nets = ensemble(recipe, seen, recordings, basis, start)
        for clip in recordings.clips:
            if clip.person in group:
                guess = _guess(clip, nets, basis)
                scores.append(score(clip, guess))
                if kept is not None:
                    kept[f"{clip.name}|shape"] = common.read(guess)
                    kept[f"{clip.name}|cues"] = predict_cues(nets, clip_input(clip), len(clip), cue_classes())
        if report:
            report(scores)
    return scores


def _guess(clip: Clip, nets: list, basis: Basis) -> Array:  # type: ignore[type-arg]
    return basis.write(predict(nets, clip_input(clip), len(clip)))


def mean_pose(recordings: Recordings) -> list[Score]:
    """The scores of a mouth that never moves from the mean of all recordings."""
    mean = np.concatenate([clip.shape for clip in recordings.clips]).mean(0)
    return [score(clip, np.broadcast_to(mean, clip.shape.shape)) for clip in recordings.clips]


def summary(scores: list[Score]) -> dict[str, float]:
    """Frame-weighted means."""
    frames = np.array([s.frames for s in scores], float)
    names = ("opening", "width", "error", "opening_spread", "width_spread", "protrusion")
    return {name: float(np.average([getattr(s, name) for s in scores], weights=frames)) for name in names}


def table(scores: list[Score]) -> str:
    """The scores as text, a line per clip and the means."""
    lines = [f"{'clip':60} frames  opening r  width r  lip error"]
    lines += [
        f"{s.name[-60:]:60} {s.frames:6d}  {s.opening:9.2f}  {s.width:7.2f}  {s.error:9.4f}" for s in scores
    ]
    means = summary(scores)
    lines.append("weighted mean: " + "  ".join(f"{name} {value:.4f}" for name, value in means.items()))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--keep", type=Path, help="write the held-out guesses to this npz")
    parser.add_argument("--hold-out", metavar="PREFIX", help="hold out the people so named, at once")
    options, recipe = parse_recipe(parser)
    recordings = load(options.data)
    people = {clip.person for clip in recordings.clips}
    group = {person for person in people if options.hold_out and person.startswith(options.hold_out)}
    kept: dict[str, Array] = {}
    print(table(crossval(recipe, recordings, begin(recipe), [group] if group else None, kept=kept)))
    if options.keep:
        np.savez(options.keep, allow_pickle=False, **kept)
    print(f"a mouth that never moves: lip error {summary(mean_pose(recordings))['error']:.4f}")


if __name__ == "__main__":
    main()
