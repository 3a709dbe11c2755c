"""Makes V2's default pose: two hands at rest, drawn from a model of a hand, and a seamless loop of gestures.

Run: ``python -m training.default_pose``. Nothing is learned and no recording is used; the seed fixes every
number.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

import echomimic.motion
from echomimic.motion.npz import write_npz
from echomimic.motion.speech.default_pose import STEP
from echomimic.motion.speech.gestures import Beats, gestures

Doubles = npt.NDArray[np.float64]

RATE = 12.0
SECONDS = 12.0
SEED = 5
HAND_UNIT = 0.098
"""From wrist to the middle knuckle, as part of the picture."""

# A right hand, flat, seen from its back: x to the thumb, y to the fingertips; unit = wrist to middle knuckle.
THUMB = ((0.30, 0.22), (0.52, 0.50), (0.64, 0.78), (0.68, 1.02))
KNUCKLES = ((0.27, 0.97), (0.04, 1.00), (-0.17, 0.94), (-0.36, 0.83))
BONES = ((0.46, 0.27, 0.21), (0.50, 0.32, 0.23), (0.46, 0.30, 0.22), (0.36, 0.21, 0.19))
FANS = (7.0, 1.0, -5.0, -12.0)
BENDS = ((12.0, 22.0, 12.0), (16.0, 26.0, 14.0), (19.0, 29.0, 15.0), (22.0, 31.0, 16.0))
"""How a relaxed finger is bent at its three joints, degrees."""
PHRASES = ((0.4, 3.9), (4.7, 7.6), (8.5, 11.2))
BEAT_EVERY = 0.95


def flat_hand() -> Doubles:
    """(21, 3) a relaxed right hand; z towards the palm."""
    points = [(0.0, 0.0, 0.0), *((x, y, 0.10 * i) for i, (x, y) in enumerate(THUMB))]
    for (x, y), bones, fan, bends in zip(KNUCKLES, BONES, FANS, BENDS, strict=True):
        at = np.array([x, y, 0.0])
        points.append(tuple(at))
        bend = 0.0
        for length, more in zip(bones, bends, strict=True):
            bend += np.radians(more)
            side = np.sin(np.radians(fan)) * np.cos(bend)
            at = at + length * np.array([side, np.cos(np.radians(fan)) * np.cos(bend), np.sin(bend)])
            points.append(tuple(at))
    return np.array(points)


def seen(hand: Doubles, pitch: float, roll: float, turn: float) -> Doubles:
    """(21, 2) the hand seen from the front: tipped about x, rolled about its length,
    turned in the picture; degrees."""
    p, r, t = (np.radians(a) for a in (pitch, roll, turn))
    about_length = np.array([[np.cos(r), 0, np.sin(r)], [0, 1, 0], [-np.sin(r), 0, np.cos(r)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    # From its back a right hand's thumb lies to the viewer's left when the fingers point up.
    flat = (hand @ about_length.T @ about_x.T)[:, :2] * [-1, -1]
    return np.asarray(flat @ np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]]).T)


def resting_hands() -> Doubles:
    """(2, 21, 2) as parts of the picture, the person's left hand first:
    before the waist, fingers inward and down."""
    hand = flat_hand()
    right = seen(hand, 12.0, -22.0, 100.0) * HAND_UNIT + [0.315, 0.79]
    left = seen(hand, 18.0, -28.0, 107.0) * HAND_UNIT * [-1, 1] + [0.688, 0.805]
    return np.stack([left, right])


def loop() -> Doubles:
    """(T, 2, 5) channels of gestures, the end joins the beginning."""
    rng = np.random.default_rng(SEED)
    times = [t for start, stop in PHRASES for t in np.arange(start + 0.35, stop - 0.2, BEAT_EVERY)]
    beats = Beats(np.array(times) + rng.normal(0, 0.12, len(times)), rng.uniform(0.3, 0.7, len(times)))
    fine = 5
    moments = np.arange(round(SECONDS * RATE) * fine) / (RATE * fine)
    activity = np.zeros(len(moments))
    for start, stop in PHRASES:
        activity[(moments >= start) & (moments < stop)] = 1.0
    return gestures(activity, beats, RATE * fine, SEED, around=True)[::fine]


def main() -> None:
    """Writes the arrays beside the package's motion code."""
    folder = Path(echomimic.motion.__file__).parent / "data"
    folder.mkdir(exist_ok=True)
    small = {"hands": resting_hands(), "gestures": loop()}
    stored = {name: np.round(array / STEP).astype(np.int16) for name, array in small.items()}
    write_npz(folder / "default_pose.npz", {**stored, "rate": RATE})


if __name__ == "__main__":
    main()
