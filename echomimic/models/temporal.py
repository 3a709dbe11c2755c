"""The motion module: attention over the frames of a clip, separately at every pixel.

Shapes: B = clips, F = frames, N = B·F images, L = height × width, C = channels. Names as in the official
checkpoints.
"""

import math

import torch
from torch import Tensor, nn

from echomimic.models.attention import Attention, FeedForward
from echomimic.models.kernels import Linear, attend, portions


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

    def over_frames(self, x: Tensor) -> Tensor:
        """(F, L, C) → (F, L, C)."""
        x = x + self.pos_encoder.pe[0, : len(x), None]
        q, k, v = (project(x).transpose(0, 1) for project in (self.to_q, self.to_k, self.to_v))
        out: Tensor = self.to_out[0](attend(q, k, v, self.heads).transpose(0, 1))
        return out


class TemporalBlock(nn.Module):
    """Two temporal attentions, then a feed-forward; each added to its input."""

    def __init__(self, dim: int, heads: int, frames: int) -> None:
        super().__init__()
        self.attention_blocks = nn.ModuleList([TemporalAttention(dim, heads, frames) for _ in range(2)])
        self.norms = nn.ModuleList([nn.LayerNorm(dim) for _ in range(2)])
        self.ff, self.ff_norm = FeedForward(dim), nn.LayerNorm(dim)

    def forward(self, x: Tensor) -> Tensor:
        """(F, L, C) → (F, L, C)."""
        for norm, attention in zip(self.norms, self.attention_blocks, strict=True):
            assert isinstance(attention, TemporalAttention)
            x = x + attention.over_frames(norm(x))
        out: Tensor = x + self.ff(self.ff_norm(x))
        return out


class TemporalTransformer(nn.Module):
    """Per-frame group norm, linear in, one block, linear out; added to the input."""

    def __init__(self, dim: int, heads: int, frames: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(32, dim, eps=1e-6)
        self.proj_in = Linear(dim, dim)
        self.transformer_blocks = nn.ModuleList([TemporalBlock(dim, heads, frames)])
        self.proj_out = Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(F, C, h, w), the frames of one clip;
        pixels do not see each other, so a CPU takes some at a time."""
        tokens = self.norm(x).flatten(2).transpose(1, 2)
        block = self.transformer_blocks[0]
        pixels = portions(x, tokens.shape[1], max(1, 64 // len(x)) * 64)
        done = [self.proj_out(block(self.proj_in(tokens[:, some]))) for some in pixels]
        h = done[0] if len(done) == 1 else torch.cat(done, 1)
        return x + h.transpose(1, 2).reshape(x.shape)


class MotionModule(nn.Module):
    """One level of names around the temporal transformer, as in the checkpoints."""

    def __init__(self, dim: int, heads: int, frames: int) -> None:
        super().__init__()
        self.temporal_transformer = TemporalTransformer(dim, heads, frames)

    def forward(self, x: Tensor, frames: int) -> Tensor:
        """(N, C, h, w) → the same, clip by clip."""
        return torch.cat([self.temporal_transformer(clip) for clip in torch.split(x, frames)])
