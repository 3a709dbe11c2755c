"""The portrait's face mesh in output pixels, the skin around it, and how points of the picture hang on it.

Axes here are the picture's: x right, y down, z away from the viewer, pixels. A *unit* is one outer eye
distance as if the head were seen from the front, in pixels.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from echomimic.arrays import smoothstep
from echomimic.faces.geometry import (
    CHIN,
    FOREHEAD,
    LEFT_BROW,
    LEFT_EYE_LOWER,
    LEFT_EYE_UPPER,
    LOWER_LIP_INNER,
    MESH_POINTS,
    OVAL,
    RIGHT_BROW,
    RIGHT_EYE_LOWER,
    RIGHT_EYE_UPPER,
    UPPER_LIP_INNER,
    HeadPose,
    head_pose,
    mouth_width,
    triangles,
)
from echomimic.motion.retarget.face_regions import BROW_PULL

Array: TypeAlias = NDArray[Any]
"""float32 unless said otherwise."""
_Indices: TypeAlias = NDArray[np.int32]

UPPER_LIP_BETWEEN = (
    (76, 184, 74, 73, 72, 11, 302, 303, 304, 408, 306),
    (62, 183, 42, 41, 38, 12, 268, 271, 272, 407, 292),
)
LOWER_LIP_BETWEEN = (
    (76, 77, 90, 180, 85, 16, 315, 404, 320, 307, 306),
    (62, 96, 89, 179, 86, 15, 316, 403, 319, 325, 292),
)
"""The rows of points between a lip's outer and inner contour, at a third and two thirds of its height."""

# How far the rings of skin outside the face outline lie from it, in units.
_RINGS = (0.08, 0.20, 0.36, 0.58)

# How far beside an eye, in its widths, skin still lies between it and its brow.
_BROW_BESIDE = 0.25


# The mesh keeps closed lips so far apart, in widths of the mouth: where they touched, the triangles of one
# lip would show the other's motion.
_LIPS_APART = 0.03
# How far along the outline a point of a ring looks for the motion it follows, units.
_RING_SEES = 0.16
# How far out the rings follow at the sides, and how much further under the chin, where the skin is loose, …
_RING_ENDS = (0.22, 0.44)
# … which is wholly there where the outline looks down by this sine.
_RING_BELOW = 0.75
# A brow lies at least so far over its eye, in widths of the eye: one drawn lower would stretch its lid to
# nothing.
_BROW_HIGH = 0.1
# What of a brow's way the skin right under it makes, as `BROW_PULL` gives it to the brow's lower edge.
_BROW_LAST = 0.9
# A triangle lower than this, in steps of the grid, is thin.
_THIN = 0.6

TINY = 1e-6
"""Lengths and weights are at least this where something is divided by them: none is wrong, nothing divides by
zero."""
SMALL = 1e-3
"""The same for pixels, areas of triangles and shares, of which so little cannot be seen."""


def direction(way: Array) -> Array:
    """A way (2,) as a vector of length 1; none stays none."""
    return np.asarray(way / max(float(np.linalg.norm(way)), TINY))


def soft_step(x: Array, low: float, high: float) -> Array:
    """`smoothstep` as float32, whatever `x` is."""
    return np.asarray(smoothstep(x, low, high), dtype=np.float32)


@dataclass(frozen=True)
class Mesh:
    """A portrait's mesh: the 468 face points and four rings of points on the skin outside the outline."""

    points: Array
    """(478, 3) face points and irises."""
    skin: Array
    """(468 + 144, 2) face points and rings, the lips kept a little apart."""
    corners: _Indices
    """(T, 3) triangles over `skin`, in drawing order: far before near."""
    spread: Array
    """(144, 36) how the ring points follow the outline."""
    pose: HeadPose
    brow: Array
    """(468,) how much each point follows a raised brow."""

    @property
    def unit(self) -> float:
        return self.pose.scale

    @cached_property
    def mouth(self) -> float:
        """The mouth's width in pixels."""
        return mouth_width(self.points)

    @property
    def length(self) -> float:
        """From forehead to chin, pixels."""
        return float(np.linalg.norm(self.points[FOREHEAD, :2] - self.points[CHIN, :2]))

    def displaced(self, expression: Array, head: Array) -> Array:
        """(468, 3) canonical displacement, (3, 3) head rotation → (468, 2) pixels."""
        flipped = expression * np.array([1.0, -1.0, -1.0], np.float32)
        turn = (head @ self.pose.rotation)[:2]
        moved = self.pose.scale * np.einsum("ij,nj->ni", turn, flipped)
        return np.asarray(moved, dtype=np.float32)

    def with_rings(self, shift: Array) -> Array:
        """(468, 2) displacement of the face → (612, 2) of face and rings."""
        return np.concatenate([shift, np.einsum("ij,jk->ik", self.spread, shift[list(OVAL)])]).astype(
            np.float32
        )


