"""Can a small classifier tell generated motion from recorded? Two seconds at a time, by people it never saw.

Logistic regression over numbers of each window: spreads, speeds, accelerations, five bands of each channel's
spectrum, skew, kurtosis, and how channels go together. 0.5 is chance, 1 tells them apart always.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from benchmarks.moving import Moving
from echomimic.arrays import Doubles
from echomimic.motion.speech.log_mel import FRAME_RATE
from echomimic.motion.tracks import gaussian

WINDOW = 2 * FRAME_RATE
HOP = FRAME_RATE
FOLDS = 5
SHRINK = 30.0
"""How strongly weights are kept small: about a window's worth of evidence each."""
_BANDS = (1, 2, 4, 8, 14, 26)
"""Where the bands of a window's spectrum begin and end: 0.5, 1, 2, 4, 7 and 13 Hz."""
_STILL = np.array([2e-3, 2e-3, 1e-3, 1e-3, 1e-3, 1e-3, 1e-3])
"""Movement below which a channel stands still: no noise of trackers may decide."""
_TREMBLE = 1.0
"""Frames over which tracks are smoothed: what trackers tremble is no motion."""
_ROUNDS = 30


def features(window: Doubles) -> Doubles:
    """(~90,) numbers of 2 s of motion (50, 7); slow drift and the place of the head do not count."""
    off = window - window.mean(0)
    spread = off.std(0) + _STILL
    moves = [np.log(np.abs(np.diff(off, n, axis=0)).mean(0) + _STILL / 2) for n in (1, 2)]
    power = np.abs(np.fft.rfft(off * np.hanning(WINDOW)[:, None], axis=0)) ** 2
    floor = (_STILL**2) * WINDOW / 4
    bands = [np.log(power[a:b].mean(0) + floor) for a, b in pairwise(_BANDS)]
    shape = [((off / spread) ** n).mean(0) for n in (3, 4)]
    together = (off / spread).T @ (off / spread) / WINDOW
    mouth = window[:, 0]
    own = [mouth.mean(), mouth.min(), mouth.max(), float((mouth < 0.01).mean())]
    parts = [np.log(spread), *moves, *bands, *shape, together[np.triu_indices(len(spread), 1)], np.array(own)]
    return np.concatenate(parts)


def windows(moving: Moving) -> list[Doubles]:
    """The features of all windows, one second apart."""
    starts = range(0, len(moving) - WINDOW + 1, HOP)
    track = gaussian(moving.track, _TREMBLE)
    return [features(track[start : start + WINDOW]) for start in starts]


def accuracy(recorded: Sequence[Moving], generated: Sequence[Moving], seed: int = 0) -> float | None:
    """Mean of the shares of recorded and of generated windows that are told right; None with under five
    people."""
    people = sorted({moving.person for moving in (*recorded, *generated)})
    if len(people) < FOLDS:
        return None
    np.random.default_rng(seed).shuffle(people)
    fold = {person: i % FOLDS for i, person in enumerate(people)}
    rows = [
        (row, label, fold[moving.person])
        for label, group in ((0.0, recorded), (1.0, generated))
        for moving in group
        for row in windows(moving)
    ]
    x, truth, of = (np.array(column) for column in zip(*rows, strict=True))
    right = np.zeros(len(truth), bool)
    for i in range(FOLDS):
        held = of == i
        right[held] = (_told(x[~held], truth[~held], x[held]) > 0.5) == (truth[held] > 0.5)
    return float(np.mean([right[truth == label].mean() for label in (0.0, 1.0)]))


def _told(seen: Doubles, truth: Doubles, asked: Doubles) -> Doubles:
    """Probability that each asked row is generated, by ridge-penalised logistic regression."""
    centre, size = seen.mean(0), seen.std(0) + 1e-9
    seen, asked = (
        np.concatenate([np.clip((rows - centre) / size, -4, 4), np.ones((len(rows), 1))], 1)
        for rows in (seen, asked)
    )
    counts = np.array([(truth == 0).sum(), (truth == 1).sum()])
    even = (len(truth) / 2 / counts)[truth.astype(int)]
    penalty = np.full(seen.shape[1], SHRINK)
    penalty[-1] = 1e-3
    weights = np.zeros(seen.shape[1])
    for _ in range(_ROUNDS):
        p = 1 / (1 + np.exp(-np.clip(seen @ weights, -30, 30)))
        slope = seen.T @ (even * (p - truth)) + penalty * weights
        curve = (seen * (even * p * (1 - p))[:, None]).T @ seen + np.diag(penalty)
        step = np.linalg.solve(curve, slope)
        weights = weights - step
        if np.abs(step).max() < 1e-6:
            break
    return np.asarray(1 / (1 + np.exp(-np.clip(asked @ weights, -30, 30))))
