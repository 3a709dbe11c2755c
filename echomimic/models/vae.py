"""The picture autoencoder of Stable Diffusion 1.x (``sd-vae-ft-mse``), without its sampling: only the mean is
used.

Pictures are (N, 3, H, W) in -1…1 going in and 0…1 coming out; latents are (N, 4, h, w), h = H/8. Parameter
names are those of the published files in diffusers' spelling; ``keymaps.vae_names`` knows the other two.
Source: Rombach et al. 2022 (arXiv 2112.10752), first stage "KL-f8".
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from echomimic.models.kernels import (
    Conv3x3,
    GroupNorm,
    Images,
    Linear,
    Pointwise,
    Sum,
    arrange_convolutions,
    as_image,
    as_tokens,
    attend,
    convolve,
    fused,
    lazily,
    summed,
)

LATENT_SCALE = 0.18215
"""Literal factor between the autoencoder's latents and the denoiser's."""

CONFIG: dict[str, Any] = {
    "block_out_channels": [128, 256, 512, 512],
    "layers_per_block": 2,
    "norm_num_groups": 32,
}
"""Sizes of the official autoencoder, named as in its ``config.json``;
other entries of such a file are not used."""

WINOGRAD_PAYS = 256
"""Channels from which on Winograd's convolution is faster than the direct one (measured on a Zen 4 CPU)."""

LATENT_TILE, LATENT_SEAM = 32, 8
"""Side of a tile and how far neighbours overlap, in latent pixels, when memory is short:
diffusers' defaults."""

# The official autoencoder's; torch's own 1e-5 shifts the recorded numbers.
EPS = 1e-6


def convolution(before: int, after: int) -> nn.Conv2d:
    """A 3×3 convolution with a border of one pixel, in the form that is fastest for these widths."""
    if min(before, after) >= WINOGRAD_PAYS:
        return Conv3x3(before, after)
    return nn.Conv2d(before, after, 3, padding=1)


