"""A crop shows what its square says, whatever the picture's size."""

import math

import numpy as np
import pytest

from echomimic.faces.square import Pyramid, Square, square_of
from echomimic.media.image import Picture


def ramp(width: int, height: int) -> Picture:
    """Red tells x, green tells y, in 0…250."""
    x, y = np.meshgrid(np.linspace(0, 250, width), np.linspace(0, 250, height))
    return np.asarray(np.stack([x, y, np.zeros_like(x)], -1).round(), np.uint8)


@pytest.mark.parametrize("width", [200, 1001])
@pytest.mark.parametrize("angle", [0.0, 0.5])
def test_columns_and_rows_of_a_crop_lie_where_the_square_says(width: int, angle: float) -> None:
    picture = Pyramid(ramp(width, width))
    square = Square(width * 0.5, width * 0.45, width * 0.4, angle)
    pixels = picture.cut(square, 64)[0, :, :, :2] * 255
    where = np.array([[10, 20], [32, 32], [50, 5]], np.float32)
    there = square.to_picture(where / np.float32(64)) / (width - 1) * 250
    seen = np.array([pixels[int(y), int(x)] for x, y in where])
    assert np.abs(seen - there).max() < 1.2


def test_what_lies_outside_is_the_edge_or_black() -> None:
    picture = Pyramid(np.full((40, 60, 3), 255, np.uint8))
    beside = Square(-100, 20, 30)
    assert (picture.cut(beside, 16) == 1).all()
    assert (picture.cut(beside, 16, low=-1.0, replicate=False) == -1).all()


def test_a_square_around_points_turns_with_them() -> None:
    c, s = math.cos(0.6), math.sin(0.6)
    turn = np.array([[c, s], [-s, c]], np.float32)
    corners = np.array([[-10, -5], [10, -5], [10, 5], [-10, 5]], np.float32)
    points = corners @ turn + np.array([100, 80], np.float32)
    square = square_of(points, points[0], points[1], 1.5)
    assert (square.x, square.y, square.side, square.angle) == pytest.approx((100, 80, 30, 0.6), rel=1e-5)