def build_mesh(points: Array) -> Mesh:
    """points: (478, 3) pixels."""
    pose = head_pose(points)
    unit = pose.scale
    face = points[:MESH_POINTS, :2].copy()
    _part_lips(face, _LIPS_APART * mouth_width(points))
    outline = face[list(OVAL)]
    outward = outline - outline.mean(0)
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    rings = [outline + outward * unit * reach for reach in _RINGS]
    down = direction(pose.rotation[:2, 1])
    spread = np.concatenate(
        [
            _follow(ring, outline, outward @ down, unit, reach)
            for ring, reach in zip(rings, _RINGS, strict=True)
        ]
    )
    skin = np.concatenate([face, *rings]).astype(np.float32)
    return Mesh(
        points.astype(np.float32),
        skin,
        _topology(points),
        spread.astype(np.float32),
        pose,
        _follow_brows(face, down),
    )


def _follow_brows(face: Array, down: Array) -> Array:
    """(468,) how much each point follows a raised brow. The skin between an eye and its brow stretches
    evenly: else lashes and shadow would be drawn out into smears."""
    follow = np.zeros(MESH_POINTS, np.float32)
    for pull, ids in BROW_PULL:
        follow[list(ids)] = pull
    below, across = face @ down, face @ np.array([down[1], -down[0]], np.float32)
    for upper, brow in ((LEFT_EYE_UPPER, LEFT_BROW), (RIGHT_EYE_UPPER, RIGHT_BROW)):
        lid, edge = list(upper), list(brow)
        order = np.argsort(across[lid])
        low = np.interp(across, across[lid][order], below[lid][order])
        order = np.argsort(across[edge])
        high = np.interp(across, across[edge][order], below[edge][order])
        width = float(np.ptp(across[lid]))
        beside = np.maximum(across[lid].min() - across, across - across[lid].max()) / width
        share = np.clip((low - below) / np.maximum(low - high, _BROW_HIGH * width), 0.0, 1.0)
        between = (beside < _BROW_BESIDE) & (share > 0) & (share < 1)
        follow[between] = _BROW_LAST * share[between]
    return follow


def _part_lips(face: Array, gap: float) -> None:
    for a, b in zip(UPPER_LIP_INNER[1:-1], LOWER_LIP_INNER[1:-1], strict=True):
        lack = gap - (face[b, 1] - face[a, 1])
        if lack > 0:
            face[a, 1] -= lack / 2
            face[b, 1] += lack / 2


def _follow(ring: Array, outline: Array, downness: Array, unit: float, reach: float) -> Array:
    """(36, 36): a ring's motion is the outline's nearby, fading out:
    soon at the sides, late below the chin."""
    apart = np.linalg.norm(ring[:, None] - outline[None], axis=2)
    near = apart.min(1, keepdims=True)
    weight = np.exp(-(apart**2 - near**2) / (2 * (_RING_SEES * unit) ** 2))
    weight /= weight.sum(1, keepdims=True)
    end = _RING_ENDS[0] + _RING_ENDS[1] * soft_step(downness, 0.0, _RING_BELOW)
    fade = 1.0 - np.array([soft_step(np.float32(reach), 0.0, float(e)) for e in end])
    return np.asarray(weight * fade[:, None], dtype=np.float32)


def _topology(points: Array) -> _Indices:
    """Face triangles, holes filled by strips, rings; the rings first, then far before near."""
    strips = [
        _strip(a, b)
        for a, b in (
            (UPPER_LIP_INNER, LOWER_LIP_INNER),
            (LEFT_EYE_UPPER, LEFT_EYE_LOWER),
            (RIGHT_EYE_UPPER, RIGHT_EYE_LOWER),
        )
    ]
    face = np.concatenate([triangles(), *strips])
    order = np.argsort(-points[face, 2].mean(1), kind="stable")
    count = len(OVAL)
    hoops = [tuple(OVAL)] + [
        tuple(range(MESH_POINTS + k * count, MESH_POINTS + (k + 1) * count)) for k in range(4)
    ]
    rings = [_strip(a + a[:1], b + b[:1]) for a, b in itertools.pairwise(hoops)]
    return np.concatenate([*rings[::-1], face[order]]).astype(np.int32)


def _strip(a: tuple[int, ...], b: tuple[int, ...]) -> NDArray[np.int64]:
    """Triangles between two lines of points."""
    quads = zip(a[:-1], a[1:], b[:-1], b[1:], strict=True)
    both = [t for p, q, r, s in quads for t in ((p, q, r), (q, s, r))]
    return np.array([t for t in both if len(set(t)) == 3], np.int64)


