"""Where V1 looks: the face box, the mask around it, and the part of the picture that is animated.

The arithmetic is the official one (fixtures ``v1_face_box``); where that is a bug, ``faithful`` says which of
the two is wanted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from echomimic.arrays import AnyArray, Floats
from echomimic.framing.rectangle import Box, Rect, Size, centre_of, clip, grow, largest_part, place, shrink_to
from echomimic.media.image import Picture, resize
from echomimic.request import Settings

if TYPE_CHECKING:
    from echomimic.faces.detect import Face


HEAD_HEIGHT = 0.32
"""Where a half-body picture that has to be cut keeps the centre of the face, in heights from the top."""


def face_box(face: Face) -> Box:
    """A box like the one the official detector gives: MTCNN learned boxes from mid-forehead to chin, cheek to
    cheek.

    That is what the face mesh covers, so it is the mesh's own extent.
    """
    low, high = face.points[:468, :2].min(0), face.points[:468, :2].max(0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def face_mask(box: Box, ratio: float, size: Size, *, faithful: bool = False) -> Picture:
    """(H, W) uint8 of the picture's size: 255 inside the box grown by ``ratio``.

    Official slices with negative starts wrap around, so that a mask which leaves the picture at the left or
    top is mostly empty; ``faithful`` repeats that, otherwise the mask is clamped.
    """
    x0, y0, x1, y1 = grow(box, ratio) if faithful else clip(grow(box, ratio), size)
    mask = np.zeros((size[1], size[0]), np.uint8)
    mask[y0:y1, x0:x1] = 255
    return mask


def face_rect(box: Box, ratio: float, size: Size, target: Size, *, faithful: bool = False) -> Rect:
    """The part of a V1 picture that becomes the video: the box grown by ``ratio``, in the video's
    proportions.

    A ratio of 1 means no crop (as in the node): the largest part in those proportions around the face.
    ``faithful``: always a square, which the video then stretches, and a ratio of 1 is one like any other.
    """
    if faithful:
        return shrink_to(grow(box, ratio), size)
    if ratio >= 1:
        return place(largest_part(size, target), centre_of(box), size)
    return shrink_to(grow(box, ratio), size, target[0] / target[1])


def body_rect(face: Face | None, size: Size, target: Size, *, faithful: bool = False) -> Rect:
    """The part of a V2 picture that becomes the video: the largest one in its proportions that keeps the
    head.

    ``faithful``: the whole picture, stretched.
    """
    if faithful:
        return 0, 0, *size
    part = largest_part(size, target)
    if face is None:
        return place(part, (size[0] / 2, size[1] / 2), size)
    return place(part, centre_of(face_box(face)), size, HEAD_HEIGHT)


def shown_rect(face: Face | None, settings: Settings, size: Size, target: Size) -> Rect:
    """The part of a picture of ``size`` that a diffusion model's video of size ``target`` shows."""
    if settings.variant.subject == "body" or face is None:
        return body_rect(face, size, target, faithful=settings.faithful)
    return face_rect(face_box(face), settings.facecrop_ratio, size, target, faithful=settings.faithful)


def cut_out(picture: Picture, rect: Rect, target: Size, *, faithful: bool = False) -> Picture:
    """``rect`` of the picture at ``target`` size;
    ``faithful`` resizes with OpenCV's bilinear filter, as V1 does."""
    x0, y0, x1, y1 = rect
    part = np.ascontiguousarray(picture[y0:y1, x0:x1])
    return _bilinear(part, target) if faithful else resize(part, *target)


def cut_mask(mask: Picture, rect: Rect, target: Size) -> Floats:
    """The mask of the same part at the same size, 0…1,
    with the soft edges that bilinear resizing gives it."""
    x0, y0, x1, y1 = rect
    return np.asarray(_bilinear(mask[y0:y1, x0:x1], target) / np.float32(255), np.float32)


def _bilinear(array: AnyArray, size: Size) -> Picture:
    resized = cv2.resize(np.ascontiguousarray(array), size, interpolation=cv2.INTER_LINEAR)
    return np.asarray(resized, np.uint8)
