"""Both U-Nets of EchoMimic as one class: the denoiser (audio, motion, output head) and the reference net
(features).

Shapes: B = clips, F = frames, N = B·F images, C = channels. Activations stay (N, C, h, w), clip by clip; only
the motion modules see the frame axis. ``unconditional`` leading clips get no reference, no audio and no
guide, so with guidance::

    both = unet(torch.cat([window, window]), t, frames=F, audio=audio, guide=guide,
                reference=kv, unconditional=1)
    without, with_ = both.chunk(2)

where ``window`` is (F, 4, h, w), and ``audio`` (F, 50, 384) and ``guide`` (F or 1, 320, h, w) belong to the
conditional clip only. The reference is a value, computed once per video:
``kv = unet.project_reference(reference_unet.hidden_states(latent))``.

Parameter names are the official ones: the denoiser is ``denoising_unet.pth`` and ``motion_module.pth``
together.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from echomimic.models.attention import Attention, ImageContext, ReferenceKV, SpatialTransformer
from echomimic.models.kernels import (
    Conv3x3,
    GroupNorm,
    Images,
    Pointwise,
    Sum,
    anchor,
    arrange_convolutions,
    beside,
    convolve,
    fused,
    lazily,
    on_cpu,
    portions,
    rejoined,
    summed,
)
from echomimic.models.temporal import MotionModule, PositionTable, position_table

__all__ = ["DeepFeatures", "ReferenceKV", "UNet", "UNetConfig"]


@dataclass(frozen=True)
class UNetConfig:
    """Size and parts of a net; the default is the official denoiser."""

    channels: tuple[int, ...] = (320, 640, 1280, 1280)
    layers: int = 2
    heads: int = 8
    audio_dim: int | None = 384
    motion_frames: int | None = 32
    head: bool = True

    def deep_channels(self, layers: int) -> int:
        """Channels of :class:`DeepFeatures` where ``layers`` of the last stage are always computed."""
        return self.channels[1 if layers > self.layers else 0]

    def as_reference(self) -> "UNetConfig":
        """The matching reference net: no audio, no motion, no output head."""
        return replace(self, audio_dim=None, motion_frames=None, head=False)


@dataclass(frozen=True)
class Context:
    """What one forward is conditioned on, image by image; ``uncond`` leading images are unconditional."""

    frames: int = 1
    uncond: int = 0
    audio: Tensor | None = None
    reference: ReferenceKV | None = None
    hidden: dict[str, Tensor] | None = None

    def parts(self, x: Tensor, at_once: int = 4096) -> Iterator[tuple[slice, ImageContext]]:
        """Images that are worked on together and what they see; on a CPU few, all conditional or all not."""
        heard = self.audio is not None
        if not on_cpu(x):
            silent = heard and self.uncond > 0
            yield slice(0, len(x)), ImageContext(self.reference, self.audio, self.uncond, silent, self.hidden)
            return
        for part in portions(x, self.uncond, at_once // x[0, 0].numel()):
            yield part, ImageContext(uncond=part.stop - part.start, silent=heard)
        for part in portions(x, len(x) - self.uncond, at_once // x[0, 0].numel()):
            audio = None if self.audio is None else self.audio[part]
            images = slice(part.start + self.uncond, part.stop + self.uncond)
            yield images, ImageContext(self.reference, audio, hidden=self.hidden)


@dataclass
class DeepFeatures:
    """What the lower part of the net gave, for other forwards to take over (DeepCache, Ma et al. 2023).

    ``layers`` of the last stage are computed in every forward, with the layers of the first one that feed
    them. A forward that gets no ``value`` computes all and leaves it here, (N, C, h, w); one that gets it
    computes only those.
    """

    layers: int
    value: Tensor | None = None


class TimeEmbedding(nn.Module):
    """Sinusoid of the timestep (cosines first), then linear, SiLU, linear."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.linear_1, self.linear_2 = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, 4 * dim)

    def forward(self, t: Tensor) -> Tensor:
        half = self.linear_1.in_features // 2
        rate = torch.exp(-math.log(10000) * torch.arange(half, device=t.device) / half)
        angle = t.reshape(1, 1).float() * rate
        wave = torch.cat([angle.cos(), angle.sin()], -1).to(self.linear_1.weight.dtype)
        embedding: Tensor = self.linear_2(F.silu(self.linear_1(wave)))
        return embedding


