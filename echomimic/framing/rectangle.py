"""Rectangles in a picture: the one solver for "which part, of these proportions, around this place?".

Rectangles are (left, top, right, bottom) in whole pixels, boxes the same in fractions of pixels, sizes
(width, height).
"""

from __future__ import annotations

from typing import TypeAlias

Box: TypeAlias = tuple[float, float, float, float]
Rect: TypeAlias = tuple[int, int, int, int]
Size: TypeAlias = tuple[int, int]


def largest_part(size: Size, proportions: Size) -> Size:
    """The largest size with the proportions (width : height) that fits into a picture of ``size``."""
    wide = max(1, min(size[0], round(size[1] * proportions[0] / proportions[1])))
    high = max(1, min(size[1], round(size[0] * proportions[1] / proportions[0])))
    return wide, high


def place(part: Size, centre: tuple[float, float], size: Size, height_of_centre: float = 0.5) -> Rect:
    """A rectangle of size ``part`` inside a picture of ``size``, as near as it goes to ``centre``.

    ``centre`` is aimed at the middle of the rectangle's width and at ``height_of_centre`` (0 top … 1 bottom)
    of its height.
    """
    left = min(max(round(centre[0] - part[0] / 2), 0), size[0] - part[0])
    top = min(max(round(centre[1] - part[1] * height_of_centre), 0), size[1] - part[1])
    return left, top, left + part[0], top + part[1]


def centre_of(box: Box) -> tuple[float, float]:
    """The middle of a box."""
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def grow(box: Box, ratio: float) -> Rect:
    """The box in whole pixels, grown on every side by ``ratio`` of its width
    and height (truncated, as official)."""
    x0, y0, x1, y1 = (round(v) for v in box)
    wide, high = int((x1 - x0) * ratio), int((y1 - y0) * ratio)
    return x0 - wide, y0 - high, x1 + wide, y1 + high


def clip(rect: Rect, size: Size) -> Rect:
    """The part of ``rect`` that lies in a picture of ``size``."""
    (x0, y0, x1, y1), (width, height) = rect, size
    return max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)


def shrink_to(rect: Rect, size: Size, proportions: float = 1.0) -> Rect:
    """The largest part of ``rect`` in the picture that has the ``proportions`` (width / height), centred.

    For squares these are the official numbers (fixtures ``v1_face_box``), whose centre is rounded down.
    """
    x0, y0, x1, y1 = clip(rect, size)
    wide, high = min(x1 - x0, round((y1 - y0) * proportions)), min(y1 - y0, round((x1 - x0) / proportions))
    left, top = max((x0 + x1) // 2 - wide // 2, 0), max((y0 + y1) // 2 - high // 2, 0)
    return left, top, left + wide, top + high
