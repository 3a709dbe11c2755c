"""One head in motion: 478 face-mesh points per frame."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from echomimic.arrays import AnyArray, Flags, Floats, Value
from echomimic.errors import DriverError
from echomimic.faces.geometry import POINTS
from echomimic.motion.npz import Arrays, read_npz, write_npz

SLOWEST_RATE, FASTEST_RATE = 0.1, 1000.0
"""Frames per second of a motion."""

FARTHEST = 1e6
"""Pixels beyond which no point of a picture of at most 65536 pixels a side can be."""

NARROWEST = 3e-6
"""Width of a face over its length below which its points lie on a line, as far as 32 bits tell. (A face in a
picture of 65536x1 pixels has 1e-5.)"""

SMALLEST_EXTENT = 0.1
"""Pixels a face must at least be wide or high."""

_VERSION = 1
_PREFIX = "face_"


S = TypeVar("S", bound="StoredMotion")


class StoredMotion(ABC):
    """Motion of one person at a constant rate, which a ``.npz`` file can hold."""

    fps: float

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def arrays(self) -> Arrays:
        """The motion as named arrays, for a file."""

    @classmethod
    @abstractmethod
    def from_arrays(cls: type[S], arrays: Mapping[str, AnyArray]) -> S:
        """The opposite of `arrays`. Raises DriverError when entries are missing or wrong."""

    @property
    def seconds(self) -> float:
        return len(self) / self.fps

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write one ``.npz``. Raises OutputError."""
        write_npz(path, self.arrays())

    @classmethod
    def load(cls: type[S], path: str | os.PathLike[str]) -> S:
        """Read a ``.npz`` that holds this kind of motion. Raises DriverError naming the file."""
        arrays = read_npz(path)
        try:
            return cls.from_arrays(arrays)
        except DriverError as fault:
            raise unusable(path, fault) from None


@dataclass(frozen=True, eq=False)
class FaceMotion(StoredMotion):
    """The face mesh of one person, frame by frame.

    points: (F, 478, 3) float32; x right and y down in pixels of `size`, z in the same scale (smaller =
    nearer). fps: frames per second, above 0.
    size: (width, height) of the picture the points are in.
    found: (F,) bool; False where no face was seen and the points were bridged. All True when not given.
    pose: (F, 4, 4) float32 head pose in the camera frame of `echomimic.motion.metric_face`, or None when not
    computed.

    Raises DriverError when shapes disagree or a number is not finite.
    """

    points: Floats
    fps: float
    size: tuple[int, int]
    found: Flags | None = None
    pose: Floats | None = None

    def __post_init__(self) -> None:
        points = frozen(self.points, np.float32)
        if points.ndim != 3 or points.shape[1:] != (POINTS, 3) or not len(points):
            raise DriverError(f"face motion has shape {points.shape}; give (frames, {POINTS}, 3)")
        found = np.ones(len(points), bool) if self.found is None else self.found
        object.__setattr__(self, "points", points)
        object.__setattr__(self, "found", frozen(found, np.bool_))
        object.__setattr__(self, "fps", checked_rate(self.fps))
        object.__setattr__(self, "size", checked_size(self.size))
        if self.seen.shape != (len(points),):
            raise DriverError(f"`found` has shape {self.seen.shape}; give ({len(points)},)")
        if self.pose is not None:
            object.__setattr__(self, "pose", frozen(self.pose, np.float32))
            check_shape("pose", self.pose, (len(points), 4, 4))
        check_finite("face points", points)
        _check_extent(points[self.seen])

    @property
    def seen(self) -> Flags:
        """(F,) bool: frames in which the face was really seen."""
        assert self.found is not None
        return self.found

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, frames: slice | npt.NDArray[np.intp]) -> FaceMotion:
        """The same motion, only `frames` of it."""
        pose = None if self.pose is None else self.pose[frames]
        return replace(self, points=self.points[frames], found=self.seen[frames], pose=pose)

    def resized(self, width: int, height: int) -> FaceMotion:
        """The same motion in a picture stretched to `width` x `height`;
        the pose is dropped if the shape changes."""
        scale = np.array([width / self.size[0], height / self.size[1], width / self.size[0]], np.float32)
        pose = self.pose if np.isclose(scale[0], scale[1]) else None
        return replace(self, points=self.points * scale, size=(width, height), pose=pose)

    def arrays(self) -> Arrays:
        """The motion as named arrays, for a file."""
        named: dict[str, npt.ArrayLike] = {"version": _VERSION, "points": self.points, "fps": self.fps}
        named |= {"size": self.size, "found": self.seen}
        if self.pose is not None:
            named["pose"] = self.pose
        return {_PREFIX + name: np.asarray(value) for name, value in named.items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, AnyArray]) -> FaceMotion:
        """The opposite of `arrays`. Raises DriverError when entries are missing or wrong."""
        check_version(arrays, _PREFIX, _VERSION, "face motion")
        named: dict[str, Any] = {name: entry(arrays, _PREFIX + name) for name in ("points", "found")}
        named["pose"] = arrays.get(_PREFIX + "pose")
        fps, size = scalar(entry(arrays, _PREFIX + "fps")), pair(entry(arrays, _PREFIX + "size"))
        return cls(fps=fps, size=size, **named)

    @staticmethod
    def held_by(arrays: Mapping[str, AnyArray]) -> bool:
        """Whether these arrays hold face motion."""
        return _PREFIX + "points" in arrays


