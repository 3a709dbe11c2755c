"""Upper body and hands in motion: DWPose's 18 body points and 2 x 21 hand points per frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from echomimic.arrays import AnyArray, Doubles
from echomimic.errors import DriverError
from echomimic.motion.face_motion import (
    StoredMotion,
    check_finite,
    check_shape,
    check_version,
    checked_rate,
    checked_size,
    entry,
    frozen,
    pair,
    scalar,
)
from echomimic.motion.npz import Arrays

BODY, HAND, FACE = 18, 21, 68
NOSE, NECK, R_SHOULDER, R_ELBOW, R_WRIST, L_SHOULDER, L_ELBOW, L_WRIST = range(8)
"""Body points by name (OpenPose order). Right and left are the person's own: right is on the image's left."""
_VERSION = 1
_PREFIX = "body_"
_NAMES = ("body", "body_score", "hands", "hand_score", "face", "face_score")


@dataclass(frozen=True, eq=False)
class BodyPose(StoredMotion):
    """The upper body and hands of one person, frame by frame.

    body: (F, 18, 2) x right and y down in pixels of `size`; float64, so that official drawings repeat
    exactly. hands: (F, 2, 21, 2) the person's left hand first (on the image's right), then the right hand.
    body_score, hand_score: (F, 18), (F, 2, 21) confidence, 0 = not there, about 1 = sure (DWPose exceeds 1).
    fps, size: frames per second; (width, height) of the picture.
    face, face_score: (F, 68, 2), (F, 68) DWPose face points, or None.

    Raises DriverError when shapes disagree or a number is not finite.
    """

    body: Doubles
    hands: Doubles
    body_score: Doubles
    hand_score: Doubles
    fps: float
    size: tuple[int, int]
    face: Doubles | None = None
    face_score: Doubles | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "fps", checked_rate(self.fps))
        object.__setattr__(self, "size", checked_size(self.size))
        frames = np.shape(self.body)[0] if np.ndim(self.body) else 0
        if not frames:
            raise DriverError("body pose has no frames; give at least one")
        if (self.face is None) != (self.face_score is None):
            raise DriverError("`face` and `face_score` go together; give both or none")
        shapes = (BODY, 2), (BODY,), (2, HAND, 2), (2, HAND), (FACE, 2), (FACE,)
        for name, shape in zip(_NAMES, shapes, strict=True):
            if getattr(self, name) is not None:
                array = frozen(getattr(self, name), np.float64)
                check_shape(name, array, (frames, *shape))
                check_finite(f"{name} values", array)
                object.__setattr__(self, name, array)

    def __len__(self) -> int:
        return len(self.body)

    def __getitem__(self, frames: slice | npt.NDArray[np.intp]) -> BodyPose:
        """The same motion, only `frames` of it."""
        return self.each(lambda array: array[frames])

    def each(self, change: Callable[[AnyArray], AnyArray]) -> BodyPose:
        """The same motion with `change` applied to every array (frames first)."""
        named = {name: getattr(self, name) for name in _NAMES}
        changed: dict[str, Any] = {name: change(array) for name, array in named.items() if array is not None}
        return replace(self, **changed)

    def moved(
        self, scale: tuple[float, float], shift: tuple[float, float], size: tuple[int, int]
    ) -> BodyPose:
        """Every point times `scale` plus `shift`, in a picture of `size`."""
        points = {name: getattr(self, name) * scale + shift for name in ("body", "hands")}
        face = None if self.face is None else self.face * scale + shift
        return replace(self, **points, face=face, size=size)

    def resized(self, width: int, height: int) -> BodyPose:
        """The same motion in a picture stretched to `width` x `height`."""
        return self.moved((width / self.size[0], height / self.size[1]), (0.0, 0.0), (width, height))

    def arrays(self) -> Arrays:
        """The motion as named arrays, for a file."""
        named: dict[str, npt.ArrayLike] = {"version": _VERSION, "fps": self.fps, "size": self.size}
        named |= {name: getattr(self, name) for name in _NAMES if getattr(self, name) is not None}
        return {_PREFIX + name: np.asarray(value) for name, value in named.items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, AnyArray]) -> BodyPose:
        """The opposite of `arrays`. Raises DriverError when entries are missing or wrong."""
        check_version(arrays, _PREFIX, _VERSION, "body pose")
        named: dict[str, Any] = {name: entry(arrays, _PREFIX + name) for name in _NAMES[:4]}
        named |= {name: arrays[_PREFIX + name] for name in _NAMES[4:] if _PREFIX + name in arrays}
        fps, size = scalar(entry(arrays, _PREFIX + "fps")), pair(entry(arrays, _PREFIX + "size"))
        return cls(fps=fps, size=size, **named)

    @staticmethod
    def held_by(arrays: Mapping[str, AnyArray]) -> bool:
        """Whether these arrays hold body pose."""
        return _PREFIX + "body" in arrays


def empty(frames: int, fps: float, size: tuple[int, int]) -> BodyPose:
    """A pose in which nothing is seen: its hand maps are black."""
    return BodyPose(
        body=np.zeros((frames, BODY, 2)),
        hands=np.zeros((frames, 2, HAND, 2)),
        body_score=np.zeros((frames, BODY)),
        hand_score=np.zeros((frames, 2, HAND)),
        fps=fps,
        size=size,
    )
