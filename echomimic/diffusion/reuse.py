"""Taking over from one denoising step what hardly changes until the next: faster, and nearly the same video.

Between two *whole* steps, which are computed as always, the steps take over

- the guidance: what it adds to the velocity, so that the unconditional half is not computed (the idea of
  FasterCache, Lyu et al. 2024, arXiv 2410.19355);
- deep features: only the layers of the highest resolution are computed, and get from the rest of the net what
  it gave before (DeepCache, Ma et al. 2023, arXiv 2312.00858);
- the windows: they stay where they are until the next whole step, so that what is kept of a window serves the
  same frames at the same places.
"""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from echomimic.diffusion.placement import upload
from echomimic.diffusion.windows import WINDOWS, Window, WindowsFunction, fewest_open_windows
from echomimic.request import Settings

FEATURES_ON_DEVICE = 2**31
"""Bytes of deep features up to which they stay on a GPU; more wait in main memory."""

FEATURES_AT_MOST = 2**33
"""Bytes of deep features that are kept at all; of windows behind that the conditional half is whole."""


CONDITIONAL_SHARE = 0.533
"""Operations of a window without its unconditional half, of those with it."""

SHALLOW_SHARE = {1: 0.086, 2: 0.25, 3: 0.41}
"""Operations of the layers that are always computed, by their number, of a whole forward."""


SHORT_CYCLE = 3
"""Steps within which the windows of one step come back in all variants but V1 with audio (there 9): each
place is then seen about as often by steps of two at a time as by all of them, and what standing costs
cancels."""