def frozen(value: npt.ArrayLike, dtype: type[Value]) -> npt.NDArray[Value]:
    """A read-only contiguous copy of `value`; raises DriverError when it is not of that kind."""
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            array = np.array(value, dtype=dtype, order="C", copy=True)
    except (ValueError, TypeError, OverflowError) as fault:
        raise DriverError(f"motion must be plain numbers ({fault}); give such an array") from fault
    array.flags.writeable = False
    return array


def checked_rate(fps: float) -> float:
    """`fps` as a float; raises DriverError unless it is finite and above 0."""
    rate = float(fps)
    if not SLOWEST_RATE <= rate <= FASTEST_RATE:
        allowed = f"{SLOWEST_RATE:g} to {FASTEST_RATE:g} frames per second"
        raise DriverError(f"frame rate {fps} is not usable; give {allowed}")
    return rate


def checked_size(size: tuple[int, int]) -> tuple[int, int]:
    """(width, height) as ints; raises DriverError unless both are in 1…65536."""
    width, height = (int(n) for n in size)
    if not (0 < width <= 65536 and 0 < height <= 65536):
        raise DriverError(f"picture size {width}x{height} is not usable; give 1 to 65536 pixels a side")
    return width, height


def check_shape(name: str, array: AnyArray | None, shape: tuple[int, ...]) -> None:
    """Raises DriverError when `array` is given and not of `shape`."""
    if array is not None and array.shape != shape:
        raise DriverError(f"`{name}` has shape {array.shape}; give {shape}")


def check_finite(name: str, array: AnyArray) -> None:
    """Raises DriverError naming the first frame that holds a number that is not finite or absurdly large."""
    good = np.isfinite(array) & (np.abs(array) < FARTHEST)
    if not good.all():
        frame = int(np.flatnonzero(~good.reshape(len(array), -1).all(1))[0])
        raise DriverError(f"{name} of frame {frame} are not usable numbers; give finite pixels")


def entry(arrays: Mapping[str, AnyArray], name: str) -> AnyArray:
    """One named array of a file; raises DriverError when it is missing."""
    if name not in arrays:
        raise DriverError(f"entry `{name}` is missing; add it")
    return arrays[name]


def scalar(array: AnyArray) -> float:
    """The single number in `array`; raises DriverError otherwise."""
    if array.size != 1 or array.dtype.kind not in "iuf":
        raise DriverError("more than one number; give a single one")
    return float(array.reshape(()))


def pair(array: AnyArray) -> tuple[int, int]:
    """The two whole numbers in `array`; raises DriverError otherwise."""
    if array.shape != (2,) or array.dtype.kind not in "iu":
        raise DriverError("no size; give width and height as whole numbers")
    return int(array[0]), int(array[1])


def _check_extent(points: Floats) -> None:
    """Raises DriverError when a face has no size, so that nothing can be measured by it."""
    spread = np.ptp(points[..., :2], axis=1).max(1) if len(points) else np.ones(1)
    if spread.min() < SMALLEST_EXTENT:
        raise DriverError("the points of a face are all in one place; give a face that has a size")
    flat = points[..., :2].astype(np.float64)
    flat = flat - flat.mean(1, keepdims=True)
    narrow, wide = np.linalg.eigvalsh(flat.transpose(0, 2, 1) @ flat).T if len(points) else np.ones((2, 1))
    if (narrow < NARROWEST**2 * wide).any():
        raise DriverError("the points of a face are all on one line; give a face that has a width")


def unusable(path: str | os.PathLike[str], fault: object) -> DriverError:
    """The error of a motion file that cannot be used; says how to get another."""
    remedy = "make it anew with `echomimic motion extract` or `speak`"
    return DriverError(f"{os.fspath(path)} is not a usable motion file ({fault}); {remedy}")


def check_version(arrays: Mapping[str, AnyArray], prefix: str, known: int, what: str) -> None:
    """Raises DriverError unless the arrays hold `what` in a version this program knows."""
    if prefix + "version" not in arrays:
        raise DriverError(f"it holds no {what}; give another")
    version = scalar(arrays[prefix + "version"])
    if version > known:
        raise DriverError(f"its {what} has format {version:g}; this program knows {known}, update it")
