"""A driver's face motion as a performance that any portrait can give.

The driver's head is taken out of its points, what remains is compared with the driver's own neutral face:
closed mouth, open eyes. So two people of different looks give the same performance for the same expression.
"""

from __future__ import annotations

import numpy as np

from echomimic.arrays import Doubles, Floats
from echomimic.faces.geometry import (
    MESH_POINTS,
    MOUTH_CORNERS,
    head_pose,
    mesh_mirror,
    mouth_width,
)
from echomimic.motion.face_motion import FaceMotion
from echomimic.motion.performance import Performance
from echomimic.motion.retarget.face_regions import BROWS, EYES, brow_weight, forehead_weight, speech_weight
from echomimic.motion.retarget.head_pose import closed_mouth, split_heads
from echomimic.motion.tracks import bridge, gaussian

COEFFICIENTS = 32
# Seconds over which the points of a tracker are smoothed.
_JITTER = 0.028
# Share of an expression that is replaced by the mean of itself and its mirror: trackers skew a turned
# mouth.
_SYMMETRY = 0.5
# A face's motion says nothing of the shoulders: they go along with the head by this share.
_BODY_FOLLOWS = 0.2
_GAZE_LIMIT = 0.06


def performance_from_motion(motion: FaceMotion, points: Floats | None = None) -> Performance:
    """The performance in a driver's face motion, relative to the driver's own mean pose and neutral face.

    Rotations are about the mean pose of the whole motion, so that a driver who looks aside turns no portrait
    aside. points: (478, 3) of the portrait that will give it; a smaller mouth than the driver's then makes
    smaller motions.
    """
    heads = split_heads(motion)
    face = gaussian(heads.face, _JITTER * motion.fps)
    rotation = gaussian(heads.angles, 1.4 * _JITTER * motion.fps)
    place = gaussian((heads.place - heads.home) / np.median(heads.scale), 1.4 * _JITTER * motion.fps)
    moved = _expression(face)
    brow = moved[:, list(BROWS), 1].mean(1)
    moved = moved * np.maximum(speech_weight(), forehead_weight())[None, :, None]
    moved[:, :, 1] -= brow[:, None] * brow_weight() * forehead_weight()
    if points is not None:
        moved *= 1 + speech_weight()[:, None] * np.float32(_mouth_ratio(face, points) - 1)
    coefficients, basis = principal_components(moved, COEFFICIENTS)
    blink = _blink(face)
    return Performance(
        fps=motion.fps,
        expression=coefficients,
        basis=basis,
        rotation=rotation,
        translation=place.astype(np.float32),
        blink=blink,
        gaze=_gaze(face, blink),
        brow=brow,
        body=(_BODY_FOLLOWS * place).astype(np.float32),
    )


def principal_components(moved: Floats, count: int) -> tuple[Floats, Floats]:
    """Displacements (F, 468, 3) as at most `count` coefficients (F, K) and their basis (K, 468, 3)."""
    flat = moved.reshape(len(moved), -1).astype(np.float64)
    few = len(flat) <= flat.shape[1]
    values, vectors = np.linalg.eigh(flat @ flat.T if few else flat.T @ flat)
    values, vectors = values[::-1][:count], vectors[:, ::-1][:, :count]
    kept = values > max(1e-9 * values[0], 1e-15)
    basis = vectors[:, kept].T
    if few:
        basis = (basis @ flat) / np.sqrt(values[kept])[:, None]
    return (flat @ basis.T).astype(np.float32), basis.reshape(-1, MESH_POINTS, 3).astype(np.float32)


def _mouth_ratio(face: Floats, points: Floats) -> float:
    """Width of the portrait's mouth against the driver's, both in outer eye distances; within reason."""
    own = mouth_width(points) / head_pose(points).scale
    drivers = float(np.median(np.linalg.norm(face[:, MOUTH_CORNERS[0]] - face[:, MOUTH_CORNERS[1]], axis=1)))
    return float(np.clip(own / max(drivers, 1e-3), 0.8, 1.2))


def _expression(face: Floats) -> Floats:
    """(F, 468, 3) displacement from the driver's neutral: the mean of its most closed mouths."""
    mesh = face[:, :MESH_POINTS]
    neutral = closed_mouth(face)[:MESH_POINTS]
    moved = mesh - neutral
    mirrored = moved[:, mesh_mirror()] * np.array([-1, 1, 1], np.float32)
    return np.asarray(moved * (1 - _SYMMETRY / 2) + mirrored * (_SYMMETRY / 2), dtype=np.float32)


def _blink(face: Floats) -> Floats:
    """(F, 2) how far each eye is closed, compared with the driver's own open and closed eyes."""
    closed = []
    for eye in EYES:
        upper, lower = eye.lids
        width = np.linalg.norm(face[:, eye.corners[0]] - face[:, eye.corners[1]], axis=1)
        gap = np.linalg.norm(face[:, upper] - face[:, lower], axis=1) / np.maximum(width, 1e-6)
        widest = 0.88 * np.quantile(gap, 0.8)
        least = min(float(np.quantile(gap, 0.01)), 0.35 * float(np.quantile(gap, 0.8)))
        closed.append(np.clip((widest - gap) / max(widest - least, 1e-3), 0, 1))
    return np.stack(closed, axis=1).astype(np.float32)


def _gaze(face: Floats, blink: Floats) -> Floats:
    """(F, 2) shift of the irises against their usual place, both eyes together;
    held while the eyes are closed."""
    shifts = [face[:, eye.iris[0], :2] - face[:, list(eye.corners), :2].mean(1) for eye in EYES]
    seen = np.mean(shifts, axis=0) * np.array([1.0, -1.0])
    look: Doubles = bridge(seen - np.median(seen, axis=0), blink.max(1) < 0.4)
    return np.clip(look, -_GAZE_LIMIT, _GAZE_LIMIT).astype(np.float32)
