"""How alive a face is: blinks, head and brows, from the series of a video."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from echomimic.evaluate.result import Values
from echomimic.motion.tracks import bridge, smooth_wide

SHUT = 0.6
"""An eye counts as shut below this part of its usual opening: above squints, below every full blink."""
# Seconds; what lasts longer is a look down or a nap, not a blink (blinks last 0.1 to 0.4 s).
_LONGEST_BLINK = 0.8
# Usual lid gap over eye width below which the eyes are closed all the time, and nothing can blink.
_SHORTEST_EYE = 0.08


@dataclass(frozen=True)
class BlinkRate:
    """How many blinks, and how long one lasts, in seconds (None when there was none)."""

    count: int
    seconds: float | None


def whole(series: Values) -> Values | None:
    """The series with its gaps bridged; None when it holds nothing."""
    known = np.isfinite(series)
    return None if not known.any() else np.asarray(bridge(np.where(known, series, 0.0), known), np.float64)


def find_blinks(lid: Values, fps: float) -> BlinkRate | None:
    """The blinks in a series of lid gaps; None without a face or with eyes always closed."""
    gaps = whole(lid)
    if gaps is None:
        return None
    usual = float(np.quantile(gaps, 0.8))
    if usual < _SHORTEST_EYE:
        return None
    lengths = [n / fps for n in _runs(gaps < SHUT * usual) if n / fps <= _LONGEST_BLINK]
    return BlinkRate(len(lengths), float(np.mean(lengths)) if lengths else None)


def _runs(flags: npt.NDArray[np.bool_]) -> list[int]:
    """The lengths of the runs of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return [int(n) for n in edges[1::2] - edges[::2]]


def head_speed(pitch: Values, yaw: Values, roll: Values, fps: float) -> float | None:
    """Mean speed of the head's turning, degrees per second, trembling (under 0.1 s) smoothed away."""
    angles = [whole(series) for series in (pitch, yaw, roll)]
    if any(track is None or len(track) < 3 for track in angles):
        return None
    turned = smooth_wide(np.stack([track for track in angles if track is not None], 1), 0.05 * fps)
    return float(np.linalg.norm(np.diff(turned, axis=0), axis=1).mean() * fps)


def brow_movement(brow: Values, fps: float) -> float | None:
    """Deviation of the brows' height, in hundredths of the eye distance, trembling smoothed away."""
    height = whole(brow)
    return None if height is None or len(height) < 3 else float(100 * smooth_wide(height, 0.05 * fps).std())
