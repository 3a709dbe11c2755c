"""The sampling loop: noise becomes the latents of the whole video, window by window, step by step.

Latents are (F, 4, H/8, W/8) float32, and all that grows with the video. They stay where the networks compute:
predictions, blending and the sampler's step happen there, and nothing waits for the device before a step is
complete.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from echomimic.diffusion.batching import WindowBatch, grouped
from echomimic.diffusion.crew import Crew, Predict, Task
from echomimic.diffusion.schedule import Sampler
from echomimic.diffusion.windows import Window
from echomimic.request import Settings


@dataclass(frozen=True, slots=True)
class Rules:
    """In what the six official pipelines differ, and which of their quirks are repeated.

    ``rotation``: frames the windows move per step. ``clamp`` bounds the first noise. ``divide``: frames that
    lie in several windows get the mean of their predictions, not the sum. ``half_reference`` rounds the
    reference features through float16. ``noise_dtype``: format the noise is drawn in.
    """

    rotation: int
    clamp: float | None
    divide: bool = True
    half_reference: bool = False
    noise_dtype: torch.dtype = torch.float32

    @classmethod
    def of(cls, settings: Settings, dtype: torch.dtype = torch.float32) -> "Rules":
        """The rules of the settings' variant;
        ``faithful`` adds the quirks, ``dtype`` is the networks' format."""
        row, faithful = settings.variant, settings.faithful
        unguided = settings.cfg is not None and settings.cfg <= 1
        return cls(
            rotation=row.rotation,
            clamp=row.noise_clamp,
            divide=not (faithful and unguided and row.sums_overlaps),
            half_reference=faithful,
            noise_dtype=dtype if faithful else torch.float32,
        )


@dataclass(frozen=True, slots=True)
class StepState:
    """Where the loop is: after ``window`` of ``windows`` in ``step`` (from 0).

    Behind a step's last window, ``velocity`` is the prediction that was used and ``latents`` are those of the
    next step; before that it is None. ``clean`` (4, h, w) is then the middle frame as the network imagines
    it.
    """

    step: int
    window: int
    windows: int
    latents: Tensor
    velocity: Tensor | None = None
    clean: Tensor | None = None


def first_noise(frames: int, height: int, width: int, seed: int, rules: Rules, sigma: float = 1.0) -> Tensor:
    """The latents to start from, for a video of ``height`` × ``width`` pixels.

    The numbers are those of the official draw of shape (1, 4, F, h, w) from a CPU generator: the same for
    every device and, to rounding, for every dtype.
    """
    generator = torch.Generator().manual_seed(seed)
    shape = (1, 4, frames, height // 8, width // 8)
    noise = torch.randn(shape, generator=generator, dtype=rules.noise_dtype)[0].transpose(0, 1)
    return clamp_noise(noise, rules).float().contiguous() * sigma


def clamp_noise(noise: Tensor, rules: Rules) -> Tensor:
    """Official: all but the V1 pose pipelines cut the noise off at ±1.5."""
    return noise if rules.clamp is None else noise.clamp(-rules.clamp, rules.clamp)


@dataclass(frozen=True, slots=True)
class PlacedWindow:
    """A window as tensors on the device, made before its step begins: inside a step nothing waits for the
    device.

    ``fed`` are the frames in the order they are fed; those at ``places`` count, for the frames ``counted``,
    with ``weights``.
    """

    frames: tuple[int, ...]
    fed: Tensor
    places: Tensor
    counted: Tensor
    weights: Tensor

    @classmethod
    def of(cls, window: Window, device: torch.device) -> "PlacedWindow":
        """``window`` on ``device``; of a frame it names twice only the later place counts,
        once (as official)."""
        places = window.last_places()
        numbers = (window.frames, places, [window.frames[place] for place in places])
        fed, kept, counted = (torch.tensor(row, dtype=torch.int64).to(device) for row in numbers)
        weights = torch.tensor([window.weights[place] for place in places])[:, None, None, None].to(device)
        return cls(window.frames, fed, kept, counted, weights)

    def blend(self, velocity: Tensor, weight: Tensor, predicted: Tensor) -> None:
        """Adds the window's predictions to those of the whole video, (F, 4, h, w),
        and their weights, (F, 1, 1, 1)."""
        velocity.index_add_(0, self.counted, self.weights * predicted.index_select(0, self.places))
        weight.index_add_(0, self.counted, self.weights)


def denoise(
    latents: Tensor,
    sampler: Sampler,
    predict: Predict | Crew,
    windows: Callable[[int], Sequence[Window]],
    *,
    divide: bool = True,
    begin: int = 0,
    batch: WindowBatch | None = None,
) -> Iterator[StepState]:
    """All steps from ``begin`` on: predict every window, blend the predictions, take one step for all frames.

    ``predict`` is one device's, or a crew of several; ``batch`` says how many windows it is given together.
    Yields after every window, so that whoever iterates can report, save and stop. ``latents`` may be
    overwritten.
    """
    crew = predict if isinstance(predict, Crew) else Crew([predict])
    for step in range(begin, len(sampler.timesteps)):
        seen = sampler.scaled(latents, step)
        planned = [PlacedWindow.of(window, latents.device) for window in windows(step)]
        velocity, weight = torch.zeros_like(latents), latents.new_zeros(len(latents), 1, 1, 1)
        groups = grouped(planned, batch.size if batch else 1, len(crew.predictors))
        tasks = [_task(seen, sampler.timesteps[step], group) for group in groups]
        predictions = zip(groups, crew.predictions(tasks), strict=True)
        for number, (window, predicted) in enumerate(_one_by_one(predictions), 1):
            window.blend(velocity, weight, predicted)
            if number < len(planned):
                yield StepState(step, number, len(planned), latents)
        if divide:
            velocity /= weight
        middle = len(latents) // 2
        clean = sampler.clean(velocity[middle], step, seen[middle])
        latents = sampler.step(velocity, step, latents)
        yield StepState(step, len(planned), len(planned), latents, velocity, clean)


def _task(seen: Tensor, timestep: int, group: Sequence[PlacedWindow]) -> Task:
    """The latents of a group's windows, one behind the other, and their frames."""
    fed = group[0].fed if len(group) == 1 else torch.cat([window.fed for window in group])
    return seen.index_select(0, fed), timestep, tuple(frame for window in group for frame in window.frames)


def _one_by_one(
    predictions: Iterable[tuple[Sequence[PlacedWindow], Tensor]],
) -> Iterator[tuple[PlacedWindow, Tensor]]:
    """The windows of all groups with their own predictions."""
    for group, predicted in predictions:
        yield from zip(group, predicted.chunk(len(group)), strict=True)
