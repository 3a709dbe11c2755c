"""What the video shows of the portrait: the part, the size, and how the finished frames are pasted back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from echomimic.arrays import Floats, smoothstep
from echomimic.errors import SettingsError
from echomimic.faces.detect import Face
from echomimic.framing.crop import shown_rect
from echomimic.framing.rectangle import Rect, Size, largest_part, place
from echomimic.media.image import Picture, resize
from echomimic.request import Settings

# The models' own size for the shorter side, unless the longer one would then exceed full HD's.
DEFAULT_SIZE = 512
LONGEST = 1920
SMALLEST_VIDEO, LARGEST_VIDEO = 16, 8192
"""Pixels a side of the videos that encoders and players take."""

HEAD_SPAN = 2.1
"""Side of the head crop, in heights of the face mesh (brow to chin)."""
HEAD_DROP = 0.04
"""How far the head crop's centre lies below the face's, in its sides:
hair needs less room than neck and shoulders."""

SOFT_EDGE, SOFT_EDGE_LEAST = 0.08, 2.0
"""Width of the band over which a pasted crop blends in: a share of its shorter side, and pixels."""


@dataclass(frozen=True)
class View:
    """``left, top, right, bottom`` is the part of the picture that is shown,
    at ``width`` × ``height`` pixels."""

    left: int
    top: int
    right: int
    bottom: int
    width: int
    height: int

    @property
    def rect(self) -> Rect:
        """The part of the picture that is shown."""
        return self.left, self.top, self.right, self.bottom

    @property
    def size(self) -> Size:
        """(width, height) of the video."""
        return self.width, self.height

    @property
    def scale(self) -> tuple[float, float]:
        """Pixels of the video per pixel of the picture, across and down."""
        return self.width / (self.right - self.left), self.height / (self.bottom - self.top)

    def cut(self, picture: Picture) -> Picture:
        """The shown part at the picture's own resolution."""
        cut: Picture = picture[self.top : self.bottom, self.left : self.right]
        return cut

    def to_video(self, points: Floats) -> Floats:
        """Points (…, 3) of the picture in pixels of the video; depth is scaled as the width."""
        across, down = self.scale
        corner = np.array([self.left, self.top, 0], np.float32)
        return np.asarray((points - corner) * np.array([across, down, across], np.float32), np.float32)

    def paste(self, frame: Picture, picture: Picture) -> Picture:
        """``frame`` back in its place in ``picture``, with a soft edge where it does not touch the border."""
        width, height = self.right - self.left, self.bottom - self.top
        alpha = self._soft_edge(width, height, picture.shape)[..., None]
        out: Picture = picture.copy()
        under = out[self.top : self.bottom, self.left : self.right]
        mixed = resize(frame, width, height) * alpha + under * (1.0 - alpha)
        under[:] = (mixed + 0.5).astype(np.uint8)
        return out

    def _soft_edge(self, width: int, height: int, shape: tuple[int, ...]) -> Floats:
        band = max(SOFT_EDGE_LEAST, SOFT_EDGE * min(width, height))
        x, y = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
        far = np.float32(band)
        left = x if self.left > 0 else np.full_like(x, far)
        right = x[::-1] if self.right < shape[1] else np.full_like(x, far)
        top = y if self.top > 0 else np.full_like(y, far)
        bottom = y[::-1] if self.bottom < shape[0] else np.full_like(y, far)
        edge = np.minimum(np.minimum(left, right)[None], np.minimum(top, bottom)[:, None])
        return smoothstep(edge / np.float32(band))


def view_of(picture: Picture, face: Face | None, settings: Settings) -> tuple[View, str]:
    """The view that shows ``picture`` as asked, and a note when a size had to be rounded to even pixels.

    Proportions are kept: of a missing width or height the other follows; where both are given, the largest
    part of that shape around the face is shown. Without any, the shorter side is 512 pixels.
    The diffusion models' own shape is a square, also where only one side is given; they show what
    ``framing.crop`` says. ``faithful`` leaves the side that is not given at the model's own size, as the
    official scripts do.
    """
    size = picture.shape[1], picture.shape[0]
    if settings.variant.engine == "diffusion":
        target = _model_size(settings)
        return View(*shown_rect(face, settings, size, target), *target), ""
    left, top, right, bottom = _preview_rect(face, settings, size)
    wanted = _pixels(right - left, bottom - top, settings)
    even = (_even(wanted[0]), _even(wanted[1]))
    if max(even) > LARGEST_VIDEO or min(even) < SMALLEST_VIDEO:
        raise SettingsError(
            f"the video would be {even[0]}x{even[1]} pixels; {SMALLEST_VIDEO} to {LARGEST_VIDEO} a side "
            "can be made: give another size, both width and height, or crop head"
        )
    asked_odd = any(given and given % 2 for given in (settings.width, settings.height, settings.size))
    note = f"{wanted[0]}x{wanted[1]} rounded to even pixels: {even[0]}x{even[1]}" if asked_odd else ""
    return View(left, top, right, bottom, *even), note


def _model_size(settings: Settings) -> Size:
    own = settings.size or settings.variant.size
    if settings.faithful:
        return settings.width or own, settings.height or own
    return settings.width or settings.height or own, settings.height or settings.width or own


def _preview_rect(face: Face | None, settings: Settings, size: Size) -> Rect:
    """The part of a picture of ``size`` that the preview shows: all of it, as much as fits, or the head."""
    proportions = (settings.width, settings.height) if settings.width and settings.height else None
    centre, span = _extent(face, size)
    if settings.crop == "head":
        return _head_rect(size, centre, span, proportions or (1, 1))
    if proportions is None:
        return 0, 0, *size
    return place(largest_part(size, proportions), centre, size)


def _head_rect(size: Size, centre: tuple[float, float], span: float, proportions: Size) -> Rect:
    shape = proportions[0] / proportions[1]
    side = min(span * HEAD_SPAN, size[0] / max(1.0, shape), size[1] * min(1.0, shape))
    part = min(round(side * max(1.0, shape)), size[0]), min(round(side / min(1.0, shape)), size[1])
    return place(part, (centre[0], centre[1] + HEAD_DROP * side), size)


def _extent(face: Face | None, size: Size) -> tuple[tuple[float, float], float]:
    """Centre and larger side of the face, in pixels; of a picture of ``size`` when there is none."""
    if face is None:
        return (size[0] / 2, size[1] / 2), float(min(size))
    low, high = face.points[:, :2].min(0), face.points[:, :2].max(0)
    centre = (low + high) / 2
    return (float(centre[0]), float(centre[1])), float(max(high - low))


def _pixels(wide: int, high: int, settings: Settings) -> Size:
    if settings.width:
        scale = settings.width / wide
    elif settings.height:
        scale = settings.height / high
    elif settings.size:
        scale = settings.size / min(wide, high)
    else:
        scale = min(DEFAULT_SIZE / min(wide, high), LONGEST / max(wide, high))
    return settings.width or round(wide * scale), settings.height or round(high * scale)


def _even(pixels: int) -> int:
    return max(2, pixels - pixels % 2)
