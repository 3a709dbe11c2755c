"""One frame of a performance turned into pixels of this portrait."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from echomimic.faces.geometry import (
    LOWER_LIP_INNER,
    LOWER_LIP_OUTER,
    MESH_POINTS,
    MOUTH_CORNERS,
    UPPER_LIP_INNER,
    UPPER_LIP_OUTER,
    rotation_matrix,
)
from echomimic.motion.performance import Performance
from echomimic.motion.retarget.face_regions import PIVOT
from echomimic.preview.mesh.face_mesh import LOWER_LIP_BETWEEN, UPPER_LIP_BETWEEN, Array, Mesh, soft_step
from echomimic.preview.mesh.field import Stance
from echomimic.preview.mouth.lip_limits import Lips, make_lips

ROTATION_LIMIT = 0.32
"""Rotations are eased towards this many radians: beyond, one photo has nothing to show."""
SHIFT_LIMIT = 0.22
"""The same for shifts of the head, in units."""
OPEN_PHOTO = 0.035
"""A gap between the lips, in units, from which on a photo counts as open-mouthed."""

_BLOCK = 1024
TALK_REACH = 0.4
"""Seconds around a moment in which moving lips count as talking."""
BROAD = 0.60
"""A mouth wider than this, in units, is a broad smile."""

_NOSE_BRIDGE = 168
_LIPS = tuple(dict.fromkeys(UPPER_LIP_INNER + LOWER_LIP_INNER + UPPER_LIP_OUTER + LOWER_LIP_OUTER))


@dataclass(frozen=True)
class Acting:
    """What the portrait does in one frame, pixels."""

    stance: Stance
    skin: Array
    """(468, 2) displacement of the mesh by the expression, the head turned but not yet moved."""
    blink: Array
    """(2,) 0…1"""
    gaze: Array
    """(2,) shift of the irises"""
    talking: float
    """0 the photo's own mouth, 1 the mouth is wholly driven."""


@dataclass(frozen=True)
class Actor:
    """Knows the portrait's mesh and how its open mouth closes."""

    mesh: Mesh
    closing: Array
    """(468, 2) displacement that brings the photo's lips together; zero where they already are."""
    lips: Lips

    def act(self, performance: Performance, i: int) -> Acting:
        """Frame `i` of `performance`, eased into what one photo can show."""
        mesh, unit = self.mesh, self.mesh.unit
        pitch, yaw, roll = (float(a) for a in _eased(performance.rotation[i], ROTATION_LIMIT))
        turn = rotation_matrix(pitch, yaw, roll)
        pivot = mesh.pose.to_picture(np.array([PIVOT], np.float32))[0]
        swing = (turn @ (mesh.points[_NOSE_BRIDGE] - pivot) - (mesh.points[_NOSE_BRIDGE] - pivot))[:2]
        shift = unit * _eased(performance.translation[i] - swing / unit, SHIFT_LIMIT)
        expression = performance.displacement(i)
        expression[:, 1] += mesh.brow * performance.brow[i]
        talking = talking_of(performance, i)
        skin = mesh.displaced(expression, turn) + self.closing * np.float32(talking)
        return Acting(
            Stance(turn, shift.astype(np.float32), unit * performance.body[i]),
            self.lips.plausible(skin.astype(np.float32)),
            np.clip(performance.blink[i], 0.0, 1.0),
            unit * performance.gaze[i],
            talking,
        )


def talking_of(performance: Performance, i: int) -> float:
    """0…1 how much the lips move around frame `i`: an open-mouthed photo closes to speak and relaxes in silence."""
    reach = max(1, round(TALK_REACH * performance.fps))
    first, last = max(0, i - reach), min(len(performance), i + reach + 1)
    lips = performance.basis[:, list(_LIPS)]
    moved = np.tensordot(performance.expression[first:last], lips, 1)
    size = np.abs(moved).max((1, 2), initial=0.0)
    near = 0.5 + 0.5 * np.cos(np.pi * (np.arange(first, last) - i) / (reach + 1))
    return float(np.max(np.clip(size / 0.02, 0, 1) * np.minimum(1.0, 2.0 * near), initial=0.0))


def talking_track(performance: Performance) -> Array:
    """(F,) :func:`talking_of` every frame, to rounding."""
    lips = performance.basis[:, list(_LIPS)].reshape(len(performance.basis), -1)
    size = np.zeros(len(performance), np.float32)
    for start in range(0, len(size), _BLOCK):
        size[start : start + _BLOCK] = np.abs(performance.expression[start : start + _BLOCK] @ lips).max(1, initial=0.0)
    reach = max(1, round(TALK_REACH * performance.fps))
    padded = np.pad(np.clip(size / 0.02, 0, 1), reach)
    near = np.minimum(1.0, 1.0 + np.cos(np.pi * np.arange(-reach, reach + 1) / (reach + 1)))
    shifted = [padded[i : i + len(size)] * share for i, share in enumerate(near)]
    return np.asarray(np.max(shifted, axis=0), dtype=np.float32)


