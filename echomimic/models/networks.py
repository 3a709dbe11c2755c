"""The five networks a model consists of: their sizes, their empty modules, and the tensors each one has.

The denoiser and the reference net are U-Nets, the guider is V1's face locator or V2's pose encoder; the
autoencoder and the Whisper encoder are shared by all models. Sizes other than the official ones come from
``echomimic.json``.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import torch
from torch import nn

from echomimic.errors import WeightsError
from echomimic.models.guider import Guider
from echomimic.models.keymaps import whisper_names
from echomimic.models.manifests import Shapes, manifest
from echomimic.models.unet import UNet, UNetConfig
from echomimic.models.vae import build_vae
from echomimic.variants import Variant

Network = Literal["denoiser", "reference", "guider", "vae", "whisper"]
NETWORKS: tuple[Network, ...] = ("denoiser", "reference", "guider", "vae", "whisper")

MOTION_PREFIX = "motion_modules."
"""In the name of every tensor that ``motion_module.pth`` holds and ``denoising_unet.pth`` lacks."""
# Most channels, heads or layers that a card may ask for.
_LARGEST = 8192

TABLE = ".pe"
"""End of the names of position tables, which a checkpoint may leave out because they are computed."""


@dataclass(frozen=True)
class Sizes:
    """Sizes of the networks; the default is official. ``vae`` holds sizes in the words of the published
    ``config.json``, None for the official ones. The Whisper encoder has one size only.
    """

    unet: UNetConfig = UNetConfig()
    guider: tuple[int, ...] = (16, 32, 96, 256)
    vae: Mapping[str, Any] | None = None

    @classmethod
    def from_card(cls, card: Mapping[str, Any]) -> "Sizes":
        """The sizes in the ``networks`` entry of ``echomimic.json``; {} means official."""
        try:
            unet = dict(card.get("unet", {}))
            unet["channels"] = tuple(unet.get("channels", UNetConfig.channels))
            guider = tuple(card.get("guider", cls.guider))
            sizes = cls(replace(UNetConfig(), **unet), guider, card.get("vae"))
        except (TypeError, ValueError, AttributeError) as error:
            raise _unknown(error) from error
        sizes.check()
        return sizes

    def check(self) -> None:
        """Raises :class:`WeightsError` unless every size is a whole number that a network can have."""
        vae: Mapping[str, Any] = self.vae if isinstance(self.vae, Mapping) else {}
        if self.vae is not None and not vae:
            raise _unknown("vae is no table")
        for name, value in (*asdict(self.unet).items(), ("guider", self.guider), *vae.items()):
            numbers = value if isinstance(value, list | tuple) else [value]
            if not numbers or not all(_possible(number, name in vae) for number in numbers):
                raise _unknown(f"{name} is {str(value)[:40]}")
        heads = self.unet.heads
        if len(self.unet.channels) != 4 or any(size % heads or size % 32 for size in self.unet.channels):
            raise _unknown(f"channels {self.unet.channels} cannot be shared by {heads} heads and 32 groups")


def _unknown(why: object) -> WeightsError:
    return WeightsError(f"echomimic.json describes unknown networks ({why}); convert the weights again")


def _possible(value: Any, of_vae: bool) -> bool:
    """Whether a card's value is a flag or a number that a layer can have;
    diffusers' settings are texts too."""
    if isinstance(value, bool) or value is None or (of_vae and isinstance(value, str)):
        return True
    return isinstance(value, int | float if of_vae else int) and 0 < value <= _LARGEST


def build(network: Network, row: Variant, sizes: Sizes) -> nn.Module:
    """An empty module on the meta device, for inference."""
    with torch.device("meta"):
        module = _module(network, row, sizes)
    return module.eval().requires_grad_(False)


def _module(network: Network, row: Variant, sizes: Sizes) -> nn.Module:
    if network == "denoiser":
        return UNet(sizes.unet)
    if network == "reference":
        return UNet(sizes.unet.as_reference())
    if network == "guider":
        return Guider(guider_inputs(row), sizes.unet.channels[0], sizes.guider)
    if network == "vae":
        try:
            return build_vae(sizes.vae or {})
        except (TypeError, ValueError, KeyError, IndexError, ArithmeticError, RuntimeError) as error:
            raise _unknown(f"vae: {type(error).__name__}") from error
    from echomimic.models import audio

    return audio.build_encoder()


def guider_inputs(row: Variant) -> int:
    """Channels the guider sees: one of a mask, three of a drawing."""
    return 1 if row.guide == "mask" else 3


def shapes(network: Network, row: Variant, sizes: Sizes) -> Shapes:
    """Name and shape of every tensor of a network, in our spelling;
    builds nothing if the sizes are official."""
    official = Sizes()
    if network in ("denoiser", "reference") and sizes.unet == official.unet:
        parts = ("denoising_unet", "motion_module") if network == "denoiser" else ("reference_unet",)
        return {key: shape for part in parts for key, shape in manifest(part).items()}
    if network == "guider" and (sizes.guider, sizes.unet.channels[0]) == (official.guider, 320):
        return manifest("face_locator_audio" if guider_inputs(row) == 1 else "pose_encoder")
    if network == "vae" and not sizes.vae:
        return manifest("vae")
    if network == "whisper":
        theirs = manifest("whisper_tiny")
        return {ours: theirs[name] for ours, name in whisper_names(theirs).items()}
    return {key: tuple(value.shape) for key, value in build(network, row, sizes).state_dict().items()}
