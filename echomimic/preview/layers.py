"""The photo taken apart into the person, a soft matte, and the background behind the person."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from echomimic.faces.geometry import OVAL
from echomimic.preview.mesh.face_mesh import Array, Mesh
from echomimic.preview.mesh.warp import FINER, OPAQUE, WHITE, Pixels, Scene, Texture, remap

Strip: TypeAlias = tuple[slice, slice]
"""Rows and columns."""
# A person is narrower at the neck than at the shoulders: strips of their own leave out more of the
# background.
_STRIPS = 6
# Strips are prepared for these motions; a frame takes the smallest that is enough.
_REACHES = (4, 8, 12, 16, 24, 32, 48, 64)
# By how much the matte is wider than the mask, and what is hidden than the matte, units: a rim of the head
# that stayed behind would be seen beside it as a ghost.
_WIDER = 0.012
# Pixels by which the mask is smoothed at least: masks come in steps.
_MATTE_BLUR = 0.7
# What of the smoothed mask is nothing, and the range above it that becomes 0…1: both ends of a blur are
# long.
_MATTE = (0.06, 0.80)
# From this coverage on the photo does not tell what lies behind.
_HIDDEN = 0.02
# A picture that shows less background than this share has none that could be continued.
_NO_BACKGROUND = 0.002
# Levels of grain at most, for what is stronger is texture, and the share of them that is drawn behind the
# person.
_GRAIN = (2.5, 0.6)
# A place whose weight is less knows no colour.
_NO_COLOUR = 1e-4


@dataclass(frozen=True)
class Shown:
    """Where a person that moves at most so far can be seen."""

    reach: float
    """pixels"""
    box: Strip
    """the part of the frame in which the person can be seen"""
    strips: tuple[Strip, ...]
    """the same more exactly: parts of that box"""

    @property
    def corner(self) -> tuple[int, int]:
        """Where the box begins, x first."""
        return self.box[1].start, self.box[0].start


@dataclass(frozen=True)
class Layers:
    """person + background · (1 − coverage) is the photo again, to rounding.

    The person is premultiplied: dividing by a small coverage would turn the grain of a soft edge into
    speckles.
    """

    person: Texture
    """what the head moves"""
    background: Pixels
    """(H, W, 3)"""
    reaches: tuple[Shown, ...]
    """where the person can be seen when it moves so far, near before far; the last holds for any way"""

    def shown(self, reach: float) -> Shown:
        """Where the person can be seen when nothing of it moves farther than `reach` pixels."""
        return next((shown for shown in self.reaches if reach <= shown.reach), self.reaches[-1])

    def compose(self, source: Array, shown: Shown | None = None) -> Pixels:
        """(H, W, 3) the frame whose pixels show the places `source` of the person's texture.

        source: (h, w, 2) for the pixels of the box of `shown`; of the whole frame when that is None.
        """
        shown = shown or self.reaches[-1]
        frame: Pixels = self.background.copy()
        drawn, background = frame[shown.box], self.background[shown.box]
        for strip in shown.strips:
            seen = self.person.read(source[strip])
            beside = cv2.bitwise_not(cv2.extractChannel(seen, 3))
            behind = cv2.multiply(background[strip], cv2.merge([beside] * 3), scale=1 / OPAQUE)
            drawn[strip] = cv2.add(cv2.cvtColor(seen, cv2.COLOR_RGBA2RGB), behind)
        return frame

    def behind(self, box: tuple[int, int, int, int], offset: Array) -> Scene:
        """The person before that part of the background
        where a box (x0, y0, x1, y1) has moved by `offset`."""
        return Scene(self.person, self.background, box[0] + int(offset[0]), box[1] + int(offset[1]))


def split(texture: Texture, picture: Pixels, mask: Array, mesh: Mesh) -> Layers:
    """texture: the photo; picture: (H, W, 3) the same at the frame's size; mask: (H, W) rough person mask."""
    matte = _matte(_with_face(mask, mesh), mesh.unit)
    behind = np.round(_fill(picture, _cover(matte, mesh.unit)).clip(0, 255))
    matte = np.maximum(matte, _least_matte(picture.astype(np.float32), behind))
    layer = _person(texture, behind.astype(np.float32), matte.astype(np.float32))
    seen = cv2.dilate((layer[..., 3] > 0).astype(np.uint8), np.ones((3, 3), np.uint8))
    there = cv2.resize(seen, picture.shape[1::-1], interpolation=cv2.INTER_AREA) > 0
    everywhere = slice(0, len(there)), slice(0, there.shape[1])
    reaches = *(_shown(there, reach) for reach in _REACHES), Shown(np.inf, everywhere, (everywhere,))
    return Layers(Texture(layer, texture.offset), behind.astype(np.uint8), reaches)


