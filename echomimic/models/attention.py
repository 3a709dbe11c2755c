"""Attention inside one image: to itself and the reference, then to the frame's audio.

Shapes: N = images (clips × frames), L = tokens (height × width), C = channels, R = reference tokens, A = audio tokens.
Parameter names are those of the official checkpoints.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

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
        return ReferenceKV({n: (k.to(device, dtype), v.to(device, dtype)) for n, (k, v) in self.pairs.items()})


@dataclass(frozen=True)
class Context:
    """What one forward is conditioned on besides the latents.

    ``plain`` leading images are unconditional: they see neither reference nor audio. ``audio`` is (N - plain, A, 384).
    ``taps`` collects the reference features by name when the net runs as a reference net.
    """

    frames: int = 1
    plain: int = 0
    audio: Tensor | None = None
    reference: Mapping[str, tuple[Tensor, Tensor]] = field(default_factory=dict)
    taps: dict[str, Tensor] | None = None


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(N, L, C) → (N, heads, L, C / heads)."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


class Attention(nn.Module):
    """Multi-head attention with official names: queries from ``x``, keys and values from ``x`` or a context."""

    def __init__(self, dim: int, heads: int, context_dim: int | None = None) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(dim, dim, bias=False)
        self.to_k = nn.Linear(context_dim or dim, dim, bias=False)
        self.to_v = nn.Linear(context_dim or dim, dim, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(dim, dim)])

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """(N, L, C) queries over (N, K, C) keys and values, before the output projection."""
        q, k, v = (split_heads(t, self.heads) for t in (q, k, v))
        return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)

    def out(self, x: Tensor) -> Tensor:
        """The output projection."""
        projected: Tensor = self.to_out[0](x)
        return projected


class SelfAttention(Attention):
    """Attention of an image to itself and, behind ``plain`` images, also to the reference."""

    def forward(self, x: Tensor, reference: tuple[Tensor, Tensor] | None, plain: int) -> Tensor:
        q, k, v = self.to_q(x), self.to_k(x), self.to_v(x)
        if reference is None:
            return self.out(self.attend(q, k, v))
        seen = len(x) - plain
        joined = [torch.cat([own[plain:], ref.expand(seen, -1, -1)], 1) for own, ref in zip((k, v), reference, strict=True)]
        parts = [self.attend(q[:plain], k[:plain], v[:plain])] if plain else []
        return self.out(torch.cat([*parts, self.attend(q[plain:], *joined)]))


class AudioAttention(Attention):
    """Attention to the audio tokens of the same frame."""

    def forward(self, x: Tensor, audio: Tensor) -> Tensor:
        return self.out(self.attend(self.to_q(x), self.to_k(audio), self.to_v(audio)))

    def silence(self) -> Tensor:
        """What attention to all-zero audio gives for every token, (C,): zero values leave only the output bias."""
        bias: Tensor = self.to_out[0].bias
        return bias


class GatedLinear(nn.Module):
    """Linear to value and gate; value × GELU(gate)."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.proj = nn.Linear(dim, 2 * hidden)

    def forward(self, x: Tensor) -> Tensor:
        value, gate = self.proj(x).chunk(2, -1)
        return value * F.gelu(gate)


class FeedForward(nn.Module):
    """C → 4C gated → C; the middle entry keeps the place of the official dropout."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.net = nn.Sequential(GatedLinear(dim, 4 * dim), nn.Identity(), nn.Linear(4 * dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.net(x)
        return out


class SpatialBlock(nn.Module):
    """Self-attention (with the reference), audio attention, feed-forward; each added to its input."""

    def __init__(self, dim: int, heads: int, audio_dim: int | None) -> None:
        super().__init__()
        self.norm1, self.attn1 = nn.LayerNorm(dim), SelfAttention(dim, heads)
        self.norm2 = nn.LayerNorm(dim) if audio_dim else None
        self.attn2 = AudioAttention(dim, heads, audio_dim) if audio_dim else None
        self.norm3, self.ff = nn.LayerNorm(dim), FeedForward(dim)

    def forward(self, x: Tensor, name: str, context: Context) -> Tensor:
        h = self.norm1(x)
        if context.taps is not None:
            context.taps[name] = h
        x = x + self.attn1(h, context.reference.get(name), context.plain)
        if self.attn2 is not None and self.norm2 is not None and context.audio is not None:
            silent, heard = x[: context.plain], x[context.plain :]
            heard = heard + AUDIO_GAIN * self.attn2(self.norm2(heard), context.audio)
            x = torch.cat([silent + AUDIO_GAIN * self.attn2.silence(), heard]) if context.plain else heard
        return x + self.ff(self.norm3(x))


class SpatialTransformer(nn.Module):
    """Group norm, 1×1 convolution in, one block over the image's tokens, 1×1 convolution out; added to the input."""

    def __init__(self, name: str, dim: int, heads: int, audio_dim: int | None) -> None:
        super().__init__()
        self.name = name
        self.norm = nn.GroupNorm(32, dim, eps=1e-6)
        self.proj_in = nn.Conv2d(dim, dim, 1)
        self.transformer_blocks = nn.ModuleList([SpatialBlock(dim, heads, audio_dim)])
        self.proj_out = nn.Conv2d(dim, dim, 1)

    def forward(self, x: Tensor, context: Context) -> Tensor:
        tokens = self.proj_in(self.norm(x)).flatten(2).transpose(1, 2)
        tokens = self.transformer_blocks[0](tokens, self.name, context)
        h: Tensor = self.proj_out(tokens.transpose(1, 2).unflatten(2, x.shape[2:]))
        return x + h

    def reference_kv(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of reference features (1, R, C), by this block's own projections."""
        block = self.transformer_blocks[0]
        return block.attn1.to_k(features), block.attn1.to_v(features)
