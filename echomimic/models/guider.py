"""V1's face locator and V2's pose encoder:
one small net from pictures to features added at the denoiser's entrance."""

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn


class Guider(nn.Module):
    """Pictures (N, inputs, H, W) in 0…1 → features (N, channels, H/8, W/8).

    3×3 convolutions with SiLU; every second one halves the size. Parameter names are those of
    ``face_locator.pth`` and ``pose_encoder.pth``. ``inputs`` is 1 for the face mask, 3 for drawings.
    """

    def __init__(
        self, inputs: int = 3, channels: int = 320, widths: tuple[int, ...] = (16, 32, 96, 256)
    ) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(inputs, widths[0], 3, padding=1)
        self.blocks = nn.ModuleList()
        for before, after in pairwise(widths):
            self.blocks.append(nn.Conv2d(before, before, 3, padding=1))
            self.blocks.append(nn.Conv2d(before, after, 3, padding=1, stride=2))
        self.conv_out = nn.Conv2d(widths[-1], channels, 3, padding=1)

    def forward(self, pictures: Tensor) -> Tensor:
        x = F.silu(self.conv_in(pictures))
        for block in self.blocks:
            x = F.silu(block(x))
        features: Tensor = self.conv_out(x)
        return features
