"""What the frame shows: the part of the picture, and the size of the video."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from echomimic.errors import SettingsError
from echomimic.faces.detect import Face
from echomimic.framing.crop import shown_rect
from echomimic.media.image import Picture, resize
from echomimic.request import Settings

Vector = npt.NDArray[Any]
Ramp = npt.NDArray[np.float32]

DEFAULT_SIZE = 512
LONGEST = 1920
SMALLEST, LARGEST = 16, 8192
"""Pixels a side of the videos that encoders and players take."""

HEAD_SPAN = 2.1
"""Side of the head crop, in heights of the face mesh (brow to chin)."""


@dataclass(frozen=True)
class Frame:
    """``left, top, right, bottom`` is the part of the picture that is shown, at ``width`` × ``height`` pixels."""

    left: int
    top: int
    right: int
    bottom: int
    width: int
    height: int

    def cut(self, picture: Picture) -> Picture:
        """The shown part at the picture's own resolution."""
        cut: Picture = picture[self.top : self.bottom, self.left : self.right]
        return cut

    def paste(self, frame: Picture, picture: Picture) -> Picture:
        """``frame`` back in its place in ``picture``, with a soft edge where it does not touch the border."""
        width, height = self.right - self.left, self.bottom - self.top
        alpha = self._soft_edge(width, height, picture.shape)[..., None]
        out: Picture = picture.copy()
        under = out[self.top : self.bottom, self.left : self.right]
        mixed = resize(frame, width, height) * alpha + under * (1.0 - alpha)
        under[:] = (mixed + 0.5).astype(np.uint8)
        return out

    def _soft_edge(self, width: int, height: int, shape: tuple[int, ...]) -> Ramp:
        band = max(2.0, 0.08 * min(width, height))
        x, y = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
        far = np.float32(band)
        left = x if self.left > 0 else np.full_like(x, far)
        right = x[::-1] if self.right < shape[1] else np.full_like(x, far)
        top = y if self.top > 0 else np.full_like(y, far)
        bottom = y[::-1] if self.bottom < shape[0] else np.full_like(y, far)
        edge = np.minimum(np.minimum(left, right)[None], np.minimum(top, bottom)[:, None])
        ramp = np.clip(edge / band, 0.0, 1.0)
        return np.asarray(ramp * ramp * (3.0 - 2.0 * ramp), dtype=np.float32)


def frame_for(picture: Picture, face: Face | None, settings: Settings) -> tuple[Frame, str]:
    """The frame that shows ``picture`` as asked, and a note when a size had to be rounded to even pixels.

    Proportions are kept: of a missing width or height the other follows; where both are given, the largest part
    of that shape around the face is shown. Without any, the shorter side is 512 pixels.
    The diffusion models have a size of their own, and show what ``faces.crop`` says.
    """
    width, height, size = settings.width, settings.height, settings.size
    if settings.variant.engine == "diffusion":
        own = size or settings.variant.size
        target = (width or own, height or own)
        return Frame(*shown_rect(face, settings, (picture.shape[1], picture.shape[0]), target), *target), ""
    shape = width / height if width and height else None
    centre, span = _extent(picture, face)
    if settings.crop == "head":
        left, top, right, bottom = _head(picture, centre, span, shape or 1.0)
    else:
        left, top, right, bottom = _whole(picture, centre, shape)
    wanted = _pixels(right - left, bottom - top, width, height, size)
    even = (_even(wanted[0]), _even(wanted[1]))
    if max(even) > LARGEST or min(even) < SMALLEST:
        raise SettingsError(
            f"the video would be {even[0]}x{even[1]} pixels; {SMALLEST} to {LARGEST} a side can be made: "
            "give another size, both width and height, or crop head"
        )
    asked_odd = any(given and given % 2 for given in (width, height, size))
    note = f"{wanted[0]}x{wanted[1]} rounded to even pixels: {even[0]}x{even[1]}" if asked_odd else ""
    return Frame(left, top, right, bottom, *even), note


def _pixels(wide: int, high: int, width: int | None, height: int | None, size: int | None) -> tuple[int, int]:
    if width:
        scale = width / wide
    elif height:
        scale = height / high
    elif size:
        scale = size / min(wide, high)
    else:
        scale = min(DEFAULT_SIZE / min(wide, high), LONGEST / max(wide, high))
    return width or round(wide * scale), height or round(high * scale)


def _even(pixels: int) -> int:
    return max(2, pixels - pixels % 2)


def _extent(picture: Picture, face: Face | None) -> tuple[Vector, float]:
    """Centre and larger side of the face, in pixels; of the picture when there is none."""
    if face is None:
        height, width = picture.shape[:2]
        return np.array([width / 2, height / 2]), float(min(width, height))
    low, high = face.points[:, :2].min(0), face.points[:, :2].max(0)
    return (low + high) / 2, float(max(high - low))


def _whole(picture: Picture, centre: Vector, shape: float | None) -> tuple[int, int, int, int]:
    height, width = picture.shape[:2]
    if shape is None:
        return 0, 0, width, height
    wide, high = min(width, round(height * shape)), min(height, round(width / shape))
    return _placed(centre, max(1, wide), max(1, high), width, height)


def _head(picture: Picture, centre: Vector, span: float, shape: float) -> tuple[int, int, int, int]:
    height, width = picture.shape[:2]
    side = min(span * HEAD_SPAN, width / max(1.0, shape), height * min(1.0, shape))
    wide, high = round(side * max(1.0, shape)), round(side / min(1.0, shape))
    return _placed(centre + np.array([0.0, 0.04 * side]), min(wide, width), min(high, height), width, height)


def _placed(centre: Vector, wide: int, high: int, width: int, height: int) -> tuple[int, int, int, int]:
    left = int(np.clip(round(float(centre[0]) - wide / 2), 0, width - wide))
    top = int(np.clip(round(float(centre[1]) - high / 2), 0, height - high))
    return left, top, left + wide, top + high
