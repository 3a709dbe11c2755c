"""How the picture compares with the portrait: detail of mouth and teeth,
colour of the skin, seam of a paste-back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from echomimic.arrays import Floats
from echomimic.evaluate.face_meter import Shot, lips
from echomimic.faces.detect import Face
from echomimic.faces.geometry import (
    LOWER_LIP_INNER,
    LOWER_LIP_OUTER,
    UPPER_LIP_INNER,
    UPPER_LIP_OUTER,
    eye_distance,
)
from echomimic.faces.square import Pyramid, Square
from echomimic.media.image import Picture, resize

FINEST = 128
"""Pixels per eye distance at which faces are compared at most:
finer detail does not survive a 512-pixel video."""
# Smaller faces have no detail to compare; they are enlarged to this.
_COARSEST = 24
# Side of the compared crop, in eye distances: brows to chin.
_WIDE = 2.2
# Its centre lies this far below the eyes.
_DOWN = 0.45
# Mesh points on cheeks and forehead, where neither hair nor speech comes.
_SKIN = [50, 280, 117, 346, 205, 425, 151, 9, 108, 337]
_LIPS = [*UPPER_LIP_OUTER, *LOWER_LIP_OUTER]
_INNER = [*UPPER_LIP_INNER, *LOWER_LIP_INNER[-2:0:-1]]
# Around the lips, in widths of them: their edge is what blurs first.
_LIP_MARGIN = 0.12
Band: TypeAlias = tuple[float, float]
"""Detail is what lies between two sizes in pixels (sigmas of a Gaussian); 0: however fine."""
FINE: Band = (0.0, 1.2)
TEETH: Band = (0.7, 2.0)
"""Of teeth, what is as fine as the noise at a block's edge does not count: coarse H.264 would seem sharp."""
# Opening in eye distances from which there is room to see teeth.
_TEETH_SHOW = 0.04


@dataclass(frozen=True)
class Sitter:
    """The picture that a video is compared with, and the face in it."""

    picture: Picture
    face: Face


def aligned(picture: Pyramid, points: Floats, scale: float) -> tuple[Floats, Floats]:
    """The face turned upright at `scale` pixels per eye distance:
    pixels (n, n, 3) in 0 to 1, its points (478, 2)."""
    left, right = points[33, :2], points[263, :2]
    angle = float(np.arctan2(right[1] - left[1], right[0] - left[0]))
    unit = eye_distance(points)
    down = np.array([-np.sin(angle), np.cos(angle)]) * _DOWN * unit
    x, y = (left + right) / 2 + down
    square = Square(float(x), float(y), _WIDE * unit, angle)
    side = round(_WIDE * scale)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    inside = (points[:, :2] - [x, y]) @ turn / square.side + 0.5
    return picture.cut(square, side)[0], (inside * side).astype(np.float32)


def detail(
    crop: Floats, points: Floats, part: list[int], band: Band = FINE, *, hull: bool = False
) -> float | None:
    """Deviation of the detail around some points over their mean brightness; None where there is nothing.

    hull: only within the outline that the points make, without its rim; else in their box and a margin.
    """
    grey = np.asarray(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), np.float32)
    lower = grey if band[0] == 0 else cv2.GaussianBlur(grey, (0, 0), band[0])
    shown = np.asarray(lower - cv2.GaussianBlur(grey, (0, 0), band[1]), np.float32)
    if hull:
        mask = np.zeros(grey.shape, np.uint8)
        cv2.fillPoly(mask, [np.rint(points[part]).astype(np.int32)], 1)
        chosen = cv2.erode(mask, np.ones((3, 3), np.uint8)) > 0
        return None if chosen.sum() < 12 else _contrast(shown[chosen], grey[chosen])
    low, high = points[part].min(0), points[part].max(0)
    margin = _LIP_MARGIN * (high[0] - low[0])
    x0, y0 = np.maximum(0, np.floor(low - margin)).astype(int)
    x1, y1 = np.ceil(high + margin).astype(int)
    return _contrast(shown[y0:y1, x0:x1], grey[y0:y1, x0:x1])


def _contrast(shown: Floats, grey: Floats) -> float:
    return float(shown.std() / max(float(grey.mean()), 0.02))


def skin_colour(crop: Floats, points: Floats) -> Floats:
    """(3,) mean CIE L*a*b* of cheeks and forehead."""
    blurred = cv2.blur(crop, (5, 5))
    x, y = np.clip(np.rint(points[_SKIN]).astype(int), 0, crop.shape[0] - 1).T
    lab: Floats = cv2.cvtColor(np.clip(blurred[y, x], 0, 1)[None].astype(np.float32), cv2.COLOR_RGB2LAB)
    return np.asarray(lab[0].mean(0), np.float32)