@dataclass(frozen=True)
class Grid:
    """A rectangle of sample points in the picture: node (i, j) lies at x0 + step·j, y0 + step·i."""

    x0: float
    y0: float
    step: int
    width: int
    height: int

    def nodes(self) -> Array:
        """(height, width, 2) positions in pixels."""
        x = self.x0 + self.step * np.arange(self.width, dtype=np.float32)
        y = self.y0 + self.step * np.arange(self.height, dtype=np.float32)
        return np.stack(np.meshgrid(x, y), -1)

    def index(self, points: Array) -> Array:
        """Pixel positions (…, 2) → positions in nodes."""
        return np.asarray((points - np.array([self.x0, self.y0], np.float32)) / self.step, dtype=np.float32)


@dataclass(frozen=True)
class BarycentricWeights:
    """Barycentric weights of the nodes of a grid: three mesh points each, and their shares; zero outside."""

    inside: NDArray[np.int64]
    """(n,) flat node numbers."""
    corners: _Indices
    """(3, n)"""
    weights: Array
    """(3, n, 2) the same for both axes"""
    shape: tuple[int, int]

    def interpolate(self, values: Array) -> Array:
        """(vertices, 2) → (height, width, 2), zero outside the mesh."""
        # A pair of float32 read as one complex64 halves the cost of gathering rows.
        pairs = np.ascontiguousarray(values, dtype=np.float32).view(np.complex64)[:, 0]
        parts = pairs.take(self.corners).view(np.float32).reshape(self.weights.shape)
        parts *= self.weights
        total = parts[0] + parts[1]
        total += parts[2]
        out = np.zeros(self.shape[0] * self.shape[1], np.complex64)
        out[self.inside] = total.view(np.complex64)[:, 0]
        return out.view(np.float32).reshape(*self.shape, -1)


def barycentric_weights(mesh: Mesh, grid: Grid) -> BarycentricWeights:
    """Where each node of `grid` lies on the mesh of the photo."""
    # Drawn four times finer: a filled triangle covers its border pixels, which would spoil its thin
    # neighbours.
    label = np.full((grid.height * 4, grid.width * 4), -1, np.int32)
    shapes = np.round(grid.index(mesh.skin) * 64).astype(np.int32)[mesh.corners]
    order = np.argsort(~_thin(mesh, grid.step), kind="stable")
    low, high = shapes.min(1), shapes.max(1)
    far = 64 * np.array([grid.width, grid.height]) + 64
    near = ((high >= -64) & (low <= far)).all(1)
    for number in order[near[order]].tolist():
        cv2.fillConvexPoly(label, shapes[number], number, cv2.LINE_8, 4)
    label = np.ascontiguousarray(label[::4, ::4])
    flat = label.ravel()
    inside = np.flatnonzero(flat >= 0)
    corners = mesh.corners[flat[inside]]
    weights = _barycentric(mesh.skin[corners].astype(np.float64), grid.nodes().reshape(-1, 2)[inside])
    return BarycentricWeights(
        inside, corners.T.copy(), np.repeat(weights.T[..., None], 2, 2), (grid.height, grid.width)
    )


def _thin(mesh: Mesh, step: int) -> NDArray[np.bool_]:
    """(T,) triangles so thin that a node hardly lies in them;
    they are drawn first and mostly painted over."""
    a, b, c = (mesh.skin[mesh.corners[:, k]] for k in range(3))
    area = np.abs((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0])
    longest = np.max(
        [np.linalg.norm(b - a, axis=1), np.linalg.norm(c - b, axis=1), np.linalg.norm(a - c, axis=1)], 0
    )
    return np.asarray(area < _THIN * step * longest)


def _barycentric(corner: NDArray[np.float64], at: Array) -> Array:
    a, b, c = corner[:, 0], corner[:, 1], corner[:, 2]
    ab, ac, ap = b - a, c - a, at - a
    area = ab[:, 0] * ac[:, 1] - ab[:, 1] * ac[:, 0]
    area = np.where(np.abs(area) < SMALL, SMALL, area)
    v = (ap[:, 0] * ac[:, 1] - ap[:, 1] * ac[:, 0]) / area
    w = (ab[:, 0] * ap[:, 1] - ab[:, 1] * ap[:, 0]) / area
    weights = np.clip(np.stack([1 - v - w, v, w], 1), 0.0, 1.0)
    total = weights.sum(1, keepdims=True)
    return np.asarray(weights / np.where(total < TINY, 1.0, total), dtype=np.float32)
