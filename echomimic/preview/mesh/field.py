"""How every point of the photo moves: with the head (through its depth),
with the expression, with the body."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from echomimic.faces.geometry import CHIN, OVAL
from echomimic.motion.retarget.face_regions import PIVOT
from echomimic.preview.mesh.face_mesh import (
    Array,
    BarycentricWeights,
    Grid,
    Mesh,
    barycentric_weights,
    soft_step,
)
from echomimic.preview.mesh.warp import remap


@dataclass(frozen=True)
class _Tuning:
    """Where the head's motion ends, and how deep what lies around the face is. Lengths in units (outer eye
    distances) or, where said so, in lengths of the face from forehead to chin. Tuned by eye on photos and
    painted portraits."""

    # How far along the outline a place beside the face looks for its depth.
    outline_reach: float = 0.2
    # Hair and ears lie deeper than the outline by this share of their distance to it, at most by so much.
    fall: tuple[float, float] = (0.55, 0.45)
    # A node that belongs to the mesh by this share shows face; the rings around it have no depth of their
    # own.
    face: float = 0.999
    # From the first to the second radius of the face the depth is smoothed more, …
    rim: tuple[float, float] = (0.55, 0.95)
    # … from a smoothing by the first to one by the second: an edge in depth would tear the picture beside
    # it.
    blur: tuple[float, float] = (0.05, 0.17)
    # The head's motion ends between so far above the chin and so far below it, lengths of the face, …
    neck: tuple[float, float] = (0.10, 0.62)
    # … and at the sides between these distances from its middle, units: wide hair still moves along.
    beside: tuple[float, float] = (2.1, 3.4)
    # Up to the first radius all is face and moves wholly, up to the second it passes into the rest.
    oval: tuple[float, float] = (0.98, 1.25)
    # So far from a border that cuts through the person the motion is held back, lengths of the face, …
    border: float = 0.12
    # … if the person takes at least this share of the border, …
    cut: float = 0.02
    # … to the first share at the border itself, which rises by the second: nothing lies beyond it to be
    # shown.
    held: tuple[float, float] = (0.35, 0.65)
    # The body's motion begins so far above the chin and is whole so far below it, lengths of the face; …
    body: tuple[float, float] = (0.1, 0.5)
    # … by the first share of it the picture's lower end moves less, from the second share of the height on.
    lower: tuple[float, float] = (0.55, 0.75)


_TUNING = _Tuning()


@dataclass(frozen=True)
class HeadTransform:
    """The rigid transform of the head in one frame, and how far the body moves."""

    turn: Array
    """(3, 3) head rotation, picture axes."""
    shift: Array
    """(2,) pixels, added to the turned head."""
    body: Array
    """(2,) pixels."""

    @cached_property
    def matrix(self) -> Array:
        """(4, 4) from a :attr:`Field.lever` to x and y of the motion, and two zeros: OpenCV is four times
        as quick with a square matrix."""
        square = np.zeros((4, 4), np.float32)
        square[:2, :3] = self.turn[:2]
        square[[0, 1], [0, 1]] -= 1.0
        square[:2, 3] = self.shift
        return square


@dataclass(frozen=True)
class Field:
    """Motion on a grid of points of the photo."""

    grid: Grid
    numbers: Array
    """(h, w, 2) node numbers."""
    lever: Array
    """(h, w, 4) weight × (x, y, z from the pivot, 1): the head's motion is linear in it."""
    body: Array
    """(h, w, 2) how much a point follows the body, the same for both axes."""
    weights: BarycentricWeights

    def head_motion(self, head: HeadTransform) -> Array:
        """(h, w, 2) pixels: head and body."""
        both = np.asarray(cv2.transform(self.lever, head.matrix), dtype=np.float32)
        # Two float32 copied as one complex64: a tenth of the time.
        moved: Array = both.view(np.complex64)[..., 0].copy().view(np.float32).reshape(*both.shape[:2], 2)
        if np.any(head.body):
            way = np.array([*head.body, 0.0, 0.0], np.float64)  # OpenCV takes four numbers for a colour
            moved += cv2.multiply(self.body, way)
        return moved

    def skin(self, shift: Array) -> Array:
        """(612, 2) pixel displacement of mesh and rings → (h, w, 2)."""
        return self.weights.interpolate(shift)