class Residual(nn.Module):
    """Two normalised 3×3 convolutions around a shortcut."""

    def __init__(self, before: int, after: int, groups: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = GroupNorm(groups, before, EPS), convolution(before, after)
        self.norm2, self.conv2 = GroupNorm(groups, after, EPS), convolution(after, after)
        self.conv_shortcut = Pointwise(before, after) if before != after else None

    def forward(self, x: Images) -> Images:
        h = self.norm1(x, silu=True)
        h, bias = convolve(self.conv1, h)
        h = self.norm2(Sum(h, bias=bias), silu=True)
        h, bias = convolve(self.conv2, h)
        x = summed(x)
        return lazily(h, x if self.conv_shortcut is None else self.conv_shortcut(x), bias)


class PixelAttention(nn.Module):
    """Self-attention of one head over all pixels, added to the input."""

    def __init__(self, dim: int, groups: int) -> None:
        super().__init__()
        self.group_norm = GroupNorm(groups, dim, EPS)
        self.to_q, self.to_k, self.to_v = Linear(dim, dim), Linear(dim, dim), Linear(dim, dim)
        self.to_out = nn.ModuleList([Linear(dim, dim)])

    def forward(self, x: Images) -> Images:
        h = self.group_norm(x)
        tokens = as_tokens(h)
        seen = attend(self.to_q(tokens), self.to_k(tokens), self.to_v(tokens), heads=1)
        return lazily(summed(x), as_image(self.to_out[0](seen), h.shape[2:]))


class Shrink(nn.Module):
    """3×3 convolution with stride 2; the border is at the right and the bottom only."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(dim, dim, 3, stride=2)

    def forward(self, x: Images) -> Tensor:
        h: Tensor = self.conv(F.pad(summed(x), (0, 1, 0, 1)))
        return h


class Grow(nn.Module):
    """Nearest-neighbour doubling, then a 3×3 convolution."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv = convolution(dim, dim)

    def forward(self, x: Images) -> Tensor:
        h: Tensor = self.conv(F.interpolate(summed(x), scale_factor=2.0, mode="nearest"))
        return h


class VaeStage(nn.Module):
    """Residual blocks of one resolution, then the way to the next one."""

    def __init__(self, before: int, after: int, layers: int, groups: int) -> None:
        super().__init__()
        self.resnets = nn.ModuleList([Residual(after if i else before, after, groups) for i in range(layers)])

    def forward(self, x: Images) -> Images:
        for name in ("resnets", "downsamplers", "upsamplers"):
            for layer in getattr(self, name, ()):
                x = layer(x)
        return x


class Middle(nn.Module):
    """The lowest resolution: attention between two residual blocks."""

    def __init__(self, dim: int, groups: int) -> None:
        super().__init__()
        self.attentions = nn.ModuleList([PixelAttention(dim, groups)])
        self.resnets = nn.ModuleList([Residual(dim, dim, groups) for _ in range(2)])

    def forward(self, x: Images) -> Images:
        h: Images = self.resnets[1](self.attentions[0](self.resnets[0](x)))
        return h


class Encoder(nn.Module):
    """(N, 3, H, W) → mean and logarithm of the variance, (N, 8, h, w)."""

    def __init__(self, widths: Sequence[int], layers: int, groups: int) -> None:
        super().__init__()
        self.conv_in, self.down_blocks = nn.Conv2d(3, widths[0], 3, padding=1), nn.ModuleList()
        for before, after in pairwise([widths[0], *widths]):
            self.down_blocks.append(VaeStage(before, after, layers, groups))
        for level, dim in zip(self.down_blocks[:-1], widths, strict=False):
            level.downsamplers = nn.ModuleList([Shrink(dim)])
        self.mid_block = Middle(widths[-1], groups)
        self.conv_norm_out = GroupNorm(groups, widths[-1], EPS)
        self.conv_out = nn.Conv2d(widths[-1], 8, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_in(x)
        for level in self.down_blocks:
            x = level(x)
        out: Tensor = self.conv_out(self.conv_norm_out(self.mid_block(x), silu=True))
        return out


class Decoder(nn.Module):
    """(N, 4, h, w) → (N, 3, H, W) in -1…1."""

    def __init__(self, widths: Sequence[int], layers: int, groups: int) -> None:
        super().__init__()
        down = list(reversed(widths))
        self.conv_in, self.mid_block = nn.Conv2d(4, down[0], 3, padding=1), Middle(down[0], groups)
        self.up_blocks = nn.ModuleList()
        for before, after in pairwise([down[0], *down]):
            self.up_blocks.append(VaeStage(before, after, layers + 1, groups))
        for level, dim in zip(self.up_blocks[:-1], down, strict=False):
            level.upsamplers = nn.ModuleList([Grow(dim)])
        self.conv_norm_out = GroupNorm(groups, down[-1], EPS)
        self.conv_out = nn.Conv2d(down[-1], 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.mid_block(self.conv_in(x))
        for level in self.up_blocks:
            h = level(h)
        out: Tensor = self.conv_out(self.conv_norm_out(h, silu=True))
        return out


class Autoencoder(nn.Module):
    """Both halves; ``tiled`` makes them work on overlapping tiles,
    which needs less memory and is not quite exact."""

    def __init__(self, widths: Sequence[int], layers: int, groups: int) -> None:
        super().__init__()
        self.encoder, self.decoder = Encoder(widths, layers, groups), Decoder(widths, layers, groups)
        self.quant_conv, self.post_quant_conv = nn.Conv2d(8, 8, 1), nn.Conv2d(4, 4, 1)
        self.factor = 2 ** (len(widths) - 1)
        self.tiled = False

    @property
    def dtype(self) -> torch.dtype:
        """Number format of the parameters."""
        return self.quant_conv.weight.dtype

    def arrange(self) -> "Autoencoder":
        """On a GPU, puts weights in the order it likes; names, shapes and values stay."""
        if fused(self.quant_conv.weight):
            arrange_convolutions(self)
        return self

    def encode(self, pictures: Tensor) -> Tensor:
        """Mean of the latent distribution, not scaled."""
        if self.tiled:
            return tilewise(
                self._mean, pictures, LATENT_TILE * self.factor, LATENT_SEAM * self.factor, 1 / self.factor
            )
        return self._mean(pictures)

    def decode(self, latents: Tensor) -> Tensor:
        """Pictures in about -1…1."""
        if self.tiled:
            return tilewise(self._picture, latents, LATENT_TILE, LATENT_SEAM, self.factor)
        return self._picture(latents)

    def _mean(self, pictures: Tensor) -> Tensor:
        put = channels_last(pictures) if fused(pictures) else pictures
        mean, _ = self.quant_conv(self.encoder(put)).chunk(2, 1)
        return torch.as_tensor(mean)

    def _picture(self, latents: Tensor) -> Tensor:
        # Without fused norms a GPU is faster in the plain layout, because PyTorch's group norm leaves
        # channels-last there: 21.5 against 26.6 ms a frame of 512 × 512 on an H200, in half precision.
        plain = latents.is_cuda and not fused(latents)
        put = latents.contiguous() if plain else channels_last(latents)
        picture: Tensor = self.decoder(self.post_quant_conv(put))
        return picture


def channels_last(x: Tensor) -> Tensor:
    """The same values with a pixel's channels beside each other in memory, whatever ``x`` was."""
    return x.contiguous().contiguous(memory_format=torch.channels_last)


def tilewise(work: Callable[[Tensor], Tensor], x: Tensor, tile: int, seam: int, factor: float) -> Tensor:
    """``work`` on overlapping tiles of ``x`` (N, C, H, W), faded into each other;
    it scales sizes by ``factor``."""
    height, width = (round(side * factor) for side in x.shape[2:])
    total: Tensor | None = None
    weight = torch.zeros(1, 1, height, width, device=x.device)
    for top in starts(x.shape[2], tile, seam):
        for left in starts(x.shape[3], tile, seam):
            part = work(x[:, :, top : top + tile, left : left + tile]).float()
            total = part.new_zeros(*part.shape[:2], height, width) if total is None else total
            fade = _fade(part.shape[2], round(seam * factor), x.device)[:, None]
            fade = fade * _fade(part.shape[3], round(seam * factor), x.device)
            rows, columns = (round(start * factor) for start in (top, left))
            here = (..., slice(rows, rows + part.shape[2]), slice(columns, columns + part.shape[3]))
            total[here] += part * fade
            weight[here] += fade
    assert total is not None
    return (total / weight).to(x.dtype)


def starts(side: int, tile: int, seam: int) -> list[int]:
    """Where tiles start so that they cover ``side`` and overlap by ``seam`` at least."""
    return [*range(0, max(1, side - tile), tile - seam), *([side - tile] if side > tile else [])]


def _fade(side: int, seam: int, device: torch.device) -> Tensor:
    """(side,) weights that rise over the first ``seam`` pixels and fall over the last."""
    ramp = (torch.arange(side, device=device) + 1).clamp(max=seam) / seam
    return torch.minimum(ramp, ramp.flip(0))


def build_vae(config: Mapping[str, Any] = CONFIG) -> Autoencoder:
    """The autoencoder with unset weights; build it under ``torch.device("meta")`` to allocate nothing.

    ``config`` are sizes in the words of the published ``config.json``; the official ones where it says
    nothing.
    """
    sizes = {**CONFIG, **config}
    vae = Autoencoder(sizes["block_out_channels"], sizes["layers_per_block"], sizes["norm_num_groups"])
    return vae.eval().requires_grad_(False)


@torch.no_grad()
def encode(vae: Autoencoder, pictures: Tensor) -> Tensor:
    """Scaled mean of the latent distribution; nothing is sampled."""
    return vae.encode(pictures) * LATENT_SCALE


@torch.no_grad()
def decode(vae: Autoencoder, latents: Tensor, at_once: int = 1) -> Tensor:
    """Pictures in 0…1, float32, decoded ``at_once`` at a time: one keeps memory flat, a GPU likes more."""
    parts = torch.split(latents / LATENT_SCALE, at_once)
    return torch.cat([(vae.decode(part) / 2 + 0.5).clamp(0, 1).float() for part in parts])
