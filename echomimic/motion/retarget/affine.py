"""Affine maps between point sets, fitted as the official motion sync fits them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from echomimic.arrays import Doubles

# Last component of the unit solution below which the map would stretch a millionfold.
_UNDETERMINED = 1e-6


def fit_affine(source: npt.ArrayLike, target: npt.ArrayLike) -> Doubles:
    """The (d + 1, d + 1) homogeneous affine map that takes `source` (N, d) to `target` (N, d).

    Homogeneous total least squares over centred and scaled points, which is what scikit-image does, not
    ordinary least squares (fixture `v1_motion_sync`, `affine_params`). Points that determine no map, all on
    a line or in one place, are moved from centre to centre.
    """
    a, a_frame = _normalised(np.asarray(source, np.float64))
    b, b_frame = _normalised(np.asarray(target, np.float64))
    count, width = a.shape
    system = np.zeros((count * width, width * (width + 1) + 1))
    for axis in range(width):
        rows = slice(axis * count, (axis + 1) * count)
        start = axis * (width + 1)
        system[rows, start : start + width] = a
        system[rows, start + width] = 1.0
        system[rows, -1] = b[:, axis]
    smallest = np.linalg.svd(system, full_matrices=True)[2][-1]
    fitted = np.eye(width + 1)
    if abs(smallest[-1]) < _UNDETERMINED:
        fitted[:width, width] = np.asarray(target, np.float64).mean(0) - np.asarray(source, np.float64).mean(
            0
        )
        return fitted
    fitted[:width] = (-smallest[:-1] / smallest[-1]).reshape(width, width + 1)
    whole: Doubles = np.linalg.inv(b_frame) @ fitted @ a_frame
    whole /= whole[-1, -1]
    return whole


def apply_affine(affine: Doubles, points: npt.ArrayLike) -> Doubles:
    """(..., d) points mapped by a (d + 1, d + 1) affine map."""
    width = len(affine) - 1
    mapped: Doubles = np.asarray(points, np.float64) @ affine[:width, :width].T + affine[:width, width]
    return mapped


def _normalised(points: Doubles) -> tuple[Doubles, Doubles]:
    """Points about their centroid at root mean squared norm sqrt(d), and the map that made them so."""
    centre, width = points.mean(0), points.shape[1]
    spread = np.sqrt(((points - centre) ** 2).sum(1).mean())
    factor = np.sqrt(width) / spread if spread > 0 else 1.0
    frame = np.eye(width + 1) * factor
    frame[:width, width] = -factor * centre
    frame[width, width] = 1.0
    return (points - centre) * factor, frame
