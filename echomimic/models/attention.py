"""Attention inside one image: to itself and the reference, then to the frame's audio.

Shapes: n = images of a part, L = tokens (height × width), C = channels, R = reference tokens, A = audio
tokens. Parameter names are those of the official checkpoints.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from echomimic.models.kernels import (
    GroupNorm,
    Images,
    Linear,
    Pointwise,
    add_norm,
    as_image,
    as_tokens,
    attend,
    fused,
    geglu,
    join_weights,
    lazily,
    portions,
    products_of,
    rejoined,
    summed,
)

AUDIO_GAIN = 3.0
"""Official weight of the audio attention's output, the same in V1 and V2."""

HIDDEN_BYTES = 2**27
"""Most that a feed-forward layer holds at once on a GPU: far more rows than fill it, far less than all."""


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
    """What some images see: all but the first ``uncond``, the reference and ``audio`` (n - uncond, A, 384).

    ``silent``: the first hear audio of zeros, which stands for none without computing with it.
    ``hidden`` collects the reference features by name when the net runs as a reference net.
    """

    reference: ReferenceKV | None = None
    audio: Tensor | None = None
    uncond: int = 0
    silent: bool = False
    hidden: dict[str, Tensor] | None = None


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

    def forward(
        self,
        x: Tensor,
        context: Tensor | None = None,
        extra: tuple[Tensor, Tensor] | None = None,
        uncond: int = 0,
    ) -> Tensor:
        """(n, L, C) → (n, L, C); keys and values are of ``x`` where there is no context.

        ``extra`` are further ones (1, R, C), which all images but the first ``uncond`` see.
        """
        q, k, v = self.projections(x, context)
        out: Tensor = self.to_out[0](attend(q, k, v, self.heads, extra, uncond))
        return out

    def projections(self, x: Tensor, context: Tensor | None = None) -> list[Tensor]:
        """Queries, keys and values."""
        if context is None:
            return products_of(x, self.to_q, self.to_k, self.to_v)
        return [self.to_q(x), *products_of(context, self.to_k, self.to_v)]

    def join_projections(self) -> None:
        """Makes those of one input one product; see :func:`kernels.join_weights`."""
        own = self.to_q.in_features == self.to_k.in_features
        join_weights(*([self.to_q] if own else []), self.to_k, self.to_v)

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
        hidden: Tensor = self.proj(x)
        return geglu(hidden)


class FeedForward(nn.Module):
    """C → 4C gated → C; the middle entry keeps the place of the official dropout."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.net = nn.Sequential(GatedLinear(dim, 4 * dim), nn.Identity(), Linear(4 * dim, dim))

    def forward(self, x: Tensor, added: Tensor) -> Tensor:
        """Of ``x`` (n, L, C), added to ``added``."""
        rows = x.reshape(-1, x.shape[-1])
        if fused(x):
            return self._in_blocks(rows, added)
        done: list[Tensor] = [self.net(rows[part]) for part in portions(x, len(rows), 2048)]
        return added + rejoined(done).view(x.shape)

    def _in_blocks(self, rows: Tensor, added: Tensor) -> Tensor:
        """Block by block: neither the hidden values of all rows nor the result are there twice."""
        out, step = added.new_empty(added.shape), max(1, HIDDEN_BYTES // (8 * rows.shape[1] * rows.itemsize))
        flat = zip(*(torch.split(t.reshape(rows.shape), step) for t in (rows, added, out)), strict=True)
        for some, to, into in flat:
            torch.add(to, self.net(some), out=into)
        return out


class SpatialBlock(nn.Module):
    """Self-attention (with the reference), audio attention, feed-forward; each added to its input."""

    def __init__(self, dim: int, heads: int, audio_dim: int | None) -> None:
        super().__init__()
        self.norm1, self.attn1 = nn.LayerNorm(dim), Attention(dim, heads)
        if audio_dim:
            self.norm2, self.attn2 = nn.LayerNorm(dim), Attention(dim, heads, audio_dim)
        self.norm3, self.ff = nn.LayerNorm(dim), FeedForward(dim)

    def forward(self, x: Tensor, name: str, seen: ImageContext) -> Tensor:
        """(n, L, C) → (n, L, C)."""
        x, h = add_norm(x, None, self.norm1)
        if seen.hidden is not None:
            seen.hidden[name] = h
        reference = seen.reference.pairs[name] if seen.reference else None
        x, h = self._heard(x, self.attn1(h, extra=reference, uncond=seen.uncond), seen)
        out: Tensor = self.ff(h, x)
        return out

    def _heard(self, x: Tensor, add: Tensor, seen: ImageContext) -> tuple[Tensor, Tensor]:
        """The sum of both and of the audio attention, and its last norm."""
        if seen.audio is None and not seen.silent:
            return add_norm(x, add, self.norm3)
        silence = self.attn2.silence() if seen.silent else None
        if seen.audio is None:
            x = x + add
            return add_norm(x, None, self.norm3, constant=silence, gain=AUDIO_GAIN)
        x, h = add_norm(x, add, self.norm2, wanted=seen.uncond)
        heard = self.attn2(h, seen.audio)
        return add_norm(x, heard, self.norm3, constant=silence, gain=AUDIO_GAIN, first=seen.uncond)


class SpatialTransformer(nn.Module):
    """Group norm, 1×1 convolution in, one block over the image's tokens, 1×1 convolution out;
    added to the input."""

    def __init__(self, name: str, dim: int, heads: int, audio_dim: int | None) -> None:
        super().__init__()
        self.name = name
        self.norm = GroupNorm(32, dim, eps=1e-6)
        self.proj_in = Pointwise(dim, dim)
        self.transformer_blocks = nn.ModuleList([SpatialBlock(dim, heads, audio_dim)])
        self.proj_out = Pointwise(dim, dim)

    def forward(self, x: Images, seen: ImageContext) -> Images:
        """(n, C, h, w) → the same."""
        tokens = as_tokens(self.proj_in(self.norm(x)))
        tokens = self.transformer_blocks[0](tokens, self.name, seen)
        added = summed(x)
        return lazily(added, self.proj_out(as_image(tokens, added.shape[2:])))

    def reference_kv(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of reference features (1, R, C), by this block's own projections."""
        attention = self.get_submodule("transformer_blocks.0.attn1")
        assert isinstance(attention, Attention)
        return attention.to_k(features), attention.to_v(features)
