"""Attention inside one image: to itself and the reference, then to the frame's audio.

Shapes: n = images of a part, L = tokens (height × width), C = channels, R = reference tokens, A = audio
tokens. Parameter names are those of the official checkpoints.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from echomimic.models.kernels import Linear, attend, portions

AUDIO_GAIN = 3.0
"""Official weight of the audio attention's output, the same in V1 and V2."""


@dataclass(frozen=True)
class ReferenceKV:
    """Keys and values of the reference picture for every spatial transformer, by its name.

    Each is (1, R, C). They depend on the portrait only: ``UNet.project_reference`` makes them once per video.
    """

    pairs: Mapping[str, tuple[Tensor, Tensor]]

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> "ReferenceKV":
        """The same values on another device or in another precision."""
        return ReferenceKV(
            {n: (k.to(device, dtype), v.to(device, dtype)) for n, (k, v) in self.pairs.items()}
        )


@dataclass(frozen=True)
class ImageContext:
    """What some images see. ``audio`` is (n, A, 384); ``silent`` stands for audio of zeros without computing
    with them.

    ``taps`` collects the reference features by name when the net runs as a reference net.
    """

    reference: ReferenceKV | None = None
    audio: Tensor | None = None
    silent: bool = False
    taps: dict[str, Tensor] | None = None


class Attention(nn.Module):
    """Multi-head attention with official names:
    queries from ``x``, keys and values from ``x`` or a context."""

    def __init__(self, dim: int, heads: int, context_dim: int | None = None) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = Linear(dim, dim, bias=False)
        self.to_k = Linear(context_dim or dim, dim, bias=False)
        self.to_v = Linear(context_dim or dim, dim, bias=False)
        self.to_out = nn.ModuleList([Linear(dim, dim)])

    def forward(self, x: Tensor, context: Tensor, beyond: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """(n, L, C) → (n, L, C); ``beyond`` are keys
        and values (1, R, C) every image sees behind the context's."""
        q, k, v = self.to_q(x), self.to_k(context), self.to_v(context)
        if beyond is not None:
            k, v = (
                torch.cat([own, far.expand(len(x), -1, -1)], 1)
                for own, far in zip((k, v), beyond, strict=True)
            )
        out: Tensor = self.to_out[0](attend(q, k, v, self.heads))
        return out

    def silence(self) -> Tensor:
        """What a context of zeros gives at every token, (C,): zero values leave only the output bias."""
        bias: Tensor = self.to_out[0].get_parameter("bias")
        return bias


class GatedLinear(nn.Module):
    """Linear to value and gate; value × GELU(gate)."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.proj = Linear(dim, 2 * hidden)

    def forward(self, x: Tensor) -> Tensor:
        value, gate = self.proj(x).chunk(2, -1)
        return F.gelu(gate).mul_(value)


class FeedForward(nn.Module):
    """C → 4C gated → C; the middle entry keeps the place of the official dropout."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.net = nn.Sequential(GatedLinear(dim, 4 * dim), nn.Identity(), Linear(4 * dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        rows = x.reshape(-1, x.shape[-1])
        done = [self.net(rows[part]) for part in portions(x, len(rows), 2048)]
        return (done[0] if len(done) == 1 else torch.cat(done)).view(x.shape)


class SpatialBlock(nn.Module):
    """Self-attention (with the reference), audio attention, feed-forward; each added to its input."""

    def __init__(self, dim: int, heads: int, audio_dim: int | None) -> None:
        super().__init__()
        self.norm1, self.attn1 = nn.LayerNorm(dim), Attention(dim, heads)
        if audio_dim:
            self.norm2, self.attn2 = nn.LayerNorm(dim), Attention(dim, heads, audio_dim)
        self.norm3, self.ff = nn.LayerNorm(dim), FeedForward(dim)

    def forward(self, x: Tensor, name: str, conditions: ImageContext) -> Tensor:
        h = self.norm1(x)
        if conditions.taps is not None:
            conditions.taps[name] = h
        x = x + self.attn1(h, h, conditions.reference.pairs[name] if conditions.reference else None)
        if conditions.audio is not None:
            x = x + AUDIO_GAIN * self.attn2(self.norm2(x), conditions.audio)
        elif conditions.silent:
            x = x + AUDIO_GAIN * self.attn2.silence()
        out: Tensor = x + self.ff(self.norm3(x))
        return out


class SpatialTransformer(nn.Module):
    """Group norm, 1×1 convolution in, one block over the image's tokens, 1×1 convolution out;
    added to the input."""

    def __init__(self, name: str, dim: int, heads: int, audio_dim: int | None) -> None:
        super().__init__()
        self.name = name
        self.norm = nn.GroupNorm(32, dim, eps=1e-6)
        self.proj_in = nn.Conv2d(dim, dim, 1)
        self.transformer_blocks = nn.ModuleList([SpatialBlock(dim, heads, audio_dim)])
        self.proj_out = nn.Conv2d(dim, dim, 1)

    def forward(self, x: Tensor, conditions: ImageContext) -> Tensor:
        tokens = self.proj_in(self.norm(x)).flatten(2).transpose(1, 2)
        tokens = self.transformer_blocks[0](tokens, self.name, conditions)
        h: Tensor = self.proj_out(tokens.transpose(1, 2).reshape(x.shape))
        return x + h

    def reference_kv(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of reference features (1, R, C), by this block's own projections."""
        attention = self.get_submodule("transformer_blocks.0.attn1")
        assert isinstance(attention, Attention)
        return attention.to_k(features), attention.to_v(features)
