"""Where V1 looks: the face box, the mask around it, and the part of the picture that is animated.

The arithmetic is the official one (fixtures ``v1_face_box``); where that is a bug, ``faithful`` says which of
the two is wanted. Rectangles are (left, top, right, bottom) in whole pixels, sizes (width, height).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from echomimic.media.image import Picture, resize
from echomimic.request import Settings

if TYPE_CHECKING:
    from echomimic.faces.detect import Face

Box: TypeAlias = tuple[float, float, float, float]
Rect: TypeAlias = tuple[int, int, int, int]
Size: TypeAlias = tuple[int, int]
Mask: TypeAlias = npt.NDArray[np.float32]

SURE = 0.8
"""Official: boxes count only above this probability."""
HEAD_HEIGHT = 0.32
"""Where a half-body picture that has to be cut keeps the centre of the face, in heights from the top."""


def face_box(face: Face) -> Box:
    """A box like the one the official detector gives: MTCNN learned boxes from mid-forehead to chin, cheek to cheek.

    That is what the face mesh covers, so it is the mesh's own extent.
    """
    low, high = face.points[:468, :2].min(0), face.points[:468, :2].max(0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def choose_box(boxes: Sequence[Sequence[float]] | None, scores: Sequence[float] | None) -> Box | None:
    """Official choice: the largest box whose probability is strictly above 0.8; None when there is none."""
    sure = [b for b, s in zip(boxes or (), scores or (), strict=True) if s > SURE]
    if not sure:
        return None
    x0, y0, x1, y1 = max(sure, key=lambda b: (b[2] - b[0]) * (b[3] - b[1]))
    return float(x0), float(y0), float(x1), float(y1)


def grown(box: Box, ratio: float) -> Rect:
    """The box in whole pixels, grown on every side by ``ratio`` of its width and height (truncated)."""
    x0, y0, x1, y1 = (round(v) for v in box)
    wide, high = int((x1 - x0) * ratio), int((y1 - y0) * ratio)
    return x0 - wide, y0 - high, x1 + wide, y1 + high


def clipped(rect: Rect, size: Size) -> Rect:
    """The part of ``rect`` that lies in a picture of ``size``."""
    (x0, y0, x1, y1), (width, height) = rect, size
    return max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)


def fitted(rect: Rect, size: Size, shape: float = 1.0) -> Rect:
    """The largest part of ``rect`` in the picture that has the proportions ``shape`` (width / height), centred.

    For squares these are the official numbers.
    """
    x0, y0, x1, y1 = clipped(rect, size)
    wide, high = min(x1 - x0, round((y1 - y0) * shape)), min(y1 - y0, round((x1 - x0) / shape))
    left, top = max((x0 + x1) // 2 - wide // 2, 0), max((y0 + y1) // 2 - high // 2, 0)
    return left, top, left + wide, top + high


def face_mask(box: Box, ratio: float, size: Size, *, faithful: bool = False) -> Picture:
    """(H, W) uint8 of the picture's size: 255 inside the box grown by ``ratio``.

    Official slices with negative starts wrap around, so that a mask which leaves the picture at the left or top
    is mostly empty; ``faithful`` repeats that, otherwise the mask is clamped.
    """
    x0, y0, x1, y1 = grown(box, ratio) if faithful else clipped(grown(box, ratio), size)
    mask = np.zeros((size[1], size[0]), np.uint8)
    mask[y0:y1, x0:x1] = 255
    return mask


def face_rect(box: Box, ratio: float, size: Size, target: Size, *, faithful: bool = False) -> Rect:
    """The part of a V1 picture that becomes the video: the box grown by ``ratio``, in the video's proportions.

    A ratio of 1 means no crop (as in the node): the largest part in those proportions around the face.
    ``faithful``: always a square, which the video then stretches, and a ratio of 1 is one like any other.
    """
    if faithful:
        return fitted(grown(box, ratio), size)
    if ratio >= 1:
        return around(((box[0] + box[2]) / 2, (box[1] + box[3]) / 2), size, target)
    return fitted(grown(box, ratio), size, target[0] / target[1])


def around(centre: tuple[float, float], size: Size, target: Size, height_of_centre: float = 0.5) -> Rect:
    """The largest rectangle with ``target``'s proportions in the picture, with ``centre`` as near as it goes to
    the middle of the width and to ``height_of_centre`` (0 top … 1 bottom) of the height."""
    wide = max(1, min(size[0], round(size[1] * target[0] / target[1])))
    high = max(1, min(size[1], round(size[0] * target[1] / target[0])))
    left = min(max(round(centre[0] - wide / 2), 0), size[0] - wide)
    top = min(max(round(centre[1] - high * height_of_centre), 0), size[1] - high)
    return left, top, left + wide, top + high


def body_rect(face: Face | None, size: Size, target: Size, *, faithful: bool = False) -> Rect:
    """The part of a V2 picture that becomes the video: the largest one in its proportions that keeps the head.

    ``faithful``: the whole picture, stretched.
    """
    if faithful:
        return 0, 0, *size
    if face is None:
        return around((size[0] / 2, size[1] / 2), size, target)
    x0, y0, x1, y1 = face_box(face)
    return around(((x0 + x1) / 2, (y0 + y1) / 2), size, target, HEAD_HEIGHT)


def shown_rect(face: Face | None, settings: Settings, size: Size, target: Size) -> Rect:
    """The part of a picture of ``size`` that a diffusion model's video of size ``target`` shows."""
    if settings.variant.guide == "hands" or face is None:
        return body_rect(face, size, target, faithful=settings.faithful)
    return face_rect(face_box(face), settings.facecrop_ratio, size, target, faithful=settings.faithful)


def cut_out(picture: Picture, rect: Rect, target: Size, *, faithful: bool = False) -> Picture:
    """``rect`` of the picture at ``target`` size; ``faithful`` resizes with OpenCV's bilinear filter, as V1 does."""
    x0, y0, x1, y1 = rect
    part = np.ascontiguousarray(picture[y0:y1, x0:x1])
    return _bilinear(part, target) if faithful else resize(part, *target)


def cut_mask(mask: Picture, rect: Rect, target: Size) -> Mask:
    """The mask of the same part at the same size, 0…1, with the soft edges that bilinear resizing gives it."""
    x0, y0, x1, y1 = rect
    return np.asarray(_bilinear(mask[y0:y1, x0:x1], target) / np.float32(255), np.float32)


def _bilinear(array: npt.NDArray[Any], size: Size) -> Picture:
    resized = cv2.resize(np.ascontiguousarray(array), size, interpolation=cv2.INTER_LINEAR)
    return np.asarray(resized, np.uint8)
