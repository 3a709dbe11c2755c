"""Smoothing and resampling of tracks: arrays whose first axis is time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from echomimic.arrays import Doubles, Flags, Value

# Frames below which a Gaussian leaves the track as it is: the next frame weighs e⁻⁵⁰.
_NARROWEST = 0.1


def gaussian(track: NDArray[Value], sigma: float) -> NDArray[Value]:
    """`track` smoothed along time by a Gaussian of `sigma` frames; the ends are held. Same shape and type."""
    if sigma < _NARROWEST or len(track) < 2:
        return track
    reach = max(1, int(3 * sigma + 0.5))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    weights /= weights.sum()
    padded = np.concatenate([np.repeat(track[:1], reach, 0), track, np.repeat(track[-1:], reach, 0)])
    smooth: Any = np.zeros(track.shape, np.float64)
    for offset, weight in enumerate(weights):
        smooth += weight * padded[offset : offset + len(track)]
    return np.asarray(smooth, dtype=track.dtype)


def smooth_wide(track: Doubles, sigma: float) -> Doubles:
    """As `gaussian`, cut off at 4 sigma instead of 3:
    what the head's and the mouth's numbers were fitted with."""
    reach = int(4 * sigma) + 1
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    padded = np.pad(track.reshape(len(track), -1), ((reach, reach), (0, 0)), mode="edge")
    columns = [np.convolve(column, kernel / kernel.sum(), mode="valid") for column in padded.T]
    return np.stack(columns, 1).reshape(track.shape)


def at_times(track: NDArray[Value], moments: Doubles) -> NDArray[Value]:
    """`track` at fractional frame numbers, linear in between and held at the ends.
    Same type; flags by the nearest."""
    moments = np.clip(moments, 0, len(track) - 1)
    if track.dtype == np.bool_:
        return np.asarray(track[np.rint(moments).astype(int)])
    low = np.minimum(np.floor(moments).astype(int), max(0, len(track) - 2))
    share = (moments - low).reshape(-1, *[1] * (track.ndim - 1))
    high = np.minimum(low + 1, len(track) - 1)
    numbers: Any = track
    return np.asarray(numbers[low] * (1 - share) + numbers[high] * share, dtype=track.dtype)


def bridge(track: NDArray[Value], known: Flags) -> NDArray[Value]:
    """`track` with the frames that are not `known` interpolated from those that are, held at the ends."""
    frames = np.flatnonzero(known)
    if not len(frames) or len(frames) == len(track):
        return track
    return at_times(track[frames], np.interp(np.arange(len(track)), frames, np.arange(len(frames))))


def sample(track: Doubles, at: Doubles) -> Doubles:
    """Values of (N, …) `track` at fractional positions `at`, by Catmull-Rom cubics; the ends are held."""
    at = np.clip(at, 0, len(track) - 1)
    left = np.floor(at).astype(int)
    t = (at - left).reshape(-1, *([1] * (track.ndim - 1)))
    p0, p1, p2, p3 = (track[np.clip(left + step, 0, len(track) - 1)] for step in (-1, 0, 1, 2))
    curve = p1 + 0.5 * t * (p2 - p0 + t * (2 * p0 - 5 * p1 + 4 * p2 - p3 + t * (3 * (p1 - p2) + p3 - p0)))
    return np.asarray(curve, dtype=np.float64)