def frame_field(mesh: Mesh, width: int, height: int, mask: Array) -> Field:
    """The field over the whole frame and a margin around it. mask: (height, width) person."""
    step = max(1, round(max(width, height) / 170))
    margin = 12
    grid = Grid(
        -margin * step + (step - 1) / 2,
        -margin * step + (step - 1) / 2,
        step,
        -(-width // step) + 2 * margin,
        -(-height // step) + 2 * margin,
    )
    weights = barycentric_weights(mesh, grid)
    nodes = grid.nodes()
    depth = _depth(mesh, grid, nodes, weights)
    weight = _head_weight(mesh, nodes, mask)
    pivot = mesh.pose.to_picture(np.array([PIVOT], np.float32))[0]
    arm = np.concatenate([nodes, depth[..., None]], 2) - pivot
    lever = np.concatenate([arm, np.ones_like(arm[..., :1])], 2) * weight[..., None]
    numbers = np.stack(np.meshgrid(np.arange(grid.width), np.arange(grid.height)), -1).astype(np.float32)
    body = np.repeat(_body_weight(mesh, nodes, height)[..., None], 2, 2)
    return Field(grid, numbers, np.ascontiguousarray(lever, dtype=np.float32), body, weights)


def detail_field(mesh: Mesh, whole: Field, grid: Grid) -> Field:
    """The same motion on a finer grid over a part of the frame."""
    at = whole.grid.index(grid.nodes())
    lever = remap(whole.lever, at)
    body = remap(whole.body, at)
    numbers = np.stack(np.meshgrid(np.arange(grid.width), np.arange(grid.height)), -1).astype(np.float32)
    return Field(grid, numbers, lever, body, barycentric_weights(mesh, grid))


def _depth(mesh: Mesh, grid: Grid, nodes: Array, weights: BarycentricWeights) -> Array:
    """(h, w) depth: the mesh inside the face; outside, the outline's depth falling back with distance."""
    unit = mesh.unit
    outline = mesh.points[list(OVAL)]
    coarse = nodes[::4, ::4]
    apart = np.linalg.norm(coarse[:, :, None] - outline[:, :2], axis=3)
    near = apart.min(2, keepdims=True)
    weight = np.exp(-(apart**2 - near**2) / (2 * (_TUNING.outline_reach * unit) ** 2))
    share, most = _TUNING.fall
    around = (weight @ outline[:, 2]) / weight.sum(2) + np.minimum(near[..., 0] * share, unit * most)
    at = np.stack(np.meshgrid(np.arange(grid.width), np.arange(grid.height)), -1).astype(np.float32) / 4
    outside = remap(around.astype(np.float32), at)
    values = np.zeros((len(mesh.skin), 2), np.float32)
    values[:468, 0], values[:468, 1] = mesh.points[:468, 2], 1.0
    values[468:, 1] = 0.0
    inside = weights.interpolate(values)
    face = np.clip(inside[..., 1], 0.0, 1.0) > _TUNING.face
    depth = np.where(face, inside[..., 0], outside)
    centre, half = _oval_box(mesh)
    radius = np.linalg.norm((nodes - centre) / half, axis=2)
    blend = soft_step(radius, *_TUNING.rim)
    fine, soft = (_blurred(depth, unit * sigma / grid.step) for sigma in _TUNING.blur)
    return np.asarray(fine * (1 - blend) + soft * blend, dtype=np.float32)


def _oval_box(mesh: Mesh) -> tuple[Array, Array]:
    outline = mesh.points[list(OVAL), :2]
    return outline.mean(0), np.ptp(outline, axis=0) / 2


def _head_weight(mesh: Mesh, nodes: Array, mask: Array) -> Array:
    """1 on head and hair, 0 from the shoulders down and far to the sides;
    less where the frame cuts the person."""
    chin, length, unit = mesh.points[CHIN], mesh.length, mesh.unit
    centre, half = _oval_box(mesh)
    above, below = _TUNING.neck
    weight = 1.0 - soft_step(nodes[..., 1], chin[1] - above * length, chin[1] + below * length)
    near, far = _TUNING.beside
    weight *= 1.0 - soft_step(np.abs(nodes[..., 0] - centre[0]), near * unit, far * unit)
    radius = np.linalg.norm((nodes - centre) / half, axis=2)
    weight = np.maximum(weight, 1.0 - soft_step(radius, *_TUNING.oval))
    held = _held_by_borders(nodes, mask, _TUNING.border * length, int(chin[1]))
    return np.asarray(weight * held, dtype=np.float32)


def _held_by_borders(nodes: Array, mask: Array, reach: float, chin: int) -> Array:
    """1 inside; less at the borders that cut through the person."""
    least, rise = _TUNING.held
    height, width = mask.shape
    # Below the chin shoulders may leave the frame at the sides: they do not move with the head.
    head = mask[: max(1, min(height, chin))]
    free = np.ones(nodes.shape[:2], np.float32)
    for cut, distance in (
        (mask[: max(2, height // 128)].mean(), nodes[..., 1]),
        (mask[-max(2, height // 128) :].mean(), height - 1 - nodes[..., 1]),
        (head[:, : max(2, width // 128)].mean(), nodes[..., 0]),
        (head[:, -max(2, width // 128) :].mean(), width - 1 - nodes[..., 0]),
    ):
        if cut > _TUNING.cut:
            free = np.minimum(free, least + rise * soft_step(distance, -1.0, reach))
    return free


def _body_weight(mesh: Mesh, nodes: Array, height: int) -> Array:
    chin, length = mesh.points[CHIN, 1], mesh.length
    (above, below), (less, start) = _TUNING.body, _TUNING.lower
    rise = soft_step(nodes[..., 1], chin - above * length, chin + below * length)
    return np.asarray(
        rise * (1.0 - less * soft_step(nodes[..., 1], height * start, height)), dtype=np.float32
    )


def _blurred(values: Array, sigma: float) -> Array:
    sigma = max(1.0, sigma)
    pad = int(3 * sigma) + 1
    wide = cv2.copyMakeBorder(values.astype(np.float32), pad, pad, pad, pad, cv2.BORDER_REPLICATE)
    return np.asarray(cv2.GaussianBlur(wide, (0, 0), sigma)[pad:-pad, pad:-pad], dtype=np.float32)
