"""What one head does, frame by frame, relative to the portrait's own neutral.

The common currency between whatever makes motion (the speech generator, a driving video, a pose file) and the
preview renderer that shows it. Shapes: F frames, K expression coefficients, 468 face-mesh points. Lengths are
in outer eye distances (the distance between mesh points 33 and 263), angles in radians.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from echomimic.arrays import Floats
from echomimic.faces.geometry import MESH_POINTS

_WIDTHS = {"rotation": 3, "translation": 2, "blink": 2, "gaze": 2, "body": 2}
_CONSTANT = frozenset({"fps", "basis"})


@dataclass(frozen=True, eq=False)
class Performance:
    """One head's motion: F frames at a constant rate, all float32.

    fps: frames per second.
    expression: (F, K) coefficients of `basis`.
    basis: (K, 468, 3) displacement per unit in the canonical head frame (x right in the image, y up, z to the
    viewer). rotation: (F, 3) pitch, yaw, roll relative to the portrait's own pose. pitch > 0 nods down, yaw >
    0 moves the nose
        to the image's right, roll > 0 turns clockwise as seen in the image.
    translation: (F, 2) of the point between the eyes, image x right and y down.
    blink: (F, 2) 0 open to 1 closed, the eye on the image's left (mesh points 33 and 133) first.
    gaze: (F, 2) iris shift, image x right and y down.
    brow: (F,) raise of the brows, canonical y.
    body: (F, 2) shift of the shoulders by breathing and sway, image x right and y down.

    Raises ValueError when shapes disagree or a value is not finite.
    """

    fps: float
    expression: Floats
    basis: Floats
    rotation: Floats
    translation: Floats
    blink: Floats
    gaze: Floats
    brow: Floats
    body: Floats

    def __post_init__(self) -> None:
        for field in fields(self):
            if field.name != "fps":
                object.__setattr__(
                    self, field.name, np.ascontiguousarray(getattr(self, field.name), dtype=np.float32)
                )
        if not (np.isfinite(self.fps) and self.fps > 0):
            raise ValueError(f"fps is {self.fps}; give a positive number")
        if self.expression.ndim != 2:
            raise ValueError(f"expression has shape {self.expression.shape}; give (frames, coefficients)")
        for name, shape in self._shapes().items():
            value = getattr(self, name)
            if value.shape != shape:
                raise ValueError(f"{name} has shape {value.shape}; {shape} was expected")
            if not np.isfinite(value).all():
                raise ValueError(f"{name} holds a value that is not finite")

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        frames, count = self.expression.shape
        shapes: dict[str, tuple[int, ...]] = {name: (frames, width) for name, width in _WIDTHS.items()}
        return shapes | {"expression": (frames, count), "basis": (count, MESH_POINTS, 3), "brow": (frames,)}

    def __len__(self) -> int:
        return len(self.expression)

    def __getitem__(self, frames: slice) -> Performance:
        """The same performance, only `frames` of it."""
        names = [field.name for field in fields(self) if field.name not in _CONSTANT]
        return replace(self, **{name: getattr(self, name)[frames] for name in names})

    @property
    def seconds(self) -> float:
        return len(self) / self.fps

    def displacement(self, i: int) -> Floats:
        """(468, 3) displacement of the mesh in frame `i`, canonical head frame;
        blink and brow are not in it."""
        flat = self.expression[i] @ self.basis.reshape(len(self.basis), MESH_POINTS * 3)
        return np.asarray(flat.reshape(MESH_POINTS, 3), dtype=np.float32)


def at_rest(frames: int, fps: float, basis: Floats | None = None) -> Performance:
    """A performance in which nothing moves: the portrait's own pose, mouth closed, eyes open."""
    kept = np.zeros((0, MESH_POINTS, 3), np.float32) if basis is None else basis
    tracks = {name: np.zeros((frames, width), np.float32) for name, width in _WIDTHS.items()}
    expression = np.zeros((frames, len(kept)), np.float32)
    return Performance(
        fps=fps, expression=expression, basis=kept, brow=np.zeros(frames, np.float32), **tracks
    )


def join(parts: Sequence[Performance]) -> Performance:
    """One performance after the other; all must have the same rate and basis. Raises ValueError otherwise."""
    if not parts:
        raise ValueError("there is nothing to join; give at least one performance")
    first = parts[0]
    if any(part.fps != first.fps or not np.array_equal(part.basis, first.basis) for part in parts):
        raise ValueError(
            "performances of different rate or basis cannot be joined; resample or refit them first"
        )
    tracks: dict[str, Any] = {}
    for name in (field.name for field in fields(first) if field.name not in _CONSTANT):
        tracks[name] = np.concatenate([getattr(part, name) for part in parts])
    return replace(first, **tracks)
