"""What is read off each picture as such: brightness, whether it is a repeat,
and flicker where nothing moves."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from echomimic.evaluate.face_meter import Shot
from echomimic.evaluate.result import Values
from echomimic.faces.detect import extent

_Grid = npt.NDArray[np.float64]

# Pixels of the longer side at which brightness is compared.
_SIDE = 384
CELL = 16
"""Pixels of a cell at that size."""
FROZEN, FROZEN_SHARE = 0.35, 0.04
"""A frame repeats the one before when no cell changed by more than this many levels, or than this share of
what lively frames change by. Repeats that went through H.264 reach 2 % to 4 % of it, the stillest frames of
real talk 4 %."""
# The share of the cells outside the face that counts as still: those that change least.
_STILL = 0.25
# The face's box is grown by this part of its height on every side: hair moves with it.
_AROUND = 0.15


class PictureMeter:
    """Series: luma (mean, 0 to 255), change (the most that a cell's pixels changed since the frame before,
    mean over the cell, in levels). Total: flicker, the deviation of the still cells' brightness from frame to
    frame, in levels.
    """

    def __init__(self) -> None:
        self._before: _Grid | None = None
        self._means: _Grid | None = None
        self._steps: _Grid = np.zeros(0)
        self._squares: _Grid = np.zeros(0)
        self._moved: _Grid = np.zeros(0)
        self._count = 0
        self._outside: npt.NDArray[np.bool_] | None = None

    def read(self, shot: Shot) -> dict[str, float]:
        grey = _small(shot.picture)
        means = _cells(grey)
        if self._outside is None:
            self._outside = np.ones(means.shape, bool)
        self._outside &= ~_covered(shot, means.shape)
        read = {"luma": float(means.mean())}
        if self._before is not None and self._means is not None:
            moved = _cells(np.abs(grey - self._before))
            self._gather(means - self._means, moved)
            read["change"] = float(moved.max())
        self._before, self._means = grey, means
        return read

    def _gather(self, step: _Grid, moved: _Grid) -> None:
        if not self._count:
            self._steps = self._squares = self._moved = np.zeros(step.shape)
        self._steps = self._steps + step
        self._squares = self._squares + step**2
        self._moved = self._moved + moved
        self._count += 1

    def totals(self) -> dict[str, float]:
        """Flicker; nothing when the face fills the picture or there is one frame only."""
        if not self._count or self._outside is None or not self._outside.any():
            return {}
        moved = self._moved[self._outside]
        still = moved <= np.quantile(moved, _STILL)
        variance = self._squares / self._count - (self._steps / self._count) ** 2
        return {"flicker": float(np.sqrt(np.maximum(variance[self._outside][still], 0).mean()))}


def repeats(change: Values) -> Values:
    """(F,) 1 for each frame that repeats the one before, else 0, from the series `change`."""
    known = change[np.isfinite(change)]
    limit = max(FROZEN, FROZEN_SHARE * float(np.quantile(known, 0.9))) if len(known) else FROZEN
    return (change < limit).astype(np.float64)


def _small(picture: npt.NDArray[np.uint8]) -> _Grid:
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    shrink = _SIDE / max(grey.shape)
    size = tuple(max(CELL, round(n * shrink / CELL) * CELL) for n in grey.shape[::-1])
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.float64)


def _cells(grey: _Grid) -> _Grid:
    """The mean of every cell."""
    rows, columns = grey.shape[0] // CELL, grey.shape[1] // CELL
    return np.asarray(grey.reshape(rows, CELL, columns, CELL).mean((1, 3)), np.float64)


def _covered(shot: Shot, shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """The cells in which the face and its surroundings lie."""
    covered = np.zeros(shape, bool)
    if shot.face is None:
        return covered
    height, width = shot.picture.shape[:2]
    x0, y0, x1, y1 = extent(shot.face.points)
    margin = _AROUND * (y1 - y0)
    rows = np.clip(np.array([y0 - margin, y1 + margin]) * shape[0] / height, 0, shape[0])
    columns = np.clip(np.array([x0 - margin, x1 + margin]) * shape[1] / width, 0, shape[1])
    covered[int(rows[0]) : int(np.ceil(rows[1])), int(columns[0]) : int(np.ceil(columns[1]))] = True
    return covered