@dataclass(frozen=True, slots=True)
class Speed:
    """What is taken over at one of the speeds.

    The steps of a video that are whole lie at the distance that makes them ``wholes``, or at ``least``; the
    first and the last are among them. Between the shares ``middle`` of the steps the distance is half, unless
    the windows come back within :data:`SHORT_CYCLE` steps. The others compute of the conditional half the
    ``layers`` that are never taken over, every ``deep``-th after a whole step all of it (0: none).
    ``fewest``: open windows are as few as can be.
    """

    wholes: int
    layers: int = 1
    least: int = 1
    deep: int = 0
    fewest: bool = False
    middle: tuple[float, float] = (0.0, 0.0)

    def of(self, cycle: int) -> "Speed":
        """The same for windows that come back after ``cycle`` steps."""
        return self if cycle > SHORT_CYCLE else replace(self, middle=(0.0, 0.0))

    def whole_steps(self, steps: int) -> list[int]:
        """Numbers, from 0, of the steps that are whole, of ``steps``."""
        distance = max(self.least, round(steps / self.wholes))
        begin, end = (round(share * steps) for share in self.middle)
        found, step = list[int](), 0
        while step < steps - 1:
            found.append(step)
            step += max(1, distance // 2) if begin <= step < end else distance
        return [*found, steps - 1]

    def shallow(self, age: int) -> bool:
        """Whether deep features are taken over so many steps after a whole one."""
        return age > 0 and not (self.deep and age % self.deep == 0)

    def work(self, steps: int, guided: bool) -> float:
        """Operations of the denoiser, as a share of those of the exact video (512 × 512, 12 frames)."""
        whole, since, total = set(self.whole_steps(steps)), 0, 0.0
        conditional = CONDITIONAL_SHARE if guided else 1.0
        for step in range(steps):
            since = step if step in whole else since
            some = conditional * (SHALLOW_SHARE[self.layers] if self.shallow(step - since) else 1.0)
            total += 1.0 if step in whole else some
        return total / steps

    def note(self, name: str, steps: int, guided: bool) -> str:
        """What the user is told about it."""
        whole, work = len(self.whole_steps(steps)), self.work(steps, guided)
        return (
            f"speed {name}: {whole} of {steps} steps are computed in full, {work:.0%} of the work; "
            "the video is nearly that of speed exact"
        )


SPEEDS: Mapping[str, Speed] = {
    # where an error counts most: one of a tenth of a step's velocity moves the end by 0.2 % in step 0 of 30,
    # 0.4 in 5, 0.6 from 11 to 20 and 0.5 from 23 to 28 (recorded small nets, cfg 2.5)
    "fast": Speed(wholes=15, middle=(0.2, 0.8)),
    "fastest": Speed(wholes=8, least=2, fewest=True),
}
"""What ``Settings.speed`` may name besides exact."""


def windows_for(settings: Settings) -> WindowsFunction:
    """How the video is covered, at the settings' speed."""
    speed = SPEEDS.get(settings.speed)
    few = speed is not None and speed.fewest and settings.windows == "open"
    return fewest_open_windows if few else WINDOWS[settings.windows]


@dataclass(frozen=True, slots=True)
class Kept:
    """Of a window: deep features of its conditional half (F, C, h, w), and what guidance adds to that half's
    velocity, (F, 4, h, w)."""

    deep: Tensor | None = None
    guidance: Tensor | None = None


class StepReuse:
    """What the steps of one video hand on, window by window; all devices that share the video share it.

    ``plan`` gives the windows of a step of the exact video, which come back after ``cycle`` steps.
    ``window_bytes`` is what the deep features of one window take; on a GPU (``near``) as many as fit stay
    there.
    """

    def __init__(
        self,
        speed: Speed,
        steps: int,
        plan: Callable[[int], list[Window]],
        window_bytes: int,
        near: bool = True,
        cycle: int = 1,
    ) -> None:
        self.speed, self.whole, self._plan = speed, speed.whole_steps(steps), plan
        self._cycle, self._following = cycle, dict(itertools.pairwise(self.whole))
        self.most, self._near = FEATURES_AT_MOST // window_bytes, FEATURES_ON_DEVICE // window_bytes * near
        self._windows, self._age = list[Window](), 0
        self._place: dict[tuple[int, ...], int] = {}
        self._kept: dict[tuple[int, ...], Kept] = {}

    def windows(self, step: int) -> list[Window]:
        """The windows of ``step``, which begins: those of the whole step it belongs to."""
        self._age += 1
        if step in self.whole or not self._windows:
            self._windows, self._age = self._plan(self._standing(step)), 0
            self._place = {window.frames: place for place, window in enumerate(self._windows)}
            self._kept.clear()
        return self._windows

    def _standing(self, step: int) -> int:
        """The step whose windows stand from the whole ``step`` on: that one or, from cycle to cycle, one of
        those it stands for. So every place is seen where cycle and distance have a common divisor, too."""
        distance = self._following.get(step, step + 1) - step
        return step + step // self._cycle % math.gcd(self._cycle, distance)

    def may_begin(self, step: int) -> bool:
        """Whether a run may go on from ``step`` with nothing kept: an interrupted one then gives the same
        video."""
        return step in self.whole or step > self.whole[-1]

    def take(self, windows: Sequence[tuple[int, ...]], device: torch.device) -> Kept:
        """What this step takes over for some windows, together; nothing in a whole step."""
        kept = [self._kept.get(frames, Kept()) for frames in windows]
        deep = [one.deep if self.speed.shallow(self._age) else None for one in kept]
        return Kept(_together(deep, device), _together([one.guidance for one in kept], device))

    def asks(self, windows: Sequence[tuple[int, ...]]) -> bool:
        """Whether deep features of these windows are wanted."""
        return any(self._place[frames] < self.most for frames in windows)

    def keep(self, windows: Sequence[tuple[int, ...]], found: Kept) -> None:
        """Hands on what a step found out about some windows, behind each other; nothing waits for the
        device."""
        deep, guidance = _apart(found.deep, len(windows)), _apart(found.guidance, len(windows))
        for frames, own, added in zip(windows, deep, guidance, strict=True):
            place = self._place[frames]
            if own is not None and own.is_cuda and place >= self._near:
                own = _aside(own)
            self._kept[frames] = Kept(own if place < self.most else None, added)


def _together(values: Sequence[Tensor | None], device: torch.device) -> Tensor | None:
    there = [upload(value, device) for value in values if value is not None]
    if len(there) < len(values):
        return None
    return there[0] if len(there) == 1 else torch.cat(there)


def _apart(values: Tensor | None, count: int) -> Sequence[Tensor | None]:
    """Each window's own, in memory of its own, so that what else was computed can be given back."""
    return [None] * count if values is None else [part.clone() for part in values.chunk(count)]


def _aside(values: Tensor) -> Tensor:
    """In pinned main memory, when the device gets there."""
    waiting = torch.empty_like(values, device="cpu", pin_memory=True)
    return waiting.copy_(values, non_blocking=True)
