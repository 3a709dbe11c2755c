"""What is read off the face in each frame: lips, lids, brows, the head's pose, and how it trembles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from echomimic.arrays import Floats
from echomimic.faces.detect import Face
from echomimic.faces.geometry import (
    LEFT_BROW,
    LEFT_EYE_CORNERS,
    LEFT_EYE_LOWER,
    RIGHT_BROW,
    RIGHT_EYE_CORNERS,
    RIGHT_EYE_LOWER,
    STABLE,
    eye_distance,
    eye_opening,
    head_pose,
    mouth_opening,
    mouth_width,
)
from echomimic.media.image import Picture

# What neither speech nor a blink moves.
_RIGID = [point for point in STABLE if point not in (*LEFT_EYE_CORNERS, *RIGHT_EYE_CORNERS)]
_BROWS = [*LEFT_BROW, *RIGHT_BROW]
_UNDER = [*LEFT_EYE_LOWER, *RIGHT_EYE_LOWER]


@dataclass(frozen=True)
class Shot:
    """One frame and the face followed in it (None while it is lost)."""

    number: int
    picture: Picture
    face: Face | None


class Meter(Protocol):
    """Reads numbers off frames that are given in order, each once."""

    def read(self, shot: Shot) -> dict[str, float]:
        """This frame's numbers by the name of their series; a name left out means not measured."""
        ...

    def totals(self) -> dict[str, float]:
        """Numbers about the whole video that no series holds; called once, after the last frame."""
        ...


def lips(face: Face) -> tuple[float, float]:
    """Opening (inner lips' middles) and width (corners) of the mouth, in outer eye distances."""
    unit = max(eye_distance(face.points), 1e-6)
    return mouth_opening(face.points) / unit, mouth_width(face.points) / unit


class FaceMeter:
    """Series: opening, width (eye distances), lid (lid gap over eye width), brow (eye distances above the
    lower lids), pitch, yaw, roll (degrees), x, y (pixels), eye_distance (pixels), jitter.

    jitter: mean second difference of the points that neither speech nor a blink moves, in eye distances per
    frame².
    """

    def __init__(self) -> None:
        self._rigid: list[Floats] = []

    def read(self, shot: Shot) -> dict[str, float]:
        if shot.face is None:
            self._rigid.clear()
            return {}
        points = shot.face.points
        opening, width = lips(shot.face)
        pose = head_pose(points)
        pitch, yaw, roll = np.degrees(pose.angles)
        unit = max(eye_distance(points), 1e-6)
        upright = (points - pose.translation) @ pose.rotation / pose.scale
        read = {
            "opening": opening,
            "width": width,
            "lid": float(np.mean(eye_opening(points))),
            "brow": float(upright[_UNDER, 1].mean() - upright[_BROWS, 1].mean()),
            "pitch": float(pitch),
            "yaw": float(yaw),
            "roll": float(roll),
            "x": float(points[_RIGID, 0].mean()),
            "y": float(points[_RIGID, 1].mean()),
            "eye_distance": unit,
        }
        return read | self._tremble(points[_RIGID, :2], unit)

    def _tremble(self, rigid: Floats, unit: float) -> dict[str, float]:
        self._rigid = [*self._rigid[-2:], rigid]
        if len(self._rigid) < 3:
            return {}
        before, middle, after = self._rigid
        bend = np.linalg.norm(before - 2 * middle + after, axis=1).mean()
        return {"jitter": float(bend) / unit}

    def totals(self) -> dict[str, float]:
        return {}
