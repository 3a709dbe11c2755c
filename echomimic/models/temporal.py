"""The motion module: attention over the frames of a clip, separately at every pixel.

Shapes: B = clips, F = frames, N = B·F images, L = height × width, C = channels. Names as in the official
checkpoints.
"""

import math

import torch
from torch import Tensor, nn

from echomimic.models.attention import Attention, FeedForward
from echomimic.models.kernels import (
    GroupNorm,
    Images,
    Linear,
    add_norm,
    as_image,
    as_tokens,
    attend_frames,
    lazily,
    on_cpu,
    portions,
    rejoined,
    summed,
)


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

    def places(self, frames: int) -> Tensor:
        """What is added to the frames of a window, (F, C)."""
        return self.pos_encoder.pe[0, :frames]

    def over_frames(self, x: Tensor, frames: int) -> Tensor:
        """(B·F, L, C) → the same, for ``x`` with places added."""
        q, k, v = self.projections(x)
        out: Tensor = self.to_out[0](attend_frames(q, k, v, self.heads, frames))
        return out


class TemporalBlock(nn.Module):
    """Two temporal attentions, then a feed-forward; each added to its input."""

    def __init__(self, dim: int, heads: int, frames: int) -> None:
        super().__init__()
        self.attention_blocks = nn.ModuleList([TemporalAttention(dim, heads, frames) for _ in range(2)])
        self.norms = nn.ModuleList([nn.LayerNorm(dim) for _ in range(2)])
        self.ff, self.ff_norm = FeedForward(dim), nn.LayerNorm(dim)

    def forward(self, x: Tensor, frames: int) -> Tensor:
        """(B·F, L, C) → the same."""
        add = None
        for norm, attention in zip(self.norms, self.attention_blocks, strict=True):
            assert isinstance(norm, nn.LayerNorm)
            assert isinstance(attention, TemporalAttention)
            x, h = add_norm(x, add, norm, after=attention.places(frames))
            add = attention.over_frames(h, frames)
        x, h = add_norm(x, add, self.ff_norm)
        out: Tensor = self.ff(h, x)
        return out


class TemporalTransformer(nn.Module):
    """Per-frame group norm, linear in, one block, linear out; added to the input."""

    def __init__(self, dim: int, heads: int, frames: int) -> None:
        super().__init__()
        self.norm = GroupNorm(32, dim, eps=1e-6)
        self.proj_in = Linear(dim, dim)
        self.transformer_blocks = nn.ModuleList([TemporalBlock(dim, heads, frames)])
        self.proj_out = Linear(dim, dim)

    def forward(self, x: Images, frames: int) -> Images:
        """(B·F, C, h, w), B clips (on a CPU one); pixels do not see each other, so a CPU takes some at a
        time."""
        tokens = as_tokens(self.norm(x))
        block = self.transformer_blocks[0]
        pixels = portions(tokens, tokens.shape[1], max(1, 64 // frames) * 64)
        done = [self.proj_out(block(self.proj_in(tokens[:, some]), frames)) for some in pixels]
        added = summed(x)
        return lazily(added, as_image(rejoined(done, 1), added.shape[2:]))


class MotionModule(nn.Module):
    """One level of names around the temporal transformer, as in the checkpoints."""

    def __init__(self, dim: int, heads: int, frames: int) -> None:
        super().__init__()
        self.temporal_transformer = TemporalTransformer(dim, heads, frames)

    def forward(self, x: Images, frames: int) -> Images:
        """(N, C, h, w) → the same, on a CPU clip by clip."""
        if isinstance(x, Tensor) and on_cpu(x):
            clips = torch.split(x, frames)
            return rejoined([summed(self.temporal_transformer(clip, frames)) for clip in clips])
        out: Images = self.temporal_transformer(x, frames)
        return out
