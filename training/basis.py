"""A basis of mouth shapes: lips, jaw and cheeks, symmetric, from the recordings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.data import LIPS, Array, Clip, Recordings

_FLIP = np.array([-1, 1, 1], np.float32)


@dataclass(frozen=True)
class Basis:
    """vectors: (K, 468, 3) displacement per unit;
    project: (K, 468, 3) reads a coefficient off a displacement."""

    vectors: Array
    project: Array

    def read(self, shape: Array) -> Array:
        """(F, K) coefficients of (F, 468, 3) displacements."""
        return np.asarray(np.tensordot(shape, self.project, ((1, 2), (1, 2))), dtype=np.float32)

    def write(self, coefficients: Array) -> Array:
        """(F, 468, 3) displacements of (F, K) coefficients."""
        return np.asarray(np.tensordot(coefficients, self.vectors, 1), dtype=np.float32)


def speaking_region(mean: Array) -> Array:
    """(468,) 1 on mouth and jaw, fading out over nose and ears: what speech may move."""
    upper = _smoothstep(mean[:, 1], -0.42, -0.12)
    side = _smoothstep(np.abs(mean[:, 0]), 0.5, 0.75)
    return np.asarray((1 - upper) * (1 - 0.85 * side), dtype=np.float32)


def symmetric(shape: Array, recordings: Recordings) -> Array:
    """The mean of a face and its mirror image: speech does not say which corner of the mouth goes up."""
    return np.asarray(0.5 * (shape + shape[:, recordings.mirror] * _FLIP), dtype=np.float32)


def fit_basis(clips: list[Clip], recordings: Recordings, count: int) -> Basis:
    """Principal components about the closed mouth (not about the mean), lips weighted,
    unit mean square each."""
    faces = np.concatenate([symmetric(clip.shape[::2], recordings) for clip in clips])
    faces *= speaking_region(recordings.mean)[None, :, None]
    weight = np.full((468, 1), 0.5, np.float32)
    weight[LIPS] = 2.0
    root = np.sqrt(weight)
    flat = (faces * root).reshape(len(faces), -1)
    values, vectors = np.linalg.eigh((flat.T @ flat) / len(flat))
    size = np.sqrt(values[::-1][:count])
    axes = vectors[:, ::-1][:, :count].T.reshape(count, 468, 3)
    return Basis(_scaled(axes / root, size), _scaled(axes * root, 1 / size))


def _scaled(axes: npt.NDArray[np.floating], size: npt.NDArray[np.floating]) -> Array:
    return np.asarray(axes * size[:, None, None], dtype=np.float32)


def _smoothstep(x: Array, low: float, high: float) -> Array:
    t = np.clip((x - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), dtype=np.float32)
