"""A driving IMAGE or VIDEO that is linked to a node, as the file the package reads."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from echomimic.comfy import folders
from echomimic.comfy.api import InputImpl
from echomimic.comfy.values import to_bytes
from echomimic.errors import DriverError
from echomimic.media.image import Picture
from echomimic.media.video import Shape, open_writer


def linked_driver(driving: Any, fps: float) -> str:
    """Path of the driving video: its own file where it has one, else a copy in the temp folder.

    An IMAGE has no frame rate of its own; its frames count as frames at ``fps``.
    """
    if isinstance(driving, torch.Tensor):
        return _written(driving, fps)
    source = _own_file(driving)
    if source is not None:
        return source
    if not hasattr(driving, "get_components"):
        raise DriverError("driving holds no video; connect a Load Video node, or an image batch")
    parts = driving.get_components()
    return _written(parts.images, _rate(parts.frame_rate))


def _rate(told: Any) -> float:
    """A video's frame rate; raises :class:`DriverError` for one that no video has."""
    try:
        fps = float(told)
    except (TypeError, ValueError):
        fps = 0.0
    if not 0.1 <= fps <= 1000:
        raise DriverError(
            f"driving has a frame rate of {told}; give a video of 0.1 to 1000 frames per second"
        )
    return fps


def _own_file(video: Any) -> str | None:
    """The file that a VIDEO was loaded from, if it is whole:
    a trimmed one has to be read through its components."""
    if not isinstance(video, InputImpl.VideoFromFile):
        return None
    window = getattr(video, "get_active_trim_window", None)
    source = video.get_stream_source()
    whole = window is None or not any(window())
    return source if whole and isinstance(source, str) and os.path.isfile(source) else None


def _written(images: torch.Tensor, fps: float) -> str:
    if not isinstance(images, torch.Tensor) or images.ndim != 4 or images.shape[0] < 2:
        raise DriverError(
            "driving holds a single picture; connect a video, or an image batch of at least two frames"
        )
    height, width = (side - side % 2 for side in images.shape[1:3])
    if not height or not width:
        raise DriverError(f"driving holds pictures of {images.shape[2]}x{images.shape[1]}; give larger ones")
    path = folders.scratch(f"echomimic_{_digest(images, fps)}.mp4")
    if not path.exists():
        _write(path, images, Shape(width, height, fps, images.shape[0]))
    return str(path)


def _write(path: Path, images: torch.Tensor, shape: Shape) -> None:
    with open_writer(path, shape, None, overwrite=True) as writer:
        for frame in _frames(images):
            writer.add(frame[: shape.height, : shape.width])


def _frames(images: torch.Tensor) -> Iterator[Picture]:
    return (to_bytes(image) for image in images)


def _digest(images: torch.Tensor, fps: float) -> str:
    seen = hashlib.blake2b(f"{tuple(images.shape)} {fps}".encode(), digest_size=12)
    for frame in _frames(images):
        seen.update(frame.tobytes())
    return seen.hexdigest()
