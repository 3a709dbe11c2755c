"""The official pose files: V1 folders of ``.pkl`` (face points), V2 folders of ``.npy`` (body and hands).

Nothing in them is executed, see `plain_pickle`. Every fault is a DriverError that names the file.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from echomimic.arrays import AnyArray
from echomimic.errors import DriverError
from echomimic.faces.geometry import POINTS
from echomimic.motion.body_pose import BODY, FACE, HAND, BodyPose
from echomimic.motion.face_motion import FaceMotion
from echomimic.motion.files.plain_pickle import PlainPickleError, Stored, read_plain
from echomimic.motion.npz import npy_header

# The official folders say no rate; their scripts write videos at this one.
OFFICIAL_FPS = 24.0
FACE_SUFFIX, BODY_SUFFIX = ".pkl", ".npy"
# One frame's points take kilobytes: larger files are something else, and would have to be read to know it.
_MOST_FILE_BYTES = 16 << 20
_MOST_FRAMES = 100_000


def folder_kind(folder: str | os.PathLike[str]) -> str:
    """``.pkl`` for an official V1 folder, ``.npy`` for a V2 one.
    Raises DriverError when it is neither or both."""
    suffixes = {path.suffix for path in _entries(Path(folder))} & {FACE_SUFFIX, BODY_SUFFIX}
    if len(suffixes) != 1:
        which = "both .pkl and .npy" if suffixes else "no .pkl or .npy"
        raise DriverError(f"{folder} holds {which} files; give a folder of V1 .pkl or of V2 .npy pose files")
    return suffixes.pop()


def read_v1_folder(folder: str | os.PathLike[str], fps: float = OFFICIAL_FPS) -> FaceMotion:
    """Face motion from an official V1 folder ``0.pkl, 1.pkl, …``; the points are pixels of 512x512."""
    frames = [read_v1_file(path) for path in numbered(folder, FACE_SUFFIX)]
    return FaceMotion(np.stack(frames), fps=fps, size=(512, 512))


def read_v2_folder(folder: str | os.PathLike[str], fps: float = OFFICIAL_FPS) -> BodyPose:
    """Body pose from an official V2 folder ``0.npy, 1.npy, …``, in pixels of its own picture."""
    paths = numbered(folder, BODY_SUFFIX)
    frames = [read_v2_file(path) for path in paths]
    size = frames[0]["size"]
    for path, frame in zip(paths, frames, strict=True):
        if frame["size"] != size:
            raise DriverError(
                f"{path} is for a picture of {frame['size']}, the files before it for {size}; "
                "remove one of the two kinds"
            )
    named = {name: np.stack([frame[name] for frame in frames]) for name in frames[0] if name != "size"}
    return BodyPose(fps=fps, size=size, **named)


def numbered(folder: str | os.PathLike[str], suffix: str) -> list[Path]:
    """The files ``<number><suffix>`` of a folder in numeric order.

    Raises DriverError naming the file when a name is no number, a number occurs twice or one is missing in
    between.
    """
    paths = [path for path in _entries(Path(folder)) if path.suffix == suffix]
    if not paths or len(paths) > _MOST_FRAMES:
        raise DriverError(f"{folder} holds {len(paths)} {suffix} files; give 1 to {_MOST_FRAMES}")
    order: dict[int, Path] = {}
    for path in paths:
        if not (path.stem.isascii() and path.stem.isdigit() and len(path.stem) < 10):
            raise DriverError(
                f"{path} is not named by its frame number; rename the files 0{suffix}, 1{suffix}, …"
            )
        if int(path.stem) in order:
            raise DriverError(f"{path} and {order[int(path.stem)].name} are the same frame; remove one")
        order[int(path.stem)] = path
    for previous, number in zip(sorted(order), sorted(order)[1:], strict=False):
        if number != previous + 1:
            raise DriverError(
                f"{Path(folder) / f'{previous + 1}{suffix}'} is missing: {number}{suffix} follows "
                f"{previous}{suffix}; add it, or rename the rest"
            )
    return [order[number] for number in sorted(order)]


def read_v1_file(path: Path) -> npt.NDArray[np.float64]:
    """One V1 pose file as (478, 3) pixels."""
    try:
        points = _array(read_plain(_bytes(path)))
        if points.shape != (POINTS, 3):
            raise PlainPickleError(f"it holds an array of shape {points.shape}; ({POINTS}, 3) was expected")
        return _finite(points)
    except PlainPickleError as fault:
        raise DriverError(f"{path} is not a V1 pose file ({fault}); make the folder anew") from None


def read_v2_file(path: Path) -> dict[str, Any]:
    """One V2 pose file as the arrays of a BodyPose frame in pixels, and ``size``."""
    try:
        return _v2_frame(_npy_object(_bytes(path)))
    except PlainPickleError as fault:
        raise DriverError(f"{path} is not a V2 pose file ({fault}); make the folder anew") from None


def _entries(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")]
    except OSError as fault:
        raise DriverError(
            f"{folder} cannot be read as a folder of pose files ({fault.strerror}); give another"
        ) from None


def _bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > _MOST_FILE_BYTES:
            raise PlainPickleError("it is far too large for one frame")
        return path.read_bytes()
    except OSError as fault:
        raise DriverError(
            f"{path} cannot be read ({fault.strerror}); change its permissions, or give another"
        ) from None


def _npy_object(data: bytes) -> Any:
    """The one object in a ``.npy`` file of objects."""
    try:
        descr, _, shape, start = npy_header(data)
    except ValueError as fault:
        raise PlainPickleError(str(fault)) from None
    if descr not in ("|O", "O") or shape not in ((), (1,)):
        raise PlainPickleError(
            f"it holds an array of type {descr} and shape {shape}; one dictionary was expected"
        )
    value = read_plain(data[start:])
    if not isinstance(value, Stored):
        raise PlainPickleError("it holds no array")
    return value.item()


def _v2_frame(value: Any) -> dict[str, Any]:
    bodies = _get(value, "bodies", dict)
    placed = _placement(value)
    frame: dict[str, Any] = {
        "body": placed.points(_shaped(_get(bodies, "candidate"), (BODY, 2))),
        "body_score": _shaped(_get(bodies, "score"), (BODY,)),
        "hands": placed.points(_shaped(_get(value, "hands"), (2, HAND, 2))),
        "hand_score": _shaped(_get(value, "hands_score"), (2, HAND)),
        "size": placed.picture,
    }
    if "faces" in value and "faces_score" in value:
        frame["face"] = placed.points(_shaped(value["faces"], (FACE, 2)))
        frame["face_score"] = _shaped(value["faces_score"], (FACE,))
    return frame


class _Placement:
    """Where the relative points of a V2 file lie:
    a map of `height` x `width` pasted at (top, left) of a picture."""

    def __init__(self, height: int, width: int, top: int, bottom: int, left: int, right: int) -> None:
        if not (0 < height <= 65536 and 0 < width <= 65536 and 0 <= top < bottom and 0 <= left < right):
            raise PlainPickleError("`draw_pose_params` is not [height, width, top, bottom, left, right]")
        self.scale, self.shift = np.array([width, height], np.float64), np.array([left, top], np.float64)
        # The picture's size is not in the file. The paste is centred, so the margins are equal on both sides.
        self.picture = (left + right, top + bottom)

    def points(self, relative: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return relative * self.scale + self.shift


def _placement(value: Any) -> _Placement:
    params = value.get("draw_pose_params")
    if params is None:
        return _Placement(768, 768, 0, 768, 0, 768)
    numbers = params if isinstance(params, list | tuple) else _array(params).tolist()
    if len(numbers) != 6 or not all(type(n) is int and n <= 65536 for n in numbers):
        raise PlainPickleError("`draw_pose_params` is not six whole numbers")
    return _Placement(*numbers)


def _get(value: Any, name: str, kind: type = Stored) -> Any:
    if not isinstance(value, dict) or not isinstance(value.get(name), kind):
        raise PlainPickleError(f"entry `{name}` is missing or of the wrong kind")
    return value[name]


def _array(value: Any) -> AnyArray:
    if not isinstance(value, Stored):
        raise PlainPickleError("an array was expected")
    return value.array()


def _shaped(value: Any, shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """The numbers of the first person as `shape`;
    the files may hold further persons or an axis of length one."""
    array = _array(value)
    if array.ndim == len(shape) + 1 and len(array):
        array = array[0]
    if array.ndim != len(shape) or any(a < b for a, b in zip(array.shape, shape, strict=True)):
        raise PlainPickleError(f"an array has shape {array.shape}; {shape} was expected")
    cut = array[: shape[0]]
    if cut.shape != shape:
        raise PlainPickleError(f"an array has shape {array.shape}; {shape} was expected")
    return _finite(cut)


def _finite(array: AnyArray) -> npt.NDArray[np.float64]:
    numbers = array.astype(np.float64)
    if not (np.isfinite(numbers) & (np.abs(numbers) < 1e6)).all():
        raise PlainPickleError("it holds numbers that are not finite")
    return numbers
