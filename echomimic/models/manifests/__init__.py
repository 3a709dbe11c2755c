"""What the official checkpoints hold: tensor names and shapes of every full-size file, shipped as data."""

import gzip
import json
from functools import cache
from importlib.resources import files
from math import prod
from typing import TypeAlias

Shapes: TypeAlias = dict[str, tuple[int, ...]]
"""Tensor name → shape."""


@cache
def _all() -> dict[str, Shapes]:
    raw = json.loads(gzip.decompress(files(__name__).joinpath("official.json.gz").read_bytes()))
    return {name: {key: tuple(shape) for key, shape in keys.items()} for name, keys in raw.items()}


def manifest(name: str) -> Shapes:
    """Names and shapes in the official file ``name``, in the official spelling.

    One of ``denoising_unet`` (without motion modules), ``motion_module``, ``reference_unet``,
    ``face_locator_audio``, ``face_locator_pose``, ``pose_encoder``, ``vae``, ``whisper_tiny``.
    """
    return dict(_all()[name])


def size(name: str, bytes_per_element: int = 4) -> int:
    """Bytes of all tensors of the official file ``name``."""
    return bytes_per_element * sum(prod(shape) for shape in _all()[name].values())
