"""How an open mouth closes: where its lips would rest, found from the proportions of the face.

A jaw that hangs is shortened, a raised upper lip comes down to its usual distance from the nose, a rounded
mouth widens and a broad smile narrows; each lip keeps the height that the photo shows of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from echomimic.faces.geometry import (
    CHIN,
    LOWER_LIP_INNER,
    LOWER_LIP_OUTER,
    MESH_POINTS,
    MOUTH_CORNERS,
    UPPER_LIP_INNER,
    UPPER_LIP_OUTER,
)
from echomimic.preview.mesh.face_mesh import (
    LOWER_LIP_BETWEEN,
    TINY,
    UPPER_LIP_BETWEEN,
    Array,
    Mesh,
    soft_step,
)
from echomimic.preview.mouth.lip_axis import LipAxis, corner_axis

_NOSE_BASE = 2
_ROWS = (
    UPPER_LIP_INNER,
    LOWER_LIP_INNER,
    UPPER_LIP_OUTER,
    LOWER_LIP_OUTER,
    *UPPER_LIP_BETWEEN,
    *LOWER_LIP_BETWEEN,
)
LIP_POINTS = tuple(dict.fromkeys(point for row in _ROWS for point in row))


@dataclass(frozen=True)
class RestTuning:
    """Lengths in units (outer eye distances). Proportions: the mean of the canonical face; the rest by eye on
    8 photos of open mouths and 6 of smiles."""

    open_photo: float = 0.035
    """A gap between the lips from which on a photo counts as open-mouthed."""
    philtrum: float = 0.245
    """From the base of the nose to where lips meet."""
    upper_share: tuple[float, float] = (0.12, 0.55)
    """The upper lip makes at least and at most these shares of the way."""
    jaw_gap: tuple[float, float] = (0.06, 0.26)
    """Up to the first gap lips alone are parted; from the second on the jaw makes its whole share of the
    gap."""
    jaw_share: float = 0.45
    """The chin's: in five recordings of people who talk it moves by 0.31 to 0.47 of the gap; …"""
    jaw_side: tuple[float, float] = (0.10, 0.78)
    """… beside the chin its way ends evenly between these distances from the middle, as it does there, …"""
    jaw_top: tuple[float, float] = (-0.02, 0.20)
    """… and begins between these heights under the corners of the mouth."""
    narrow: float = 0.50
    """A wide-open mouth narrower than this widens to it when it closes."""
    narrow_gap: tuple[float, float] = (0.10, 0.28)
    broad: float = 0.60
    """A mouth wider than this is a broad smile; nobody speaks with one."""
    broad_share: float = 0.85
    broad_most: float = 0.16
    smile_sag: float = 0.03
    smile_drop: float = 0.80
    """Corners of a smile that lie higher than `smile_sag` over the middle come down by this share of it."""
    corner_rise: float = 0.85
    """The share of their way that the corners make to the closed line of a hanging jaw."""
    sag: float = 0.02
    """How far the middle of a closed line lies below its corners."""
    level: tuple[float, float] = (0.06, 0.22)
    """From the first to the second gap the closed line becomes its own even curve instead of the mean of both
    lips."""
    upper_reach: float = 0.17
    lower_reach: float = 0.30
    """How far from a lip its skin goes along."""
    skin_blur: float = 0.06
    cheek: tuple[float, float] = (0.20, 0.30)
    """Reach across and along of the corners' way into the cheeks."""


REST = RestTuning()


def is_open(mesh: Mesh) -> bool:
    """Whether the photo shows an open mouth."""
    return _gap(mesh) > REST.open_photo


def _gap(mesh: Mesh) -> float:
    """The widest gap between the lips, units."""
    apart = mesh.points[list(UPPER_LIP_INNER), :2] - mesh.points[list(LOWER_LIP_INNER), :2]
    return float(np.linalg.norm(apart, axis=1).max()) / mesh.unit


def close_photo(mesh: Mesh) -> Array:
    """(468, 2) displacement in pixels that brings the photo's lips to rest; zero where they already are."""
    if not is_open(mesh):
        return np.zeros((MESH_POINTS, 2), np.float32)
    axis = corner_axis(mesh.points)
    jaw = _raise_jaw(mesh, axis)
    closing = jaw.copy()
    corners = _move_corners(mesh, axis)
    _meet_lips(mesh, axis, closing)
    _drag_skin(mesh, axis, closing, jaw, UPPER_LIP_OUTER, above=True)
    _drag_skin(mesh, axis, closing, jaw, LOWER_LIP_OUTER, above=False)
    return np.asarray(closing + _draw_cheeks(mesh, axis, corners), dtype=np.float32)


def _raise_jaw(mesh: Mesh, axis: LipAxis) -> Array:
    """(468, 2) the way of the jaw: whole at chin and lower lip, less towards the ears, nothing above the
    mouth."""
    unit, gap = mesh.unit, _gap(mesh)
    x, y = axis.local(mesh.points[:MESH_POINTS, :2])
    way = REST.jaw_share * gap * unit * float(soft_step(np.float32(gap), *REST.jaw_gap))
    chin = float(y[CHIN]) / unit
    near = soft_step(y / unit, *REST.jaw_top) if chin > REST.jaw_top[1] else np.zeros_like(y)
    first, last = REST.jaw_side
    near = near * np.clip((last - np.abs(x) / unit) / (last - first), 0, 1)
    return np.asarray(-(way * near)[:, None] * axis.down, dtype=np.float32)


