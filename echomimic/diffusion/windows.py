"""Which frames are denoised together, and how their predictions are blended.

The networks see at most 32 frames at once, so a video is covered by overlapping windows at every denoising
step. Two plans exist: ``uniform`` is the official one, a ring of windows that turns a little at every step;
``open`` slides windows along the video, never joins its end to its start, and fades them into each other.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from echomimic.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Window:
    """Frames of one forward pass, in the order they are fed, and the weight of each one's prediction."""

    frames: tuple[int, ...]
    weights: tuple[float, ...]

    def last_places(self) -> list[int]:
        """Places that count, one per different frame:
        of a frame named twice only the later place (as official)."""
        return sorted({frame: place for place, frame in enumerate(self.frames)}.values())


@dataclass(frozen=True, slots=True)
class WindowPlan:
    """What a windows function has to know. ``rotation``: frames the windows move per denoising step."""

    frames: int
    size: int = 12
    overlap: int = 3
    rotation: int = 3


WindowsFunction: TypeAlias = Callable[[WindowPlan, int], list[Window]]
"""(plan, number of the denoising step) → the windows of that step."""


def uniform(
    step: int, frames: int, size: int, stride: int = 1, overlap: int = 3, closed: bool = True
) -> list[list[int]]:
    """Official ``uniform`` context scheduler: frame indices modulo ``frames``, window by window.

    ``step`` shifts the starts by its bit-reversed fraction, ``stride`` adds windows of every 2nd, 4th …
    frame. The official pipelines use step 0 and a closed loop. Raises :class:`SettingsError` when the overlap
    leaves no way forward (official: a ``ValueError`` of ``range``); an overlap above the size gives no
    windows.
    """
    if frames <= size:
        return [list(range(frames))]
    levels = min(stride, math.ceil(math.log2(frames / size)) + 1)
    shift = reversed_fraction(step)
    first = round(frames * shift)
    windows = []
    for distance in (2**level for level in range(levels)):
        hop = size * distance - overlap
        if hop == 0:
            raise SettingsError(
                f"context_overlap {overlap} must be smaller than context_frames {size}; lower it"
            )
        stop = frames + first - (0 if closed else overlap)
        for start in range(int(shift * distance) + first, stop, hop):
            windows.append([(start + i * distance) % frames for i in range(size)])
    return windows


def reversed_fraction(number: int) -> float:
    """The 64 bits of ``number`` in reverse as a binary fraction: 0, ½, ¼, ¾, ⅛ … for 0, 1, 2, 3, 4 …"""
    return int(f"{number:064b}"[::-1], 2) / 2**64


def uniform_windows(plan: WindowPlan, step: int) -> list[Window]:
    """The official ring: windows of step 0, turned by ``rotation`` frames per step; every weight is 1."""
    turn = step * plan.rotation
    ring = uniform(0, plan.frames, plan.size, 1, plan.overlap)
    return [Window(tuple((i + turn) % plan.frames for i in w), (1.0,) * len(w)) for w in ring]


def open_windows(plan: WindowPlan, step: int) -> list[Window]:
    """Windows along the video that fade into each other linearly and never wrap around.

    Seams move by ``rotation`` frames per step, so that no frame always lies at the edge of its windows. The
    first window starts with the video and the last ends with it, at full weight.
    """
    size = min(plan.size, plan.frames)
    hop = max(1, size - plan.overlap)
    last = plan.frames - size
    starts = sorted({min(max(s, 0), last) for s in range(-(step * plan.rotation % hop), last + hop, hop)})
    return [_faded(start, size, plan.overlap, start == 0, start == last) for start in starts]


def fewest_open_windows(plan: WindowPlan, step: int) -> list[Window]:
    """Open windows as few as cover the video in every step; seams move only as far as that leaves room."""
    size = min(plan.size, plan.frames)
    hop, last = max(1, size - plan.overlap), plan.frames - size
    count = math.ceil(last / hop)
    shift = step * plan.rotation % (count * hop - last + 1)
    starts = sorted({min(max(i * hop - shift, 0), last) for i in range(count + 1)})
    return [_faded(start, size, plan.overlap, start == 0, start == last) for start in starts]


def _faded(start: int, size: int, overlap: int, first: bool, last: bool) -> Window:
    rise = [1.0 if first else min(1.0, (i + 1) / (overlap + 1)) for i in range(size)]
    fall = [1.0 if last else min(1.0, (size - i) / (overlap + 1)) for i in range(size)]
    return Window(
        tuple(range(start, start + size)), tuple(min(a, b) for a, b in zip(rise, fall, strict=True))
    )


WINDOWS: dict[str, WindowsFunction] = {"uniform": uniform_windows, "open": open_windows}


def cycle_of(windows: WindowsFunction, plan: WindowPlan) -> int:
    """Steps after which the windows lie as before; in a ring of several, all but those at its seam."""
    if windows(plan, 0) == windows(plan, 1):
        return 1
    hop = plan.frames if plan.frames <= plan.size else max(1, plan.size - plan.overlap)
    return hop // math.gcd(hop, plan.rotation)
