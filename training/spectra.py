"""Spectra of recorded motion, and the linear process that has them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Double = npt.NDArray[np.float64]
Cross = npt.NDArray[np.complex128]

WINDOW, HOP = 100, 25
"""Frames of a window, and from one to the next: four seconds are the slowest that short clips can tell of."""
BINS = WINDOW // 2 + 1
_FINE = 1024
"""Points of the spectrum that autocovariances are taken from: slow motion must not wrap round."""
_FLOOR = 1e-8
"""Least power of a channel over its greatest: recorded tracks are smoothed, and nothing learns from what is
left above that."""
_NEAR = 3
"""Bins to either side over which a window's power is evened out."""
_SMOOTH = np.array([0.25, 0.5, 0.25])


def window_spectra(track: Double) -> Cross:
    """(W, BINS, D) of a track (F, D) about its mean."""
    off = track - track.mean(0)
    starts = range(0, len(track) - WINDOW + 1, HOP)
    shaped = [off[start : start + WINDOW] * np.hanning(WINDOW)[:, None] for start in starts]
    return np.fft.rfft(np.array(shaped).reshape(-1, WINDOW, track.shape[1]), axis=1)


def log_power(tracks: Sequence[Double]) -> Double:
    """(BINS, D) logarithm of the power: means over each track's windows, and the median track of these."""
    usual = np.median([np.log(np.abs(window_spectra(track)) ** 2 + 1e-14).mean(0) for track in tracks], 0)
    usual[0] = usual[1]  # clips are about their mean
    return smooth_bins(usual)


def smooth_bins(spectrum: Double) -> Double:
    """Neighbouring frequencies averaged."""
    padded = np.concatenate([spectrum[:1], spectrum, spectrum[-1:]])
    return np.asarray(sum(w * padded[i : i + len(spectrum)] for i, w in enumerate(_SMOOTH)))


def coherence(tracks: Sequence[Double]) -> Cross:
    """(BINS, D, D) how channels go together at each frequency; ones on the diagonal."""
    parts = np.concatenate([window_spectra(track) for track in tracks])
    near = np.pad(np.abs(parts) ** 2, ((0, 0), (_NEAR, _NEAR), (0, 0)), mode="edge")
    sums = np.lib.stride_tricks.sliding_window_view(near, 2 * _NEAR + 1, axis=1).mean(-1)
    even = parts / np.sqrt(sums + 1e-12)  # every window counts alike, however much moves in it
    cross: Cross = np.einsum("wbi,wbj->bij", even, even.conj())
    padded = np.concatenate([cross[:1], cross, cross[-1:]])
    cross = np.asarray(sum(w * padded[i : i + BINS] for i, w in enumerate(_SMOOTH)))
    size = np.sqrt(np.einsum("bii->bi", cross).real)
    return np.asarray(cross / (size[:, :, None] * size[:, None, :]))


def linear_process(log_target: Double, together: Cross, order: int) -> tuple[Double, Double]:
    """Memory (P, D, D), newest first, and noise (D, D) lower triangular of the process with these spectra.

    Yule and Walker's equations with the autocovariances of the target.
    """
    target = log_target - np.log((np.hanning(WINDOW) ** 2).sum())
    size = np.exp(0.5 * np.maximum(target, target.max(0) + np.log(_FLOOR)))
    cross = together * size[:, :, None] * size[:, None, :]
    grid = np.linspace(0, BINS - 1, _FINE // 2 + 1)
    low = np.minimum(grid.astype(int), BINS - 2)
    part = (grid - low)[:, None, None]
    # rows lead columns: E[x(t + k) x(t)'] is the inverse transform of E[X X*]
    lags: Double = np.fft.irfft(cross[low] * (1 - part) + cross[low + 1] * part, _FINE, axis=0)
    channels = lags.shape[1]
    blocks = [[lags[(j - i) % _FINE] for j in range(order)] for i in range(order)]
    system = np.block(blocks)
    right = np.concatenate([lags[k] for k in range(1, order + 1)], 1)
    weights = np.linalg.solve(system + 1e-9 * np.trace(system) / len(system) * np.eye(len(system)), right.T).T
    memory = np.stack(np.split(weights, order, axis=1))
    noise = lags[0] - weights @ right.T
    noise = 0.5 * (noise + noise.T) + 1e-12 * np.eye(channels)
    return memory, np.linalg.cholesky(noise)