class LikenessMeter:
    """Series: mouth_sharpness, teeth_sharpness (shares of the portrait's), colour (ΔE*ab of the skin against
    it).

    Both faces are laid upright at the same pixels per eye distance, the coarser one's, at most `FINEST`.
    Without a portrait the first frame that shows the face takes its place.
    """

    def __init__(self, sitter: Sitter | None) -> None:
        self._sitter = sitter
        self._scale = 0.0
        self._sharp, self._teeth, self._colour = 0.0, 0.0, np.zeros(3, np.float32)

    def read(self, shot: Shot) -> dict[str, float]:
        if shot.face is None:
            return {}
        if not self._scale:
            self._begin(shot, shot.face)
        crop, points = aligned(Pyramid(shot.picture), shot.face.points, self._scale)
        mouth = detail(crop, points, _LIPS) or 0.0
        read = {
            "mouth_sharpness": mouth / self._sharp,
            "colour": float(np.linalg.norm(skin_colour(crop, points) - self._colour)),
        }
        if lips(shot.face)[0] < _TEETH_SHOW:
            return read
        teeth = detail(crop, points, _INNER, TEETH, hull=True)
        return read if teeth is None else read | {"teeth_sharpness": teeth / self._teeth}

    def _begin(self, shot: Shot, face: Face) -> None:
        self._sitter = self._sitter or Sitter(shot.picture, face)
        shorter = min(eye_distance(face.points), eye_distance(self._sitter.face.points))
        self._scale = float(np.clip(shorter, _COARSEST, FINEST))
        crop, points = aligned(Pyramid(self._sitter.picture), self._sitter.face.points, self._scale)
        self._sharp = max(detail(crop, points, _LIPS) or 0.0, 1e-4)
        self._teeth = max(detail(crop, points, _LIPS, TEETH) or 0.0, 1e-4)
        self._colour = skin_colour(crop, points)

    def totals(self) -> dict[str, float]:
        return {}


class SeamMeter:
    """Total: seam, the strongest straight step between video and portrait outside what moves, in levels.

    Only for a video that shows the whole portrait (what paste-back makes): its rim must be the portrait's.
    """

    SIDE = 384
    """Pixels of the longer side at which the two are compared."""
    _RIM, _RIM_LEVELS = 0.04, 8.0
    """The rim, in sides, and how far it may differ for the video to show the whole portrait."""
    # Levels of deviation in time from which a pixel moves.
    _MOVING = 4.0
    # Levels from which something still was laid over the picture, such as a label; no seam is so strong.
    _LAID = 60.0
    # A step counts when it runs straight for this part of the picture.
    _LENGTH = 0.12
    _STEP = 3

    def __init__(self, portrait: Picture, every: int) -> None:
        self._portrait, self._every = portrait, every
        self._base: npt.NDArray[np.float64] | None = None
        self._sum, self._squares, self._count = np.zeros(0), np.zeros(0), 0

    def read(self, shot: Shot) -> dict[str, float]:
        if shot.number % self._every:
            return {}
        height, width = shot.picture.shape[:2]
        shrink = min(1.0, self.SIDE / max(width, height))
        size = (round(width * shrink), round(height * shrink))
        if self._base is None:
            self._base = _grey(self._portrait, size)
        gap = _grey(shot.picture, size) - self._base
        self._sum = self._sum + gap if self._count else gap
        self._squares = self._squares + gap**2 if self._count else gap**2
        self._count += 1
        return {}

    def totals(self) -> dict[str, float]:
        if self._base is None or self._base.shape[0] < 32 or self._base.shape[1] < 32:
            return {}
        mean = self._sum / self._count
        portrait, video = self._portrait.shape, self._base.shape
        shapes = abs(portrait[0] / portrait[1] - video[0] / video[1])
        if shapes > 0.02 or self._rim(mean) > self._RIM_LEVELS:
            return {}
        moving = np.sqrt(np.maximum(self._squares / self._count - mean**2, 0)) > self._MOVING
        moving |= self._laid_over(mean, moving)
        return {"seam": max(self._steps(mean, moving), self._steps(mean.T, moving.T))}

    def _laid_over(
        self, mean: npt.NDArray[np.float64], moving: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.bool_]:
        """Where a label or a logo lies: the boxes around what is still and far off, and a rim around them."""
        covered = np.zeros(mean.shape, bool)
        far = ((np.abs(mean) > self._LAID) & ~moving).astype(np.uint8)
        joined = cv2.dilate(far, np.ones((9, 9), np.uint8))
        for x, y, wide, high, area in cv2.connectedComponentsWithStats(joined)[2][1:]:
            if area > 0.5 * wide * high:
                rim = high // 2
                covered[max(0, y - rim) : y + high + rim, max(0, x - rim) : x + wide + rim] = True
        return covered

    def _rim(self, mean: npt.NDArray[np.float64]) -> float:
        wide = max(2, round(self._RIM * min(mean.shape)))
        inner = np.zeros(mean.shape, bool)
        inner[wide:-wide, wide:-wide] = True
        return float(np.abs(mean[~inner]).mean())

    def _steps(self, mean: npt.NDArray[np.float64], moving: npt.NDArray[np.bool_]) -> float:
        """The strongest step from left to right that runs straight from top to bottom for long enough."""
        reach, length = self._STEP, max(8, round(self._LENGTH * mean.shape[0]))
        box = np.ones(reach) / reach
        right = np.apply_along_axis(np.convolve, 1, mean, box, "valid")
        step = right[:, reach:] - right[:, :-reach]
        still = ~(cv2.dilate(moving.astype(np.uint8), np.ones((1, 2 * reach + 1), np.uint8)) > 0)
        still = still[:, reach : reach + step.shape[1]]
        along = cv2.blur(np.where(still, step, 0.0), (1, length), borderType=cv2.BORDER_CONSTANT)
        return float(np.abs(along).max())


def _grey(picture: Picture, size: tuple[int, int]) -> npt.NDArray[np.float64]:
    return np.asarray(cv2.cvtColor(resize(picture, *size), cv2.COLOR_RGB2GRAY), np.float64)
