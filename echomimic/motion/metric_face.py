"""Face geometry: metric vertices and head pose from face-mesh points, and the camera that sees them.

The camera is MediaPipe's virtual one: 63 degrees vertically, at the origin, looking along -z, x right, y up,
lengths in centimetres. A face-mesh point gives x, y and relative depth; the scale follows from comparing with
the canonical face. Against MediaPipe's own face geometry (fixture `v1_motion_sync`): pose within 0.1 degree,
vertices within 0.1 mm.
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from echomimic.arrays import Doubles
from echomimic.faces.geometry import MESH_POINTS, canonical_face

# MediaPipe's camera: planes in centimetres and 63 degrees of vertical view (face geometry's environment).
_NEAR, _FAR = 1.0, 10000.0
_TANGENT = float(np.tan(np.radians(63.0) / 2))

# The canonical face of this package, laid into MediaPipe's head frame: size, forward tilt and place were
# fitted to the fixture's vertices.
_CENTIMETRES = 9.2875
_TILT = np.radians(2.247)
_ORIGIN = np.array([0.0, 2.6834, 3.0065])

# How much a point counts when the canonical face is fitted, as in MediaPipe's face geometry.
_WEIGHTS = {
    4: 0.0709, 6: 0.0321, 10: 0.0084, 33: 0.0587, 54: 0.0077, 67: 0.0091, 117: 0.0098, 119: 0.0146,
    121: 0.0186, 127: 0.0052, 129: 0.1206, 132: 0.0056, 133: 0.0533, 136: 0.0669, 143: 0.0148, 147: 0.0143,
    198: 0.0255, 205: 0.0473, 263: 0.0587, 284: 0.0077, 297: 0.0091, 346: 0.0098, 348: 0.0146, 350: 0.0186,
    356: 0.0052, 358: 0.1206, 361: 0.0056, 362: 0.0533, 365: 0.0669, 372: 0.0148, 376: 0.0143,
    420: 0.0255, 427: 0.0473,
}  # fmt: skip
_BASIS = list(_WEIGHTS)
_SHARES = np.array(list(_WEIGHTS.values())) / sum(_WEIGHTS.values())


def metric_motion(points: npt.NDArray[np.floating], size: tuple[int, int]) -> tuple[Doubles, Doubles]:
    """Metric vertices (F, 468, 3) in the head's frame and head poses (F, 4, 4),
    from (F, 478, 3) pixels of `size`."""
    found = [_metric(np.asarray(frame, np.float64)[:MESH_POINTS], size) for frame in points]
    return np.stack([vertices for vertices, _ in found]), np.stack([pose for _, pose in found])


def project(vertices: npt.ArrayLike, pose: npt.ArrayLike, width: int, height: int) -> Doubles:
    """Vertices (N, 3) seen by the camera under a head pose (4, 4): (N, 2) pixels.

    The official code uses the perspective matrix transposed, so that depth is 1.0001 times too large; kept.
    """
    pose = np.asarray(pose, np.float64)
    camera = np.asarray(vertices, np.float64) @ pose[:3, :3].T + pose[:3, 3]
    focal = np.float64(np.float32(1 / _TANGENT))
    focal_x = np.float64(np.float32(1 / _TANGENT / (width / height)))
    depth = camera[:, 2] * np.float64(np.float32(_NEAR * _FAR / (_NEAR - _FAR)))
    x = (camera[:, 0] * focal_x / depth + 1) / 2 * width
    y = (-camera[:, 1] * focal / depth + 1) / 2 * height
    return np.stack([x, y], axis=1)


@functools.cache
def _canonical_basis() -> Doubles:
    cos, sin = np.cos(_TILT), np.sin(_TILT)
    tilt = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
    basis: Doubles = _CENTIMETRES * canonical_face()[_BASIS].astype(np.float64) @ tilt.T + _ORIGIN
    return basis


def _metric(mesh: Doubles, size: tuple[int, int]) -> tuple[Doubles, Doubles]:
    near = _on_near_plane(mesh, size)
    rough = _fit(near[_BASIS] * [1.0, 1.0, -1.0])[0]
    scale = rough * _fit(_unproject(near, rough)[_BASIS])[0]
    camera = _unproject(near, scale)
    _, rotation, shift = _fit(camera[_BASIS])
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = rotation, shift
    return (camera - shift) @ rotation, pose


def _on_near_plane(mesh: Doubles, size: tuple[int, int]) -> Doubles:
    """Pixels on the camera's near plane, y up; depth in the same scale, away from the viewer."""
    width, height = size
    high = 2 * _TANGENT * _NEAR
    wide = high * width / height
    x, y = mesh[:, 0] / width - 0.5, 0.5 - mesh[:, 1] / height
    return np.stack([x * wide, y * high, mesh[:, 2] / width * wide], axis=1)


def _unproject(near: Doubles, scale: float) -> Doubles:
    """Points in the camera's frame when the head is `scale` times smaller on the near plane than in truth."""
    depth = (near[:, 2] - near[:, 2].mean() + _NEAR) / scale
    return np.stack([near[:, 0] * depth / _NEAR, near[:, 1] * depth / _NEAR, -depth], axis=1)


def _fit(target: Doubles) -> tuple[float, Doubles, Doubles]:
    """Scale, rotation and shift that take the canonical basis points to `target`, weighted."""
    source = _canonical_basis()
    source_centre, target_centre = _SHARES @ source, _SHARES @ target
    a, b = source - source_centre, target - target_centre
    u, values, vt = np.linalg.svd((b * _SHARES[:, None]).T @ a)
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    rotation = (u * signs) @ vt
    scale = float((values * signs).sum() / (_SHARES @ (a**2).sum(1)))
    return scale, rotation, target_centre - scale * rotation @ source_centre
