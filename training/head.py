"""What blinks, glances and the unrest of heads are like in recordings:
numbers for the life process (training.life)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from echomimic.motion.speech.log_mel import FRAME_RATE
from echomimic.motion.tracks import smooth_wide
from training.data import Clip
from training.simulate import head_channels

Double = npt.NDArray[np.float64]

SHORTEST = 100
EYE_WIDTH = 0.29
"""Width of an eye in outer eye distances; the recordings' iris shift is in eye widths."""


def fit_unrest(rest: Double, energy: Double) -> Double:
    """(2,) log size of the noise in silence and its slope over energy; mean square 1 over the recordings."""
    size = np.log(np.sqrt(((rest / rest.std(0)) ** 2).mean(1)) + 1e-3)
    slope = np.polyfit(energy, size, 1)[0]
    return np.array([-0.5 * np.log(np.mean(np.exp(2 * slope * energy))), slope])


def blink_moments(track: Double) -> list[int]:
    """Frames at which the eye is most closed in a blink."""
    shut, moments, i = track < 0.5, [], 0
    while i < len(track):
        if not shut[i]:
            i += 1
            continue
        stop = i + int(np.argmax(np.append(track[i:], 1.0) > 0.7))
        moments.append(i + int(np.argmin(track[i:stop])))
        i = stop
    return moments


def fit_blinks(tracks: list[Double]) -> Double:
    """(5,) gamma shape, mean interval, share of doubles, closing and opening seconds."""
    gaps, shapes, blinks, seconds = [], [], 0, 0.0
    for track in tracks:
        moments = blink_moments(track)
        gaps += list(np.diff(moments) / FRAME_RATE)
        shapes += [track[m - 6 : m + 12] for m in moments if m >= 6 and m + 12 < len(track)]
        blinks, seconds = blinks + len(moments), seconds + len(track) / FRAME_RATE
    single = np.array([gap for gap in gaps if gap > 0.5])
    double = float(np.mean(np.array(gaps) <= 0.5))
    closure = 1 - np.median(shapes, 0)
    closure = (closure - closure[:3].mean()) / (closure.max() - closure[:3].mean())
    peak = int(np.argmax(closure))
    closing = 2 * np.interp(0.5, closure[: peak + 1], np.arange(peak + 1))
    opening = np.interp(0.5, closure[peak:][::-1], np.arange(len(closure))[peak:][::-1]) - peak
    closing_frames = 2 * peak - closing
    interval = seconds / max(blinks * (1 - double), 1)
    return np.array(
        [
            single.mean() ** 2 / single.var(),
            interval,
            double,
            closing_frames / FRAME_RATE,
            3.7 * opening / FRAME_RATE,
        ]
    )


def fit_glances(clips: list[Clip]) -> Double:
    """(4,) gamma shape, mean fixation seconds,
    and the spread of glances without what makes up for the head."""
    spreads, stays = [], []
    for clip in clips:
        track = clip.iris.astype(np.float64) * EYE_WIDTH
        if len(clip) < SHORTEST or np.abs(track).max() > 0.2:
            continue
        head = np.column_stack([head_channels(clip)[:, :2], np.ones(len(clip))])
        rest = smooth_wide(track - head @ np.linalg.lstsq(head, track, rcond=None)[0], 0.7)
        spreads.append(rest.std(0))
        speed = np.linalg.norm(np.diff(rest, axis=0), axis=1)
        jumps = np.flatnonzero(
            (speed[1:-1] > 0.006) & (speed[1:-1] >= speed[:-2]) & (speed[1:-1] > speed[2:])
        )
        stays += list(np.diff(jumps) / FRAME_RATE)
    stay = np.array([gap for gap in stays if gap > 0.15])
    return np.array([stay.mean() ** 2 / stay.var(), stay.mean(), *np.median(spreads, 0)])
