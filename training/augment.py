"""Other voices, rooms and microphones for mel pictures: (B, N, 80) normalised mel in, the same out."""

from __future__ import annotations

import torch
from torch import Tensor

from echomimic.motion.speech.log_mel import BANDS

SCALE = 3.0


class Augment:
    """Random changes, drawn from one generator so that training is reproducible."""

    def __init__(self, seed: int) -> None:
        self.random = torch.Generator().manual_seed(seed)

    def __call__(self, mel: Tensor) -> Tensor:
        for change in (self.voice, self.colour, self.room, self.babble, self.gaps):
            mel = change(mel)
        return mel

    def voice(self, mel: Tensor) -> Tensor:
        """Another vocal tract: bands shifted and stretched."""
        band = torch.arange(float(BANDS))[None, None]
        moved = band * (1 + self.uniform(mel, -0.08, 0.08)) + self.uniform(mel, -3, 3)
        moved = torch.where(self.chance(mel, 0.8), moved, band).clamp(0, BANDS - 1.001)
        low = moved.long()
        part = moved - low
        below, above = (mel.gather(2, (low + i).expand(mel.shape)) for i in (0, 1))
        return below * (1 - part) + above * part

    def colour(self, mel: Tensor) -> Tensor:
        """Another microphone: level and a random-walk equaliser."""
        walk = torch.cumsum(self.normal(mel[:, :1]) * 0.03, 2)
        return mel + walk * self.uniform(mel, 0, 1) + self.uniform(mel, -0.25, 0.25)

    def room(self, mel: Tensor) -> Tensor:
        """A noise floor with its own colour."""
        floor = self.uniform(mel, -3.2, -1.2) * SCALE + torch.cumsum(self.normal(mel[:, :1]) * 0.1, 2)
        noisy = torch.logaddexp(mel * SCALE, floor + self.normal(mel) * 0.4) / SCALE
        return torch.where(self.chance(mel, 0.5), noisy, mel)

    def babble(self, mel: Tensor) -> Tensor:
        """Another voice far behind."""
        other = mel[torch.randperm(len(mel), generator=self.random)] * SCALE - self.uniform(mel, 3, 7)
        return torch.where(self.chance(mel, 0.2), torch.logaddexp(mel * SCALE, other) / SCALE, mel)

    def gaps(self, mel: Tensor) -> Tensor:
        """Missing bands."""
        band = torch.arange(float(BANDS))[None, None]
        for often, widest in ((0.5, 12.0), (0.3, 8.0)):
            first = self.uniform(mel, 0, BANDS - 8)
            hit = (band >= first) & (band < first + self.uniform(mel, 2, widest)) & self.chance(mel, often)
            mel = torch.where(hit, mel.mean((1, 2), keepdim=True), mel)
        return mel

    def uniform(self, like: Tensor, low: float, high: float) -> Tensor:
        """(B, 1, 1) one number per clip."""
        return torch.rand(len(like), 1, 1, generator=self.random) * (high - low) + low

    def chance(self, like: Tensor, share: float) -> Tensor:
        """(B, 1, 1) whether a clip is changed."""
        return torch.rand(len(like), 1, 1, generator=self.random) < share

    def normal(self, like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=self.random)