def meeting(mesh: Mesh, axis: LipAxis) -> float:
    """Where the middles of the lips meet: pixels below the line through the corners."""
    _, y = axis.local(mesh.points[[_NOSE_BASE, UPPER_LIP_INNER[5], LOWER_LIP_INNER[5]], :2])
    gap = max(float(y[2] - y[1]), TINY)
    wanted = (REST.philtrum * mesh.unit - float(y[1] - y[0])) / gap
    return float(y[1]) + gap * float(np.clip(wanted, *REST.upper_share))


def _move_corners(mesh: Mesh, axis: LipAxis) -> Array:
    """(2,) how far each corner moves inwards and down, pixels."""
    unit, gap = mesh.unit, _gap(mesh)
    half = axis.width / 2 / unit
    broad = REST.broad_share * min(max(half - REST.broad / 2, 0.0), REST.broad_most)
    narrow = max(REST.narrow / 2 - half, 0.0) * float(soft_step(np.float32(gap), *REST.narrow_gap))
    hanging = float(soft_step(np.float32(gap), *REST.jaw_gap))
    rise = hanging * REST.corner_rise * min(meeting(mesh, axis) / unit - REST.sag, 0.0)
    drop = (1 - hanging) * REST.smile_drop * max(meeting(mesh, axis) / unit - REST.smile_sag, 0.0)
    return np.array([broad - narrow, drop + rise], np.float32) * unit


def _meet_lips(mesh: Mesh, axis: LipAxis, closing: Array) -> None:
    """Sets the way of the lips: their inner edges to one line, each lip as a whole."""
    points = mesh.points[:, :2]
    upper, lower = list(UPPER_LIP_INNER), list(LOWER_LIP_INNER)
    left, top = axis.local(points[upper])
    right, bottom = axis.local(points[lower])
    middle = meeting(mesh, axis)
    mean = top + (middle - top[5]) / max(float(bottom[5] - top[5]), TINY) * (bottom - top)
    own = float(1 - soft_step(np.float32(_gap(mesh)), *REST.level))
    for lip, x, y in ((upper, left, top), (lower, right, bottom)):
        even = middle * (1 - np.square(np.clip(2 * x / axis.width, -1, 1)))
        closing[lip] = (own * mean + (1 - own) * even - y)[:, None] * axis.down
    for outer, inner, rows in (
        (UPPER_LIP_OUTER, UPPER_LIP_INNER, UPPER_LIP_BETWEEN),
        (LOWER_LIP_OUTER, LOWER_LIP_INNER, LOWER_LIP_BETWEEN),
    ):
        for row in (outer, *rows):
            for a, b in zip(row[1:-1], inner[1:-1], strict=True):
                closing[a] = closing[b]
    closing[list(MOUTH_CORNERS)] = 0
    for row in UPPER_LIP_BETWEEN + LOWER_LIP_BETWEEN:
        closing[[row[0], row[-1]]] = 0


def _drag_skin(
    mesh: Mesh, axis: LipAxis, closing: Array, jaw: Array, lip: tuple[int, ...], *, above: bool
) -> None:
    """The skin beside a lip goes with it, further away with the jaw: no edge of a lip may smear."""
    _, below = axis.local(mesh.points[:MESH_POINTS, :2])
    side = below < 0 if above else below > 0
    side[list(LIP_POINTS)] = False
    points, ids = mesh.points[:, :2], np.flatnonzero(side)
    apart = np.linalg.norm(points[ids, None] - points[None, list(lip)], axis=2) / mesh.unit
    near = apart.min(1, keepdims=True)
    weight = np.exp(-(apart**2 - near**2) / (2 * REST.skin_blur**2))
    moved = (weight @ closing[list(lip)]) / weight.sum(1, keepdims=True)
    share = 1 - soft_step(near, 0.0, REST.upper_reach if above else REST.lower_reach)
    closing[ids] = jaw[ids] + (moved - jaw[ids]) * share


def _draw_cheeks(mesh: Mesh, axis: LipAxis, corners: Array) -> Array:
    """(468, 2) the corners' way, and that of lips and cheeks around them."""
    unit, half = mesh.unit, axis.width / 2
    x, y = axis.local(mesh.points[:MESH_POINTS, :2])
    outside = np.maximum(np.abs(x) - half, 0.0) / unit
    near = np.exp(-np.square(outside / REST.cheek[0]) - np.square(y / unit / REST.cheek[1]))
    share = np.clip(x / half, -1, 1)
    drawn: Array = (-share * near * corners[0])[:, None] * axis.across
    return np.asarray(drawn + (np.square(share) * near * corners[1])[:, None] * axis.down, dtype=np.float32)
