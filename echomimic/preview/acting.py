"""One frame of a performance turned into pixels of this portrait."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from echomimic.faces.geometry import MOUTH_CORNERS, UPPER_LIP_INNER, canonical_face, rotation_matrix
from echomimic.motion.performance import Performance
from echomimic.motion.retarget.face_regions import PIVOT, speech_weight
from echomimic.preview.mesh.face_mesh import Array, Mesh, soft_step
from echomimic.preview.mesh.field import HeadTransform
from echomimic.preview.mouth.lip_limits import Lips, make_lips
from echomimic.preview.mouth.rest import LIP_POINTS, close_photo

ROTATION_LIMIT = 0.40
"""Rotations are eased towards this many radians: beyond, one photo has nothing to show."""
TURNED_PHOTO = (0.25, 0.55)
"""Sines of the photo's own yaw from which on, and at which, …"""
TURNED_LIMIT = 0.18
"""… this limit holds, and no gain: the far side of such a face hides what a further turn would show."""
SHIFT_LIMIT = 0.22
"""The same for shifts of the head, in units."""
ROTATION_SEEN = np.array([1.08, 1.30, 1.0], np.float32)
"""How much more than asked the head pitches, yaws and rolls, so that as much is seen: a photo that is turned
keeps the light of the front. As the other gains here, from re-enacted clips (benchmarks.reenact)."""
BROW_SEEN = 1.75
"""The same for raised brows …"""
BROW_LIMIT = 0.11
"""… which rise and fall by at most so much, in units; …"""
WIDTH_SEEN = 1.20
"""… for what widens and narrows the mouth, …"""
UPPER_LIP_SEEN = 1.2
JAW_SEEN = 0.94
"""… and for the ways of the upper lip and of what lies below it up and down."""
CORNERS_SEEN = 0.8
"""So far the corners of the mouth go down while its lips come forward, and up while they are drawn back, as a
share of the lips' way: a photo cannot show depth, and this is how pursed lips look from the front; …"""
CORNERS_LIMIT = 0.014
"""… by at most so much, in units: further down the lips look sulky instead of rounded."""
TALK_REACH = 0.4
"""Seconds around a moment in which moving lips count as talking, …"""
TALK_MOVE = 0.02
"""… wholly if one of their points moves so far, in units."""

_LIP_EDGE, _LIP_SKIN = 0.03, 0.1
"""So far under the edge of the upper lip, canonical, its gain takes over from the jaw's; so far above it the
gain begins to fade towards the nose, which does not move, …"""
# … and between these distances from the middle towards the cheeks.
_LIP_BESIDE = (0.2, 0.35)
_LIP_FRONT = (0, 13, 14, 17)
# Around a corner of the mouth the skin goes with it: radii across and down, canonical.
_CORNER_AROUND = (0.12, 0.14)

# Frames at a time: memory must not grow with the length of the video.
_BLOCK = 1024
_NOSE_BRIDGE = 168
_NOSE_BASE = 2


@dataclass(frozen=True)
class Acting:
    """What the portrait does in one frame, pixels."""

    head: HeadTransform
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

    def _rotation(self, asked: Array) -> Array:
        """(3,) pitch, yaw, roll to do so that as much as `asked` is seen, as far as the photo can show it."""
        aside = float(soft_step(np.float32(abs(self.mesh.pose.rotation[0, 2])), *TURNED_PHOTO))
        gain = 1 + (ROTATION_SEEN - 1) * np.float32(1 - aside)
        return _limited(asked * gain, ROTATION_LIMIT + (TURNED_LIMIT - ROTATION_LIMIT) * aside)

    def act(self, performance: Performance, i: int) -> Acting:
        """Frame `i` of `performance`, eased into what one photo can show."""
        mesh, unit = self.mesh, self.mesh.unit
        pitch, yaw, roll = (float(a) for a in self._rotation(performance.rotation[i]))
        turn = rotation_matrix(pitch, yaw, roll)
        pivot = mesh.pose.to_picture(np.array([PIVOT], np.float32))[0]
        swing = (turn @ (mesh.points[_NOSE_BRIDGE] - pivot) - (mesh.points[_NOSE_BRIDGE] - pivot))[:2]
        shift = unit * _eased(performance.translation[i] - swing / unit, SHIFT_LIMIT)
        expression = _seen(performance.displacement(i))
        expression[:, 1] += mesh.brow * _limited(BROW_SEEN * performance.brow[i], BROW_LIMIT)
        talking = talking_of(performance, i)
        rest = self.closing * np.float32(talking)
        skin = mesh.displaced(expression, turn) + rest
        return Acting(
            HeadTransform(turn, shift.astype(np.float32), unit * performance.body[i]),
            self.lips.plausible(skin.astype(np.float32), rest),
            np.clip(performance.blink[i], 0.0, 1.0),
            unit * performance.gaze[i],
            talking,
        )


