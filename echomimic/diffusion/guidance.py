"""What the network predicts for one window, with or without classifier-free guidance (Ho & Salimans 2022)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from echomimic.diffusion.placement import upload
from echomimic.models.unet import ReferenceKV

Features: TypeAlias = Callable[[Sequence[int]], Tensor]
"""Frame numbers → what the network is told about them, one row per frame (or one row for all)."""


@dataclass(frozen=True, slots=True)
class Predictor:
    """The denoiser together with everything it is conditioned on.

    ``audio`` gives (F, 50, 384) and ``guide`` (F or 1, 320, h, w) for a window's frames. Guidance is off up
    to ``cfg`` 1, which is one forward; above, the unconditional half goes through the same forward in front.
    """

    denoiser: Callable[..., Tensor]
    reference: ReferenceKV
    audio: Features
    guide: Features
    cfg: float
    device: torch.device
    dtype: torch.dtype

    @torch.inference_mode()
    def __call__(self, latents: Tensor, timestep: int, frames: Sequence[int]) -> Tensor:
        """Velocity (F, 4, h, w), float32 where the ``latents`` (F, 4, h, w) are,
        of latents that show ``frames``."""
        x, t = self._put(latents), torch.full((), timestep, dtype=torch.int64, device=self.device)
        given = {"audio": self._put(self.audio(frames)), "guide": self._put(self.guide(frames))}
        if self.cfg <= 1:
            return self._back(latents, self.denoiser(x, t, frames=len(x), reference=self.reference, **given))
        both = torch.cat([x, x])
        predicted = self.denoiser(both, t, frames=len(x), reference=self.reference, unconditional=1, **given)
        without, with_ = predicted.float().chunk(2)
        return self._back(latents, without + self.cfg * (with_ - without))

    def _put(self, values: Tensor) -> Tensor:
        return upload(values, self.device, self.dtype)

    def _back(self, latents: Tensor, values: Tensor) -> Tensor:
        return values.to(latents.device, torch.float32)
