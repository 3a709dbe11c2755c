"""The motion module: attention over the frames of a clip, separately at every pixel.

Shapes: B = clips, F = frames, N = B·F images, L = height × width, C = channels. Names as in the official checkpoints.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from echomimic.models.attention import Attention, FeedForward


def position_table(dim: int, frames: int, device: torch.device | str | None = None) -> Tensor:
    """(1, frames, dim): sines at even and cosines at odd channels, frequencies falling to 1/10000."""
    rate = torch.exp(torch.arange(0, dim, 2, device=device) * (-math.log(10000.0) / dim))
    angle = torch.arange(frames, device=device)[:, None] * rate
    return torch.stack([angle.sin(), angle.cos()], -1).flatten(1)[None]


class PositionTable(nn.Module):
    """The table as a buffer, because checkpoints carry it."""

    pe: Tensor

    def __init__(self, dim: int, frames: int) -> None:
        super().__init__()
        self.register_buffer("pe", position_table(dim, frames))


class TemporalAttention(Attention):
    """Self-attention over frames; positions are those inside the window, 0 … F-1."""

    def __init__(self, dim: int, heads: int, frames: int) -> None:
        super().__init__(dim, heads)
        self.pos_encoder = PositionTable(dim, frames)

    def forward(self, x: Tensor) -> Tensor:
        """(B, F, L, C) → (B, F, L, C)."""
        x = x + self.pos_encoder.pe[:, : x.shape[1], None]
        q, k, v = (p(x).unflatten(-1, (self.heads, -1)).permute(0, 2, 3, 1, 4) for p in (self.to_q, self.to_k, self.to_v))
        return self.out(F.scaled_dot_product_attention(q, k, v).permute(0, 3, 1, 2, 4).flatten(3))


class TemporalBlock(nn.Module):
    """Two temporal attentions, then a feed-forward; each added to its input."""

    def __init__(self, dim: int, heads: int, frames: int) -> None:
        super().__init__()
        self.attention_blocks = nn.ModuleList([TemporalAttention(dim, heads, frames) for _ in range(2)])
        self.norms = nn.ModuleList([nn.LayerNorm(dim) for _ in range(2)])
        self.ff, self.ff_norm = FeedForward(dim), nn.LayerNorm(dim)

    def forward(self, x: Tensor) -> Tensor:
        for norm, attend in zip(self.norms, self.attention_blocks, strict=True):
            x = x + attend(norm(x))
        return x + self.ff(self.ff_norm(x))


class TemporalTransformer(nn.Module):
    """Per-frame group norm, linear in, one block, linear out; added to the input."""

    def __init__(self, dim: int, heads: int, frames: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(32, dim, eps=1e-6)
        self.proj_in = nn.Linear(dim, dim)
        self.transformer_blocks = nn.ModuleList([TemporalBlock(dim, heads, frames)])
        self.proj_out = nn.Linear(dim, dim)

    def forward(self, x: Tensor, frames: int) -> Tensor:
        tokens = self.proj_in(self.norm(x).flatten(2).transpose(1, 2))
        tokens = self.transformer_blocks[0](tokens.unflatten(0, (-1, frames)))
        h: Tensor = self.proj_out(tokens).flatten(0, 1)
        return x + h.transpose(1, 2).unflatten(2, x.shape[2:])


class MotionModule(nn.Module):
    """One level of names around the temporal transformer, as in the checkpoints."""

    def __init__(self, dim: int, heads: int, frames: int) -> None:
        super().__init__()
        self.temporal_transformer = TemporalTransformer(dim, heads, frames)

    def forward(self, x: Tensor, frames: int) -> Tensor:
        """(N, C, h, w) → the same, images clip by clip."""
        h: Tensor = self.temporal_transformer(x, frames)
        return h
