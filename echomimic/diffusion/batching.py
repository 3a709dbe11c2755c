"""How many windows go through the network together: a GPU is busier with more, where its memory allows it."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch

from echomimic.request import Settings

_T = TypeVar("_T")

USUALLY_AT_ONCE = 3
"""Windows of 12 frames of 512 × 512: a guided one then takes 1.07 times less on an H200; 6 gain no more."""

BYTES_PER_TOKEN = 17_000
"""Memory of activations in half precision for each latent pixel of each image, the greatest of those
measured on an H200: 0.8 GiB for 12 images of 64 × 64."""


@dataclass
class WindowBatch:
    """Windows of ``length`` frames, ``size`` of them in one forward; fewer once memory ran out."""

    length: int
    size: int = 1

    def shrink(self, tried: int) -> None:
        """After memory ran out with ``tried`` windows."""
        self.size = min(self.size, max(1, tried // 2))


def batch_for(
    settings: Settings, frames: int, tokens: int, device: torch.device, dtype: torch.dtype
) -> WindowBatch:
    """The settings' choice for a video of ``frames`` with ``tokens`` latent pixels each.

    0 is, on a GPU, what fits into half of its free memory, and one elsewhere, where more gains nothing.
    """
    length = min(settings.context_frames, frames)
    if settings.windows_at_once:
        return WindowBatch(length, settings.windows_at_once)
    if device.type != "cuda":
        return WindowBatch(length)
    images = length * (2 if (settings.cfg or 0) > 1 else 1)
    return WindowBatch(length, fitting(free_memory(device), images * tokens, dtype))


def fitting(free: int, tokens: int, dtype: torch.dtype) -> int:
    """Windows of ``tokens`` each for which half of ``free`` bytes is enough, at least one and at most
    :data:`USUALLY_AT_ONCE`."""
    return max(1, min(USUALLY_AT_ONCE, free // 2 // (tokens * BYTES_PER_TOKEN * dtype.itemsize // 2)))


def free_memory(device: torch.device) -> int:
    """Bytes of a GPU that nobody uses, among them those that PyTorch holds but has no use for."""
    free, _ = torch.cuda.mem_get_info(device)
    return int(free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device))


def grouped(windows: Sequence[_T], size: int, devices: int = 1) -> list[Sequence[_T]]:
    """At most ``size`` together, in order, groups as equal as they can be, and enough for all ``devices``."""
    if not windows:
        return []
    count = math.ceil(math.ceil(len(windows) / size) / devices) * devices
    count = min(count, len(windows))
    ends = [len(windows) * i // count for i in range(count + 1)]
    return [windows[begin:end] for begin, end in itertools.pairwise(ends)]
