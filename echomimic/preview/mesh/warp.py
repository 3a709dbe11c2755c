"""Backward warps: a displacement field turned around, and pictures sampled through it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from echomimic.preview.mesh.face_mesh import Array

Pixels: TypeAlias = NDArray[np.uint8]

_BORDERS = {"edge": cv2.BORDER_REPLICATE, "mirror": cv2.BORDER_REFLECT_101, "zero": cv2.BORDER_CONSTANT}
_NO_SECOND_MAP: Any = None

FINER = 2
"""Pixels of a texture per pixel of the frame, each way."""
DETAILED = 1.4
"""A picture that is finer than the frame by this factor has detail of its own to keep."""
OPAQUE = 255
WHITE = 255.0
"""The brightest level of a picture."""

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Weights of red, green and blue in brightness (ITU-R BT.601)."""


def blur(values: Array, sigma: float) -> Array:
    """(h, w) or (h, w, C) smoothed by a Gaussian of `sigma` pixels; beyond the border its edge goes on."""
    return np.asarray(
        cv2.GaussianBlur(values, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE), dtype=np.float32
    )


def remap(values: Array, at: Array, border: str = "edge") -> Array:
    """`values` at the positions (h, w, 2), x first;
    beyond its border: its "edge", its "mirror" image or "zero"."""
    return np.asarray(cv2.remap(values, at, _NO_SECOND_MAP, cv2.INTER_LINEAR, borderMode=_BORDERS[border]))


def invert(
    field: Array,
    nodes: Array,
    *,
    rounds: int,
    damping: float = 1.0,
    part: tuple[slice, slice] = (slice(None), slice(None)),
) -> Array:
    """Where each node's content comes from.

    field: (h, w, 2) displacement in nodes of what lies at each node. nodes: (h, w, 2) node numbers (x, y).
    part: rows and columns of the nodes that are wanted.
    Returns b in nodes with b(q) = −field(q + b(q)), by fixed-point rounds; `damping` below 1 where the field
    is steep.
    """
    source: Array = -field
    nodes, back = nodes[part], source[part]
    for turn in range(rounds):
        found = remap(source, cv2.add(nodes, back))
        back = (
            found
            if damping == 1.0 or turn == 0
            else cv2.addWeighted(back, 1.0 - damping, found, damping, 0.0)
        )
    return np.asarray(back, dtype=np.float32)


@dataclass(frozen=True)
class Texture:
    """A picture with coverage, twice as fine as the frame,
    so that reading it linearly keeps what is sharp."""

    pixels: Pixels
    """(h, w, 4) RGB premultiplied by coverage, and coverage"""
    offset: float
    """where the frame's first pixel lies in it"""

    def sample(self, at: Array) -> Pixels:
        """at: (h, w, 2) frame coordinates of pixel centres → (h, w, 4).
        Outside the picture it is mirrored."""
        return self.read(cv2.addWeighted(at, FINER, at, 0.0, self.offset))

    def read(self, at: Array) -> Pixels:
        """The same for positions (h, w, 2) in the texture itself."""
        return remap(self.pixels, at, "mirror")

    def places(self, width: int, height: int) -> Array:
        """(height, width, 2) where in the texture each pixel of the frame lies."""
        pixels = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(np.float32)
        return np.asarray(pixels * np.float32(FINER) + np.float32(self.offset))


@dataclass(frozen=True)
class Scene:
    """A texture seen before what lies behind a box of the frame."""

    texture: Texture
    background: Pixels
    """(H, W, 3) of the whole frame"""
    left: int
    top: int
    """where the box begins in it; beyond its border its edge goes on"""

    def sample(self, at: Array, row: int = 0, column: int = 0) -> Array:
        """at: (h, w, 2) frame coordinates for a part of the box that begins at `row` and `column` → (h, w, 3)
        float32."""
        seen = self.texture.sample(at)
        colour = cv2.cvtColor(seen, cv2.COLOR_RGBA2RGB).astype(np.float32)
        cover: Array = cv2.extractChannel(seen, 3)
        if cover.min() == OPAQUE:
            return colour
        behind = self._behind(self.top + row, self.left + column, *at.shape[:2])
        beside = cv2.merge([cv2.bitwise_not(cover)] * 3)
        seen_behind = cv2.multiply(behind, beside, scale=1 / OPAQUE, dtype=cv2.CV_32F)
        return np.asarray(cv2.add(colour, seen_behind), dtype=np.float32)

    def _behind(self, top: int, left: int, height: int, width: int) -> Pixels:
        bottom, right = top + height, left + width
        if (
            top >= 0
            and left >= 0
            and bottom <= self.background.shape[0]
            and right <= self.background.shape[1]
        ):
            return self.background[top:bottom, left:right]
        rows = np.arange(top, bottom).clip(0, self.background.shape[0] - 1)
        columns = np.arange(left, right).clip(0, self.background.shape[1] - 1)
        return np.ascontiguousarray(self.background[rows[:, None], columns])


def make_texture(picture: Pixels, width: int, height: int) -> Texture:
    """`picture` at twice the frame's size, opaque."""
    size = (FINER * width, FINER * height)
    if min(picture.shape[1] / width, picture.shape[0] / height) >= DETAILED:
        return Texture(_opaque(resized(picture, *size)), 0.5 * FINER - 0.5)
    # Every second pixel is one of the frame's: a head that rests is as sharp as the photo.
    half = np.array([[1 / FINER, 0, 0], [0, 1 / FINER, 0]], np.float32)
    how = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    small = resized(picture, width, height)
    return Texture(
        _opaque(cv2.warpAffine(small, half, size, flags=how, borderMode=cv2.BORDER_REPLICATE)), 0.0
    )


def _opaque(picture: NDArray[Any]) -> Pixels:
    """(h, w, 3) → (h, w, 4)"""
    return np.concatenate(
        [picture, np.full((*picture.shape[:2], 1), OPAQUE)], 2, dtype=np.uint8, casting="unsafe"
    )


def resized(picture: Pixels, width: int, height: int) -> Pixels:
    """`picture` (h, w, 3) at another size."""
    if picture.shape[1] == width and picture.shape[0] == height:
        return picture
    how = cv2.INTER_AREA if picture.shape[1] >= width else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (width, height), interpolation=how), dtype=np.uint8)
