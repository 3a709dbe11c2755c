"""V2's bundled default pose: resting hands that beat time, a seamless loop of a few kilobytes.

Our own making (see ``training/default_pose.py``): two hands at rest before the waist and twelve
seconds of gestures.
"""

from __future__ import annotations

import functools
from importlib.resources import as_file, files

import numpy as np
import numpy.typing as npt

from echomimic.arrays import Doubles
from echomimic.motion.body_pose import (
    BODY,
    HAND,
    L_ELBOW,
    L_SHOULDER,
    L_WRIST,
    NECK,
    NOSE,
    R_ELBOW,
    R_SHOULDER,
    R_WRIST,
    BodyPose,
)
from echomimic.motion.npz import Arrays, read_npz
from echomimic.motion.speech.gestures import pose_hands

# V2's own size.
POSE_SIDE = 768
_BODY = {
    NOSE: (0.50, 0.20), NECK: (0.50, 0.47), L_SHOULDER: (0.70, 0.475), R_SHOULDER: (0.30, 0.475),
    L_ELBOW: (0.84, 0.78), R_ELBOW: (0.16, 0.78),
}  # fmt: skip
# The distance of the shoulders above, for the size of hands.
_SHOULDERS = 0.40
STEP = 1 / 4096
"""What one unit of a stored channel is worth."""


@functools.cache
def _arrays() -> Arrays:
    with as_file(files("echomimic.motion").joinpath("data").joinpath("default_pose.npz")) as path:
        return read_npz(path)


def is_default_pose(arrays: Arrays) -> bool:
    """Whether these are the arrays of the bundled pose's own file."""
    own = _arrays()
    return arrays.keys() == own.keys() and all(np.array_equal(own[name], arrays[name]) for name in own)


def default_loop(fps: float) -> BodyPose:
    """One round of the default pose at `fps`."""
    _, channels, rate = _stored()
    return default_pose(round(len(channels) / rate * fps), fps)


@functools.cache
def _stored() -> tuple[Doubles, Doubles, float]:
    """Hands (2, 21, 2) as parts of the picture, channels (T, 2, 5), and T per second."""
    stored = _arrays()
    hands, channels = (stored[name].astype(np.float64) * STEP for name in ("hands", "gestures"))
    return hands, channels, float(stored["rate"])


def default_pose(frames: int, fps: float, size: tuple[int, int] = (POSE_SIDE, POSE_SIDE)) -> BodyPose:
    """`frames` frames of the default pose at `fps` for a picture of `size` (width, height).

    The pose is laid out for a square; in other shapes it keeps its proportions and stays at the bottom,
    centred.
    """
    hands, channels, rate = _stored()
    moments = np.arange(frames, dtype=np.float64) * (rate / fps)
    moved = pose_hands(hands, sample_loop(channels, moments), _SHOULDERS)
    body = np.zeros((frames, BODY, 2))
    score = np.zeros((frames, BODY))
    for point, place in _BODY.items():
        body[:, point], score[:, point] = place, 1.0
    body[:, [L_WRIST, R_WRIST]], score[:, [L_WRIST, R_WRIST]] = moved[:, :, 0], 1.0
    side = min(size)
    shift = np.array([(size[0] - side) / 2, size[1] - side], np.float64)
    return BodyPose(
        body=np.where(score[..., None] > 0, body * side + shift, 0.0),
        hands=moved * side + shift,
        body_score=score,
        hand_score=np.ones((frames, 2, HAND)),
        fps=fps,
        size=size,
    )


def sample_loop(track: Doubles, moments: npt.NDArray[np.float64]) -> Doubles:
    """A periodic track (T, …) at fractional steps: cubic, the end joins the beginning."""
    count = len(track)
    low = np.floor(moments).astype(int)
    t = (moments - low).reshape(-1, *[1] * (track.ndim - 1))
    a, b, c, d = (track[(low + offset) % count] for offset in (-1, 0, 1, 2))
    bend = (2 * a - 5 * b + 4 * c - d) * t + (3 * b - a - 3 * c + d) * t * t
    return np.asarray(b + 0.5 * t * (c - a + bend))
