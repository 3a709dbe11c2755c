"""Backward warps: a displacement field turned around, and pictures sampled through it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from echomimic.preview.mesh.face_mesh import Array, Grid

Pixels: TypeAlias = NDArray[np.uint8]

_BORDERS = {"edge": cv2.BORDER_REPLICATE, "mirror": cv2.BORDER_REFLECT_101, "zero": cv2.BORDER_CONSTANT}
_NO_SECOND_MAP: Any = None

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Weights of red, green and blue in brightness (ITU-R BT.601)."""


def blur(values: Array, sigma: float) -> Array:
    """(h, w) or (h, w, C) smoothed by a Gaussian of `sigma` pixels; beyond the border its edge goes on."""
    return np.asarray(cv2.GaussianBlur(values, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE), dtype=np.float32)


def remap(values: Array, at: Array, border: str = "edge", *, cubic: bool = False) -> Array:
    """`values` at the positions (h, w, 2), x first; beyond its border: its "edge", its "mirror" image or "zero"."""
    how = cv2.INTER_CUBIC if cubic else cv2.INTER_LINEAR
    return np.asarray(cv2.remap(values, at, _NO_SECOND_MAP, how, borderMode=_BORDERS[border]))


def invert(field: Array, nodes: Array, *, rounds: int, damping: float = 1.0) -> Array:
    """Where each node's content comes from.

    field: (h, w, 2) displacement in nodes of what lies at each node. nodes: (h, w, 2) node numbers (x, y).
    Returns b in nodes with b(q) = −field(q + b(q)), by fixed-point rounds; `damping` below 1 where the field is steep.
    """
    back = -field
    source: Array = back
    for turn in range(rounds):
        found = remap(source, cv2.add(nodes, back))
        back = found if damping == 1.0 or turn == 0 else cv2.addWeighted(back, 1.0 - damping, found, damping, 0.0)
    return np.asarray(back, dtype=np.float32)


def node_numbers(grid: Grid) -> Array:
    """(h, w, 2) the column and row of each node."""
    columns, rows = np.meshgrid(np.arange(grid.width, dtype=np.float32), np.arange(grid.height, dtype=np.float32))
    return np.stack([columns, rows], -1)


@dataclass(frozen=True)
class Texture:
    """A picture that may be finer than the frame: `scale` texture pixels per frame pixel."""

    pixels: Pixels
    scale: int

    def sample(self, at: Array) -> Pixels:
        """at: (h, w, 2) frame coordinates of pixel centres → (h, w, C). Outside the picture it is mirrored."""
        if self.scale == 1:
            return self.read(at)
        return self.read(cv2.addWeighted(at, self.scale, at, 0.0, 0.5 * self.scale - 0.5))

    def read(self, at: Array) -> Pixels:
        """The same in texture coordinates."""
        return remap(self.pixels, at, "mirror", cubic=self.scale == 1)


def make_texture(picture: Pixels, width: int, height: int) -> Texture:
    """`picture` at the frame's size, or at twice that where the picture has the detail."""
    rows, columns = picture.shape[:2]
    scale = 2 if min(columns / width, rows / height) >= 1.4 else 1
    return Texture(resized(picture, width * scale, height * scale), scale)


def resized(picture: Pixels, width: int, height: int) -> Pixels:
    if picture.shape[1] == width and picture.shape[0] == height:
        return picture
    how = cv2.INTER_AREA if picture.shape[1] >= width else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (width, height), interpolation=how), dtype=np.uint8)
