"""What the network predicts for one window, with or without classifier-free guidance (Ho & Salimans 2022)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import torch
from torch import Tensor

from echomimic.diffusion.batching import WindowBatch
from echomimic.diffusion.placement import out_of_memory, upload
from echomimic.diffusion.reuse import Kept, StepReuse
from echomimic.models.unet import DeepFeatures, ReferenceKV

Features: TypeAlias = Callable[[Sequence[int]], Tensor]
"""Frame numbers → what the network is told about them, one row per frame (or one row for all)."""


@dataclass(frozen=True, slots=True)
class Predictor:
    """The denoiser together with everything it is conditioned on.

    ``audio`` gives (F, 50, 384) and ``guide`` (F or 1, 320, h, w) for the frames of some windows. Guidance is
    off up to ``cfg`` 1, which is one forward; above, the unconditional half goes through the same forward in
    front, unless its step takes over what an earlier one knows (``reuse``). ``batch`` says how long a window
    is where several are predicted together.
    """

    denoiser: Callable[..., Tensor]
    reference: ReferenceKV
    audio: Features
    guide: Features
    cfg: float
    device: torch.device
    dtype: torch.dtype
    batch: WindowBatch | None = None
    reuse: StepReuse | None = None

    @torch.inference_mode()
    def __call__(self, latents: Tensor, timestep: int, frames: Sequence[int]) -> Tensor:
        """Velocity (F, 4, h, w), float32 where the ``latents`` (F, 4, h, w) are, of latents that show
        ``frames``: those of one window, or of several behind each other."""
        try:
            return self._velocity(latents, timestep, frames)
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error) or self.batch is None or len(frames) <= self.batch.length:
                raise
            windows = len(frames) // self.batch.length
            self.batch.shrink(windows)
            cut = windows // 2 * self.batch.length
        parts = (latents[:cut], frames[:cut]), (latents[cut:], frames[cut:])
        return torch.cat([self(few, timestep, shown) for few, shown in parts])

    def _velocity(self, latents: Tensor, timestep: int, frames: Sequence[int]) -> Tensor:
        length = self.batch.length if self.batch else len(frames)
        x, t = self._put(latents), torch.full((), timestep, dtype=torch.int64, device=self.device)
        given = {"audio": self._put(self.audio(frames)), "guide": self._put(self.guide(frames))}
        forward = partial(self.denoiser, t=t, frames=length, reference=self.reference, **given)
        if self.reuse is None:
            return self._back(latents, self._guided(forward, x, length)[0])
        windows = [tuple(frames[i : i + length]) for i in range(0, len(frames), length)]
        return self._back(latents, self._nearly(self.reuse, windows, forward, x))

    def _guided(self, forward: Callable[..., Tensor], x: Tensor, length: int) -> tuple[Tensor, Tensor | None]:
        """Velocity, and what guidance adds to that of the conditional half."""
        if self.cfg <= 1:
            return forward(x).float(), None
        predicted = forward(torch.cat([x, x]), unconditional=len(x) // length)
        without, with_ = predicted.float().chunk(2)
        difference = with_ - without
        return without + self.cfg * difference, (self.cfg - 1) * difference

    def _nearly(
        self, reuse: StepReuse, windows: Sequence[tuple[int, ...]], forward: Callable[..., Tensor], x: Tensor
    ) -> Tensor:
        """Velocity with what earlier steps have left of these windows, or leaving it for later ones."""
        kept, deep = reuse.take(windows, self.device), None
        if reuse.asks(windows):
            deep = DeepFeatures(reuse.speed.layers, kept.deep)
            forward = partial(forward, deep=deep)
        if kept.guidance is None:
            velocity, added = self._guided(forward, x, len(windows[0]))
        else:
            velocity, added = forward(x).float() + kept.guidance, kept.guidance
        if kept.deep is None:
            found = None if deep is None or deep.value is None else deep.value[-len(x) :]
            reuse.keep(windows, Kept(found, added))
        return velocity

    def _put(self, values: Tensor) -> Tensor:
        return upload(values, self.device, self.dtype)

    def _back(self, latents: Tensor, values: Tensor) -> Tensor:
        return values.to(latents.device, torch.float32)