def _person(texture: Texture, behind: Array, matte: Array) -> Pixels:
    """(h, w, 4) what of the photo is the person. behind: (H, W, 3); matte: (H, W)."""
    height, width = texture.pixels.shape[:2]
    begins = -texture.offset / FINER
    half = np.array([[1 / FINER, 0, begins], [0, 1 / FINER, begins]], np.float32)
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    fine = cv2.warpAffine(matte, half, (width, height), flags=how, borderMode=cv2.BORDER_REPLICATE)
    layer = texture.pixels.copy()
    layer[fine <= 0] = 0
    # Only at the person's edges, which are few, the background has to be taken out.
    rows, columns = np.nonzero((fine > 0) & (fine < 1))
    share = fine[rows, columns][:, None]
    at = (np.stack([columns, rows], 1) - texture.offset) / FINER
    lines = np.resize(at, (-(-len(at) // width), width, 2)).astype(np.float32)
    under = remap(behind, lines).reshape(-1, 3)[: len(at)] if len(at) else np.zeros((0, 3), np.float32)
    cover = OPAQUE * share
    seen = np.clip(layer[rows, columns, :3] - under * (1 - share), 0, cover)
    layer[rows, columns] = np.concatenate([seen, cover], 1).round()
    return np.asarray(layer, dtype=np.uint8)


def _shown(there: NDArray[np.bool_], reach: int) -> Shown:
    """Where a person that is `there`, (H, W), may come: strips of rows, each with its columns."""
    around = np.ones((2 * reach + 3, 2 * reach + 3), np.uint8)
    wide = np.asarray(cv2.dilate(there.astype(np.uint8), around), dtype=np.uint8)
    top, left, rows, columns = _bounds(wide)
    wide = wide[top : top + rows, left : left + columns]
    edges = np.linspace(0, rows, min(_STRIPS, rows) + 1).astype(int)
    found = []
    for first, last in itertools.pairwise(edges.tolist()):
        _, begin, _, length = _bounds(wide[first:last])
        if length:
            found.append((slice(first, last), slice(begin, begin + length)))
    return Shown(reach, (slice(top, top + rows), slice(left, left + columns)), tuple(found))


def _bounds(there: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """Where what is not 0 begins, row and column, and its size."""
    left, top, columns, rows = cv2.boundingRect(there)
    return int(top), int(left), int(rows), int(columns)


def _least_matte(picture: Array, behind: Array) -> Array:
    """(H, W) the least coverage that explains the photo over that background:
    hairs that the mask has missed."""
    darker = 1.0 - picture / np.maximum(behind, 1.0)
    brighter = (picture - behind) / np.maximum(WHITE - behind, 1.0)
    red, green, blue = cv2.split(np.maximum(darker, brighter))
    return np.asarray(np.maximum(np.maximum(red, green), blue).clip(0, 1), dtype=np.float32)


def resized_float(values: Array, width: int, height: int) -> Array:
    if values.shape == (height, width):
        return values
    how = cv2.INTER_AREA if values.shape[1] > width else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(values, (width, height), interpolation=how), dtype=np.float32)


def _with_face(mask: Array, mesh: Mesh) -> Array:
    """The mask, certain inside the face."""
    sure = np.zeros(mask.shape, np.uint8)
    cv2.fillPoly(sure, [np.round(mesh.points[list(OVAL), :2]).astype(np.int32)], 1)
    return np.maximum(mask, sure.astype(np.float32))


def _matte(mask: Array, unit: float) -> Array:
    """The mask a little wider, so that the head's own border moves with it and not with the background."""
    wide = max(1, round(unit * _WIDER))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * wide + 1, 2 * wide + 1))
    grown = cv2.dilate(mask.astype(np.float32), kernel)
    soft = cv2.GaussianBlur(grown, (0, 0), max(_MATTE_BLUR, wide * 0.5))
    return np.asarray(np.clip((soft - _MATTE[0]) / _MATTE[1], 0.0, 1.0), dtype=np.float32)


def _cover(matte: Array, unit: float) -> Array:
    """1 where the background is not known."""
    wide = max(1, round(unit * _WIDER))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * wide + 1, 2 * wide + 1))
    return np.asarray(cv2.dilate((matte > _HIDDEN).astype(np.float32), kernel), dtype=np.float32)


def _fill(picture: Pixels, cover: Array) -> Array:
    """The background continued behind the person, with the grain of what is seen of it."""
    image = picture.astype(np.float32)
    known = 1.0 - cover
    if known.mean() < _NO_BACKGROUND:
        return image
    filled = push_pull(image, known)
    grain = image - cv2.GaussianBlur(image, (0, 0), 2.0)
    spread = np.minimum(grain[known > 0].std(0), _GRAIN[0]) * _GRAIN[1]
    noise = np.random.default_rng(0).standard_normal(picture.shape[:2], dtype=np.float32)[..., None]
    return np.asarray(filled + cover[..., None] * noise * spread, dtype=np.float32)


def push_pull(image: Array, known: Array) -> Array:
    """Fills where `known` is 0 from ever coarser averages of what is known (Gortler 1996),
    smoothed on the way back."""
    levels = [(image * known[..., None], known)]
    while min(levels[-1][1].shape) > 4:
        colour, weight = levels[-1]
        half = (max(1, weight.shape[1] // 2), max(1, weight.shape[0] // 2))
        small = cv2.resize(colour, half, interpolation=cv2.INTER_AREA)
        levels.append((small, cv2.resize(weight, half, interpolation=cv2.INTER_AREA)))
    colour, weight = levels[-1]
    result: Array = colour / np.maximum(weight, _NO_COLOUR)[..., None]
    average = levels[0][0].sum((0, 1)) / max(float(known.sum()), 1.0)
    result = np.where(weight[..., None] > _NO_COLOUR, result, average).astype(np.float32)
    for colour, weight in levels[-2::-1]:
        result = cv2.resize(result, (weight.shape[1], weight.shape[0]), interpolation=cv2.INTER_LINEAR)
        share = weight[..., None]
        for _ in range(4):
            result = colour + cv2.blur(result, (3, 3)) * (1 - share)
    return result