class ResBlock(nn.Module):
    """Two normalised 3×3 convolutions with the time added between them, around a shortcut."""

    def __init__(self, before: int, after: int, time: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = GroupNorm(32, before), Conv3x3(before, after)
        self.time_emb_proj = nn.Linear(time, after)
        self.norm2, self.conv2 = GroupNorm(32, after), Conv3x3(after, after)
        self.conv_shortcut = Pointwise(before, after) if before != after else None

    def forward(self, x: Images, time: Tensor, skip: Tensor | None = None) -> Images:
        """(N, C, h, w) and ``skip`` behind its channels, with the SiLU of the ``time`` embedding (1, T)."""
        x = x if skip is None else beside(x, skip)
        h = self.norm1(x, silu=True)
        h, bias = convolve(self.conv1, h)
        moved = self.time_emb_proj(time)[0]
        h = self.norm2(Sum(h, bias=moved if bias is None else moved + bias), silu=True)
        h, bias = convolve(self.conv2, h)
        x = summed(x)
        return lazily(h, x if self.conv_shortcut is None else self.conv_shortcut(x), bias)


class Downsample(nn.Module):
    """3×3 convolution with stride 2."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(dim, dim, 3, stride=2, padding=1)

    def forward(self, x: Images) -> Tensor:
        h: Tensor = self.conv(summed(x))
        return h


class Upsample(nn.Module):
    """Nearest-neighbour resize to the size of the next skip, then a 3×3 convolution."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv = Conv3x3(dim, dim)

    def forward(self, x: Images, size: torch.Size) -> Tensor:
        h: Tensor = self.conv(F.interpolate(summed(x), size=size, mode="nearest"))
        return h


class UNetStage(nn.Module):
    """The layers of one resolution: residual block, spatial transformer, motion module, as often as
    ``widths`` says.

    ``widths`` are the input channels of the residual blocks; ``name`` is the stage's place in the net.
    """

    def __init__(self, name: str, widths: list[int], dim: int, config: UNetConfig, attends: bool) -> None:
        super().__init__()
        heads, audio, frames = config.heads, config.audio_dim, config.motion_frames
        self.resnets = nn.ModuleList([ResBlock(width, dim, 4 * config.channels[0]) for width in widths])
        names = [f"{name}.attentions.{i}" for i in range(len(widths))] if attends else []
        self.attentions = nn.ModuleList([SpatialTransformer(n, dim, heads, audio) for n in names])
        modules = [MotionModule(dim, heads, frames) for _ in widths] if frames else []
        self.motion_modules = nn.ModuleList(modules)

    def layer(self, i: int, x: Images, time: Tensor, context: Context, skip: Tensor | None = None) -> Images:
        """Layer ``i``: residual block over the input and the ``skip``, then attention and motion where the
        stage has them."""
        some = portions(anchor(x), len(x), 8192 // anchor(x)[0, 0].numel())
        x = rejoined([self.resnets[i](x[part], time, None if skip is None else skip[part]) for part in some])
        if len(self.attentions):
            parts = context.parts(anchor(x))
            x = rejoined([self.attentions[i](x[images], seen) for images, seen in parts])
        return self.motion_modules[i](x, context.frames) if len(self.motion_modules) else x


class DownStage(UNetStage):
    """A stage of the encoder; returns every layer's output as a skip, the downsampled one last."""

    def __init__(self, name: str, widths: list[int], dim: int, config: UNetConfig, last: bool) -> None:
        super().__init__(name, widths, dim, config, attends=not last)
        self.downsamplers = nn.ModuleList([] if last else [Downsample(dim)])

    def forward(self, x: Images, time: Tensor, context: Context, count: int | None = None) -> list[Images]:
        """The first ``count`` layers only, when it is given."""
        skips: list[Images] = []
        for i in range(len(self.resnets) if count is None else count):
            skips.append(x := self.layer(i, x, time, context))
        for downsample in self.downsamplers if count is None else ():
            skips.append(downsample(x))
        return skips


class MidStage(UNetStage):
    """The lowest stage: one full layer, then a second residual block."""

    def __init__(self, name: str, dim: int, config: UNetConfig) -> None:
        super().__init__(name, [dim], dim, config, attends=True)
        self.resnets.append(ResBlock(dim, dim, 4 * config.channels[0]))

    def forward(self, x: Images, time: Tensor, context: Context) -> Images:
        h: Images = self.resnets[1](self.layer(0, x, time, context), time)
        return h


class UpStage(UNetStage):
    """A stage of the decoder; every layer takes one skip off the stack, behind its own channels."""

    def __init__(
        self, name: str, widths: list[int], dim: int, config: UNetConfig, first: bool, last: bool
    ) -> None:
        super().__init__(name, widths, dim, config, attends=not first)
        self.upsamplers = nn.ModuleList([] if last else [Upsample(dim)])

    def forward(
        self, x: Images, time: Tensor, context: Context, skips: list[Images], deep: DeepFeatures | None = None
    ) -> Images:
        """``deep`` is filled, or stands for the layers before it."""
        first = 0 if deep is None else len(self.resnets) - deep.layers
        for i in range(0 if deep is None or deep.value is None else first, len(self.resnets)):
            if deep is not None and i == first:
                x = deep.value = summed(x) if deep.value is None else deep.value
            x = self.layer(i, x, time, context, summed(skips.pop()))
        for upsample in self.upsamplers:
            x = upsample(x, anchor(skips[-1]).shape[2:])
        return x


class UNet(nn.Module):
    """The U-Net of a config; see the module's docstring for shapes and use."""

    def __init__(self, config: UNetConfig = UNetConfig()) -> None:
        super().__init__()
        self.config = config
        c, last = config.channels, len(config.channels) - 1
        self.conv_in = nn.Conv2d(4, c[0], 3, padding=1)
        self.time_embedding = TimeEmbedding(c[0])
        self.down_blocks, self.up_blocks, skips = nn.ModuleList(), nn.ModuleList(), [c[0]]
        for i, dim in enumerate(c):
            widths = [skips[-1]] + [dim] * (config.layers - 1)
            self.down_blocks.append(DownStage(f"down_blocks.{i}", widths, dim, config, i == last))
            skips += [dim] * (config.layers + (i < last))
        self.mid_block = MidStage("mid_block", c[-1], config)
        x = c[-1]
        for i, dim in enumerate(reversed(c)):
            widths = [(dim if j else x) + skips.pop() for j in range(config.layers + 1)]
            self.up_blocks.append(UpStage(f"up_blocks.{i}", widths, dim, config, i == 0, i == last))
            x = dim
        self.conv_norm_out = GroupNorm(32, c[0]) if config.head else None
        self.conv_out = nn.Conv2d(c[0], 4, 3, padding=1) if config.head else None

    def forward(
        self,
        x: Tensor,
        t: Tensor,
        *,
        frames: int = 1,
        audio: Tensor | None = None,
        guide: Tensor | None = None,
        reference: ReferenceKV | None = None,
        unconditional: int = 0,
        deep: DeepFeatures | None = None,
    ) -> Tensor:
        """Predict (N, 4, h, w) from noisy latents ``x`` (N, 4, h, w) at timestep ``t`` (int64 scalar).

        frames: frames per clip; N must be a multiple of it, and it must fit the position table (32).
        audio: (M, 50, 384), a row for each of the M = N - unconditional·frames conditional images.
        guide: (M or 1, C0, h, w), added to the output of the first convolution of those images.
        reference: keys and values of the portrait, for those images.
        unconditional: leading clips without any condition.
        deep: features of the lower part to leave there, or to take from there.

        Raises ValueError: sizes that do not fit together, more frames than the position table has, or a
        reference net.
        """
        uncond = self._check(x, frames, audio, guide, unconditional)
        context = Context(frames, uncond, audio, reference)
        features = self._features(x, t, guide, context, deep)
        if self.conv_norm_out is None or self.conv_out is None:
            raise ValueError("a reference net has no output head: use hidden_states()")
        out: Tensor = self.conv_out(F.silu(self.conv_norm_out(features)))
        return out

    def hidden_states(self, latent: Tensor) -> dict[str, Tensor]:
        """What a reference net's spatial transformers see at timestep 0, by name: (1, h'·w', C) each.

        ``latent`` is the portrait's, (1, 4, h, w).
        """
        found: dict[str, Tensor] = {}
        t = torch.zeros((), dtype=torch.int64, device=latent.device)
        self._features(latent, t, None, Context(hidden=found))
        return found

    def project_reference(self, hidden: Mapping[str, Tensor]) -> ReferenceKV:
        """Keys and values of reference features for this net: one projection per video.

        Raises ValueError: the features are not those of the reference net that belongs to this net.
        """
        blocks = dict(self.spatial_transformers())
        if wrong := sorted(blocks.keys() ^ hidden.keys()):
            raise ValueError(f"reference features do not pair with this net's blocks: {', '.join(wrong)}")
        for name, block in blocks.items():
            if hidden[name].ndim != 3 or hidden[name].shape[::2] != (1, block.proj_in.in_channels):
                want = f"(1, tokens, {block.proj_in.in_channels})"
                raise ValueError(
                    f"reference features of {name} are {tuple(hidden[name].shape)}, expected {want}"
                )
        return ReferenceKV({name: block.reference_kv(hidden[name]) for name, block in blocks.items()})

    def spatial_transformers(self) -> Iterator[tuple[str, SpatialTransformer]]:
        """Name and module of every spatial transformer."""
        return (
            (name, module) for name, module in self.named_modules() if isinstance(module, SpatialTransformer)
        )

    def arrange(self) -> "UNet":
        """On a GPU, puts weights in the order it likes: projections of one input side by side, convolutions
        channels-last.

        One layer at a time, so that nothing is there twice; names, shapes and values stay. Where weights lie
        so already nothing is done; moving a net puts each weight by itself again.
        """
        if fused(self.conv_in.weight):
            arrange_convolutions(self)
            for module in self.modules():
                if isinstance(module, Attention):
                    module.join_projections()
        return self

    def position_tables(self) -> dict[str, Tensor]:
        """Computed value of every position table by state-dict key, for states that lack them."""
        found = {name: m for name, m in self.named_modules() if isinstance(m, PositionTable)}
        return {
            f"{name}.pe": position_table(m.pe.shape[2], m.pe.shape[1], "cpu") for name, m in found.items()
        }

    def _features(
        self, x: Tensor, t: Tensor, guide: Tensor | None, context: Context, deep: DeepFeatures | None = None
    ) -> Images:
        time = F.silu(self.time_embedding(t))
        first = self.conv_in(x.contiguous(memory_format=torch.channels_last))
        if guide is not None:
            first = torch.cat([first[: context.uncond], first[context.uncond :] + guide])
        skips: list[Images] = [first]
        last = self.up_blocks[-1]
        if deep is not None and deep.value is not None:
            skips += self.down_blocks[0](first, time, context, deep.layers - 1)
            shallow: Images = last(deep.value, time, context, skips, deep)
            return shallow
        for stage in self.down_blocks:
            skips += stage(skips[-1], time, context)
        h: Images = self.mid_block(skips[-1], time, context)
        for stage in self.up_blocks:
            h = stage(h, time, context, skips, deep if stage is last else None)
        return h

    def _check(
        self, x: Tensor, frames: int, audio: Tensor | None, guide: Tensor | None, unconditional: int
    ) -> int:
        limit = self.config.motion_frames
        if limit is not None and frames > limit:
            raise ValueError(
                f"a window has {frames} frames, the position table ends at {limit}: use shorter windows"
            )
        if frames < 1 or len(x) % frames:
            raise ValueError(f"{len(x)} images cannot be split into clips of {frames} frames")
        uncond = unconditional * frames
        if not 0 <= uncond <= len(x):
            raise ValueError(f"{unconditional} unconditional clips asked for, {len(x) // frames} given")
        if audio is not None and len(audio) != len(x) - uncond:
            raise ValueError(f"audio has {len(audio)} rows for {len(x) - uncond} conditional images")
        if guide is not None and len(guide) not in (1, len(x) - uncond):
            raise ValueError(f"the guide has {len(guide)} pictures for {len(x) - uncond} conditional images")
        return uncond
