"""Rotated square crops of a picture, of any size, without aliasing: what every network here looks at."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from echomimic.arrays import Floats, Picture


@dataclass(frozen=True)
class Square:
    """A rotated square in a picture: what a network sees."""

    x: float
    y: float
    """Centre, pixels (a pixel's centre has whole coordinates)."""
    side: float
    """Pixels."""
    angle: float = 0.0
    """Radians, clockwise as seen."""

    def to_picture(self, points: Floats) -> Floats:
        """Points (n, 2 or 3) in fractions of the square → pixels of the picture; z is scaled like x and y."""
        c, s = math.cos(self.angle) * self.side, math.sin(self.angle) * self.side
        moved = np.array(points, np.float32)
        u, v = moved[:, 0] - 0.5, moved[:, 1] - 0.5
        moved[:, 0], moved[:, 1] = self.x + c * u - s * v, self.y + s * u + c * v
        moved[:, 2:] *= self.side
        return moved


def square_of(points: Floats, left: Floats, right: Floats, scale: float) -> Square:
    """The square around points (n, 2), `scale` times their longer extent,
    turned so that left → right lies level."""
    angle = math.atan2(right[1] - left[1], right[0] - left[0])
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]], np.float32)
    upright = points @ turn
    low, high = upright.min(0), upright.max(0)
    x, y = turn @ ((low + high) / 2)
    return Square(float(x), float(y), float((high - low).max()) * scale, angle)


class Pyramid:
    """A picture and its halves, made when needed, so that a large crop costs no more than a small one."""

    def __init__(self, rgb: Picture) -> None:
        self.levels = [np.ascontiguousarray(rgb)]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, pixels."""
        height, width = self.levels[0].shape[:2]
        return width, height

    def whole(self) -> Square:
        """The smallest upright square that holds the picture."""
        width, height = self.size
        return Square((width - 1) / 2, (height - 1) / 2, max(width, height))

    def level(self, shrink: float) -> Picture:
        """The smallest level that still has the detail for a crop shrunk `shrink` times."""
        index = max(0, int(math.log2(max(shrink, 1.0))))
        while len(self.levels) <= index:
            height, width = self.levels[-1].shape[:2]
            half = (max(1, (width + 1) // 2), max(1, (height + 1) // 2))
            self.levels.append(_shrunk(self.levels[-1], half))
        return self.levels[index]

    def cut(self, square: Square, side: int, *, low: float = 0.0, replicate: bool = True) -> Floats:
        """The square as pixels (1, side, side, 3) float32 in `low`…1;
        outside the picture: its edge, or black."""
        source = self.level(square.side / side)
        width, height = self.size
        fx, fy = source.shape[1] / width, source.shape[0] / height
        step = square.side / side
        c, s = math.cos(square.angle) * step, math.sin(square.angle) * step
        matrix = np.array([[c, -s, 0], [s, c, 0]])
        matrix[:, 2] = np.array([square.x, square.y]) - matrix[:, :2] @ np.array([side / 2, side / 2])
        # a level's pixel centres lie between those of the picture
        matrix[:, 2] += 0.5
        matrix *= np.array([[fx], [fy]])
        matrix[:, 2] -= 0.5
        flags = cv2.WARP_INVERSE_MAP | (cv2.INTER_CUBIC if step < 1 else cv2.INTER_LINEAR)
        border = cv2.BORDER_REPLICATE if replicate else cv2.BORDER_CONSTANT
        crop = cv2.warpAffine(source, matrix, (side, side), flags=flags, borderMode=border)
        pixels: Floats = crop[None].astype(np.float32) * np.float32((1 - low) / 255) + np.float32(low)
        return pixels


def _shrunk(rgb: Picture, size: tuple[int, int]) -> Picture:
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