def talking_of(performance: Performance, i: int) -> float:
    """0…1 how much the lips move around frame `i`:
    an open-mouthed photo closes to speak and relaxes in silence."""
    reach = max(1, round(TALK_REACH * performance.fps))
    first, last = max(0, i - reach), min(len(performance), i + reach + 1)
    lips = performance.basis[:, list(LIP_POINTS)]
    moved = np.tensordot(performance.expression[first:last], lips, 1)
    size = np.abs(moved).max((1, 2), initial=0.0)
    near = 0.5 + 0.5 * np.cos(np.pi * (np.arange(first, last) - i) / (reach + 1))
    return float(np.max(np.clip(size / TALK_MOVE, 0, 1) * np.minimum(1.0, 2.0 * near), initial=0.0))


def talking_track(performance: Performance) -> Array:
    """(F,) :func:`talking_of` every frame, to rounding."""
    lips = performance.basis[:, list(LIP_POINTS)].reshape(len(performance.basis), -1)
    size = np.zeros(len(performance), np.float32)
    for start in range(0, len(size), _BLOCK):
        size[start : start + _BLOCK] = np.abs(performance.expression[start : start + _BLOCK] @ lips).max(
            1, initial=0.0
        )
    reach = max(1, round(TALK_REACH * performance.fps))
    padded = np.pad(np.clip(size / TALK_MOVE, 0, 1), reach)
    near = np.minimum(1.0, 1.0 + np.cos(np.pi * np.arange(-reach, reach + 1) / (reach + 1)))
    shifted = [padded[i : i + len(size)] * share for i, share in enumerate(near)]
    return np.asarray(np.max(shifted, axis=0), dtype=np.float32)


def make_actor(mesh: Mesh) -> Actor:
    """The actor of a portrait."""
    closing = close_photo(mesh)
    return Actor(mesh, closing, make_lips(mesh, closing))


def _seen(asked: Array) -> Array:
    """(468, 3) what to do with a face so that as much is seen as is `asked`, (468, 3), canonical."""
    done = asked * seen_gain()
    done[:, 1] -= _eased(CORNERS_SEEN * asked[list(_LIP_FRONT), 2].mean(), CORNERS_LIMIT) * corner_pull()
    return np.asarray(done)


@functools.cache
def corner_pull() -> Array:
    """(468,) how much each point goes with the corners of the mouth when they go up or down."""
    face = canonical_face()[:, :2]
    apart = [np.square((face - face[corner]) / _CORNER_AROUND).sum(1) for corner in MOUTH_CORNERS]
    pull = np.exp(-np.min(apart, axis=0)).astype(np.float32)
    pull.flags.writeable = False
    return np.asarray(pull)


@functools.cache
def seen_gain() -> Array:
    """(468, 3) how much more than asked each point moves along the face's own axes."""
    face = canonical_face()
    gain = np.ones_like(face)
    gain[:, 0] += (WIDTH_SEEN - 1) * speech_weight()
    upper, nose = face[list(UPPER_LIP_INNER), 1].mean(), face[_NOSE_BASE, 1]
    below_nose = 1 - soft_step(face[:, 1], upper + _LIP_SKIN, nose)
    lip = soft_step(face[:, 1], upper - _LIP_EDGE, upper) * below_nose
    gain[:, 1] += (UPPER_LIP_SEEN - 1) * lip * (1 - soft_step(np.abs(face[:, 0]), *_LIP_BESIDE))
    gain[:, 1] += (JAW_SEEN - 1) * (1 - soft_step(face[:, 1], upper - _LIP_EDGE, upper)) * speech_weight()
    gain.flags.writeable = False
    return gain


def _limited(value: Array, limit: float) -> Array:
    """The value to two thirds of the limit, never above it."""
    return np.asarray(value / (1 + (value / limit) ** 4) ** (1 / 4), dtype=np.float32)


def _eased(value: Array, limit: float) -> Array:
    """Nearly the value while small, never above the limit."""
    return np.asarray(limit * np.tanh(value / limit), dtype=np.float32)