def make_actor(mesh: Mesh) -> Actor:
    return Actor(mesh, _closing(mesh), make_lips(mesh))


def is_open(mesh: Mesh) -> bool:
    """Whether the photo shows an open mouth."""
    gap = mesh.points[list(UPPER_LIP_INNER), :2] - mesh.points[list(LOWER_LIP_INNER), :2]
    return bool(np.linalg.norm(gap, axis=1).max() > OPEN_PHOTO * mesh.unit)


def _closing(mesh: Mesh) -> Array:
    closing = np.zeros((MESH_POINTS, 2), np.float32)
    if not is_open(mesh):
        return closing
    points = mesh.points[:, :2]
    for upper, lower in zip(UPPER_LIP_INNER, LOWER_LIP_INNER, strict=True):
        middle = 0.55 * points[upper] + 0.45 * points[lower]
        closing[upper], closing[lower] = middle - points[upper], middle - points[lower]
    for outer, inner, share in (
        (UPPER_LIP_OUTER, UPPER_LIP_INNER, 0.92),
        (LOWER_LIP_OUTER, LOWER_LIP_INNER, 0.92),
    ):
        for a, b in zip(outer[1:-1], inner[1:-1], strict=True):
            closing[a] = closing[b] * share
    for outer, inner, rows in (
        (UPPER_LIP_OUTER, UPPER_LIP_INNER, UPPER_LIP_BETWEEN),
        (LOWER_LIP_OUTER, LOWER_LIP_INNER, LOWER_LIP_BETWEEN),
    ):
        for share, row in zip((1 / 3, 2 / 3), rows, strict=True):
            closing[list(row)] = (1 - share) * closing[list(outer)] + share * closing[list(inner)]
    down = _below_corners(mesh)
    _drag_skin(mesh, closing, UPPER_LIP_OUTER, down < 0, 0.17)
    _drag_skin(mesh, closing, LOWER_LIP_OUTER, down > 0, 0.34)
    return closing + _unsmiled(mesh)


def _below_corners(mesh: Mesh) -> Array:
    """(468,) how far each point lies below the line through the corners of the mouth, pixels; lips count as on it."""
    first, last = mesh.points[list(MOUTH_CORNERS), :2]
    across = (last - first) / max(float(np.linalg.norm(last - first)), 1e-6)
    below: Array = (mesh.points[:MESH_POINTS, :2] - (first + last) / 2) @ np.array([-across[1], across[0]])
    below[list(_LIPS)] = 0
    for row in UPPER_LIP_BETWEEN + LOWER_LIP_BETWEEN:
        below[list(row)] = 0
    return below


def _drag_skin(mesh: Mesh, closing: Array, lip: tuple[int, ...], side: Array, reach: float) -> None:
    """The skin beside a lip goes with it, less and less up to `reach` units away: no edge of a lip may smear."""
    points, ids = mesh.points[:, :2], np.flatnonzero(side)
    apart = np.linalg.norm(points[ids, None] - points[None, list(lip)], axis=2) / mesh.unit
    near = apart.min(1, keepdims=True)
    weight = np.exp(-(apart**2 - near**2) / (2 * 0.06**2))
    moved = (weight @ closing[list(lip)]) / weight.sum(1, keepdims=True)
    closing[ids] = moved * (1 - soft_step(near, 0.0, reach))


def _unsmiled(mesh: Mesh) -> Array:
    """(468, 2) displacement that draws the corners of a broad smile in: nobody speaks with a grin that wide."""
    points, unit = mesh.points[:MESH_POINTS, :2], mesh.unit
    first, last = points[list(MOUTH_CORNERS)]
    half = float(np.linalg.norm(last - first)) / 2
    inwards = 0.55 * min(max(half / unit - BROAD / 2, 0.0), 0.16) * unit
    across = (last - first) / max(2 * half, 1e-6)
    down = np.array([-across[1], across[0]], np.float32)
    x, y = ((points - (first + last) / 2) @ axis / unit for axis in (across, down))
    outside = np.maximum(np.abs(x) - half / unit, 0.0)
    near = np.exp(-np.square(outside / 0.20) - np.square(y / 0.30)) * inwards
    share = np.clip(x * unit / half, -1, 1)
    drawn: Array = (-share * near)[:, None] * across + (0.45 * share**2 * near)[:, None] * down
    return drawn


def _eased(value: Array, limit: float) -> Array:
    """Nearly the value while small, never above the limit."""
    return np.asarray(limit * np.tanh(value / limit), dtype=np.float32)
