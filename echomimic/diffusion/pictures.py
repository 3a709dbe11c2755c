"""Pictures in and out of the networks: (H, W, 3) uint8 outside, (1, 3, H, W) floats and latents inside."""

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from echomimic.conditions import Conditions
from echomimic.framing.crop import cut_out
from echomimic.media.image import Picture

# Least-squares fit of RGB in −1…1 to the latents of Stable Diffusion 1's autoencoder, published by its users.
_LATENT_TO_RGB = torch.tensor(
    [[0.298, 0.207, 0.208], [0.187, 0.286, 0.173], [-0.158, 0.189, 0.264], [-0.184, -0.271, -0.473]]
)


def reference_picture(conditions: Conditions) -> Picture:
    """The part that the video shows, at the video's size.

    Official: V1 scales with OpenCV's bilinear filter, V2 stretches with Pillow.
    """
    faithful, view = conditions.settings.faithful, conditions.view
    if faithful and conditions.settings.variant.subject == "body":
        return conditions.picture
    return cut_out(conditions.picture, view.rect, view.size, faithful=faithful)


def to_tensor(picture: Picture, width: int, height: int) -> Tensor:
    """(1, 3, H, W) in −1…1, as the official pipelines prepare it:
    sizes rounded down to multiples of 8, Lanczos."""
    size = (width - width % 8, height - height % 8)
    image = Image.fromarray(picture)
    if image.size != size:
        image = image.resize(size, Image.Resampling.LANCZOS)
    values = torch.from_numpy(np.asarray(image, np.float32).copy())
    return (values / 127.5 - 1).permute(2, 0, 1)[None]


def to_picture(decoded: Tensor) -> Picture:
    """(1, 3, H, W) in 0…1 → (H, W, 3) uint8 by truncation, as official."""
    return eight_bits(decoded)[0].cpu().numpy()


def eight_bits(decoded: Tensor) -> Tensor:
    """(N, 3, H, W) in 0…1 → (N, H, W, 3) uint8 by truncation, as official, where ``decoded`` is."""
    return (decoded.float() * 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def glimpse(clean: Tensor, enlarge: int = 4) -> Picture:
    """A rough small picture of a latent (4, h, w): what the video is going to look like, at no cost."""
    rgb = torch.einsum("chw,cr->hwr", clean.float().cpu(), _LATENT_TO_RGB)
    small = ((rgb + 1) * 127.5).clamp(0, 255).to(torch.uint8).numpy()
    return np.ascontiguousarray(small.repeat(enlarge, 0).repeat(enlarge, 1))
