"""The picture autoencoder of Stable Diffusion 1.x (``sd-vae-ft-mse``): diffusers' class, official scaling.

Pictures are (N, 3, H, W) in -1…1 going in and 0…1 coming out; latents are (N, 4, H/8, W/8).
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

from echomimic.models.kernels import Conv3x3

Autoencoder: TypeAlias = Any
"""diffusers' ``AutoencoderKL``, whose methods have no usable types."""

LATENT_SCALE = 0.18215
"""Literal factor between the autoencoder's latents and the denoiser's."""

CONFIG: dict[str, Any] = {
    "in_channels": 3,
    "out_channels": 3,
    "latent_channels": 4,
    "act_fn": "silu",
    "sample_size": 256,
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "block_out_channels": [128, 256, 512, 512],
    "layers_per_block": 2,
    "norm_num_groups": 32,
}
"""Settings of the official autoencoder."""


WINOGRAD_PAYS = 256
"""Channels from which on Winograd's convolution is faster than the direct one."""


def build_vae(config: Mapping[str, Any] = CONFIG) -> Autoencoder:
    """The autoencoder with unset weights; build it under ``torch.device("meta")`` to allocate nothing."""
    cls: Any = AutoencoderKL
    vae: Autoencoder = cls.from_config(dict(config))
    for module in list(vae.modules()):
        for name, part in module.named_children():
            if isinstance(part, nn.Conv2d) and part.padding == (1, 1) and min(part.weight.shape[:2]) >= WINOGRAD_PAYS:
                setattr(module, name, Conv3x3(part.in_channels, part.out_channels))
    return vae.eval().requires_grad_(False)


@torch.no_grad()
def encode(vae: Autoencoder, pictures: Tensor) -> Tensor:
    """Scaled mean of the latent distribution; nothing is sampled."""
    mean: Tensor = vae.encode(pictures).latent_dist.mean
    return mean * LATENT_SCALE


@torch.no_grad()
def decode(vae: Autoencoder, latents: Tensor) -> Tensor:
    """Pictures in 0…1, float32, decoded one at a time to keep memory flat."""
    return torch.cat([_decode_one(vae, latent[None]) for latent in latents / LATENT_SCALE])


def _decode_one(vae: Autoencoder, latent: Tensor) -> Tensor:
    picture: Tensor = vae.decode(latent.contiguous(memory_format=torch.channels_last)).sample
    return (picture / 2 + 0.5).clamp(0, 1).float()
