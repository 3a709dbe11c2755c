"""The package's nets with the seeded weights of a case, and layouts between the official one and ours."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from echomimic.models import audio, keymaps, vae
from echomimic.models.guider import Guider
from echomimic.models.unet import UNet, UNetConfig
from tests.parity import fixtures


def unet(case: str | fixtures.Case, component: str) -> UNet:
    """``denoising_unet`` or ``reference_unet`` of a case."""
    config = UNetConfig(channels=tuple(fixtures.config(case, component)["block_out_channels"]))
    with torch.device("meta"):
        net = UNet(config if component == "denoising_unet" else config.as_reference())
    net.load_state_dict(fixtures.state(case, component) | net.position_tables(), strict=True, assign=True)
    return net.eval().requires_grad_(False)


def guider(case: str | fixtures.Case, component: str) -> Guider:
    """``face_locator`` or ``pose_encoder`` of a case."""
    state = fixtures.state(case, component)
    channels, inputs = len(state["conv_out.bias"]), state["conv_in.weight"].shape[1]
    with torch.device("meta"):
        net = Guider(inputs, channels)
    net.load_state_dict(state, strict=True, assign=True)
    return net.eval().requires_grad_(False)


def autoencoder(case: str | fixtures.Case) -> vae.Autoencoder:
    """The small VAE of a case."""
    with torch.device("meta"):
        net = vae.build_vae(fixtures.config(case, "vae"))
    state = fixtures.state(case, "vae")
    net.load_state_dict(renamed(keymaps.vae_names(state), state, net), strict=True, assign=True)
    return net


def whisper() -> WhisperEncoder:
    """The seeded Whisper encoder (full size)."""
    with torch.device("meta"):
        net = audio.build_encoder()
    state = fixtures.state("whisper_short", "whisper") | {
        "encoder.positional_embedding": audio.whisper_positions()
    }
    net.load_state_dict(renamed(keymaps.whisper_names(state), state, net), strict=True, assign=True)
    return net


def renamed(names: Mapping[str, str], state: Mapping[str, Tensor], net: nn.Module) -> dict[str, Tensor]:
    """``state`` under our names (ours → theirs), linear layers that are stored
    as 1×1 convolutions flattened."""
    shapes = {name: tensor.shape for name, tensor in net.state_dict().items()}
    return {
        ours: state[theirs].reshape(shapes.get(ours, state[theirs].shape)) for ours, theirs in names.items()
    }


def fold(x: Tensor) -> Tensor:
    """Official (B, C, F, h, w) → ours (B·F, C, h, w)."""
    return x.transpose(1, 2).flatten(0, 1)


def unfold(x: Tensor, frames: int) -> Tensor:
    """Ours (B·F, C, h, w) → official (B, C, F, h, w)."""
    return x.view(-1, frames, *x.shape[1:]).transpose(1, 2)
