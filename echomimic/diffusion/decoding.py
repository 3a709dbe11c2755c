"""Latents become pictures: through the autoencoder, in tiles where memory is short, in float32 where half overflows."""

import copy
import logging
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from echomimic.diffusion import pictures
from echomimic.diffusion.overflow import refuse_overflow
from echomimic.diffusion.placement import out_of_memory
from echomimic.media.image import Picture
from echomimic.models import vae
from echomimic.models.vae import Autoencoder
from echomimic.progress import Report, say, silent

_LOG = logging.getLogger(__package__)


class FrameDecoder:
    """The autoencoder's decoder at work on one video; ``device`` is where it computes."""

    def __init__(self, net: Autoencoder, device: torch.device, report: Report = silent) -> None:
        self.net, self.device, self.report = net, device, report

    @torch.inference_mode()
    def frames(self, latents: Tensor, wanted: Sequence[int]) -> Iterator[Picture]:
        """The pictures of the ``wanted`` latents of (F, 4, h, w), one by one.

        Raises :class:`SettingsError` when a picture is not finite, in float32 either.
        """
        for frame in wanted:
            yield pictures.to_picture(self._decoded(latents[frame : frame + 1]))

    def _decoded(self, latents: Tensor) -> Tensor:
        decoded = self._tried(latents)
        if self.net.dtype == torch.float32 or bool(decoded.isfinite().all()):
            refuse_overflow(decoded, self.net.dtype)
            return decoded
        self._widen()
        decoded = self._tried(latents)
        refuse_overflow(decoded, torch.float16)
        return decoded

    def _tried(self, latents: Tensor) -> Tensor:
        put = latents.to(self.device, self.net.dtype)
        return tiled_if_needed(self.net, lambda: vae.decode(self.net, put))

    def _widen(self) -> None:
        """From now on a copy of the autoencoder in float32, for this video only."""
        name = str(self.net.dtype).removeprefix("torch.")
        say(self.report, f"the autoencoder overflows in {name}: this video is decoded in float32")
        self.net = copy.deepcopy(self.net).float()


def tiled_if_needed(net: Autoencoder, work: Callable[[], Tensor]) -> Tensor:
    """Tries the autoencoder whole; when memory runs out, in tiles, and so from then on."""
    try:
        return work()
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error) or net.tiled:
            raise
    _LOG.info("memory ran out in the autoencoder: from here on it works in tiles")
    net.tiled = True
    return work()
