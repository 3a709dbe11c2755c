"""Latents become pictures: through the autoencoder, in tiles where memory is short,
in float32 where half overflows."""

import copy
import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from echomimic.diffusion import pictures
from echomimic.diffusion.overflow import overflow
from echomimic.diffusion.placement import out_of_memory
from echomimic.media.image import Picture
from echomimic.models import vae
from echomimic.models.vae import Autoencoder
from echomimic.progress import Report, say, silent

_LOG = logging.getLogger(__package__)


MOST_AT_ONCE = 8
"""Latents decoded together on a GPU: 13.9 ms a frame of 512 × 512 on an H200,
against 15.6 for 4 and 21.5 for 1."""

BYTES_PER_PIXEL = 2400
"""Memory that decoding a pixel takes in half precision: four maps of 256 channels,
and some to spare (estimated)."""


class FrameDecoder:
    """The autoencoder's decoder at work on one video; ``device`` is where it computes."""

    def __init__(self, net: Autoencoder, device: torch.device, report: Report = silent) -> None:
        self.net, self.device, self.report = net, device, report
        self.at_once = 0

    def frames(self, latents: Tensor, wanted: Sequence[int]) -> Iterator[Picture]:
        """The pictures of the ``wanted`` latents of (F, 4, h, w), one by one.

        On a GPU some are decoded together, and while they are written the next are on their way. Raises
        :class:`SettingsError` when a picture is not finite, in float32 either.
        """
        self.at_once = self.at_once or latents_at_once(latents, self.device, self.net.dtype)
        ahead, waiting = int(self.device.type == "cuda"), deque[Decoded]()
        for start in range(0, len(wanted), self.at_once):
            waiting.append(self._decoded(latents[list(wanted[start : start + self.at_once])]))
            if len(waiting) > ahead:
                yield from self._pictures(waiting.popleft())
        for decoded in waiting:
            yield from self._pictures(decoded)

    @torch.inference_mode()
    def _decoded(self, latents: Tensor) -> "Decoded":
        """Set on its way: the device may still be busy with it when this returns."""
        put = latents.to(self.device, self.net.dtype)
        decoded = tiled_if_needed(self.net, lambda: vae.decode(self.net, put, self.at_once), self._fewer)
        finite, shown = downloaded(decoded.isfinite().all()), downloaded(pictures.eight_bits(decoded))
        return Decoded(latents, finite, shown, mark(self.device))

    def _pictures(self, decoded: "Decoded") -> Iterator[Picture]:
        """Waits until the pictures are there; those that overflowed are decoded again in float32."""
        if decoded.ready is not None:
            decoded.ready.synchronize()
        if not bool(decoded.finite):
            if self.net.dtype == torch.float32:
                raise overflow(torch.float32 if decoded.dtype is None else decoded.dtype)
            half = self.net.dtype
            self._widen()
            decoded = replace(self._decoded(decoded.latents), dtype=half)
            yield from self._pictures(decoded)
            return
        yield from decoded.bytes.numpy()

    def _fewer(self) -> bool:
        """Halves what is decoded together; False when it is one already."""
        self.at_once, before = max(1, self.at_once // 2), self.at_once
        return self.at_once < before

    def _widen(self) -> None:
        """From now on a copy of the autoencoder in float32, for this video only."""
        name = str(self.net.dtype).removeprefix("torch.")
        say(self.report, f"the autoencoder overflows in {name}: this video is decoded in float32")
        self.net = copy.deepcopy(self.net).float()


@dataclass(frozen=True)
class Decoded:
    """Pictures (n, H, W, 3) on their way to main memory, whether they are finite, and what they were made
    from.

    They are there when ``ready`` has come. ``dtype`` is the format in which they overflowed before.
    """

    latents: Tensor
    finite: Tensor
    bytes: Tensor
    ready: torch.cuda.Event | None = None
    dtype: torch.dtype | None = None


def mark(device: torch.device) -> torch.cuda.Event | None:
    """Comes when the device has done what it has been given so far; None where everything is done at once."""
    if device.type != "cuda":
        return None
    event: torch.cuda.Event = torch.cuda.Event()  # type: ignore[no-untyped-call]
    event.record(torch.cuda.current_stream(device))
    return event


def latents_at_once(latents: Tensor, device: torch.device, dtype: torch.dtype) -> int:
    """How many fit into half of the free memory;
    one on everything but a GPU of CUDA, where more gains nothing."""
    if device.type != "cuda":
        return 1
    free, _ = torch.cuda.mem_get_info(device)
    pixels = 64 * latents.shape[2] * latents.shape[3]
    return int(min(MOST_AT_ONCE, max(1, free // 2 // (pixels * BYTES_PER_PIXEL * dtype.itemsize // 2))))


def downloaded(values: Tensor) -> Tensor:
    """``values`` in main memory; from a GPU through pinned memory."""
    if not values.is_cuda:
        return values.cpu()
    return torch.empty(values.shape, dtype=values.dtype, pin_memory=True).copy_(values, non_blocking=True)


def tiled_if_needed(
    net: Autoencoder, work: Callable[[], Tensor], fewer: Callable[[], bool] = lambda: False
) -> Tensor:
    """Tries the autoencoder whole; when memory runs out, on ``fewer`` at a time,
    at last in tiles from then on."""
    try:
        return work()
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error) or net.tiled:
            raise
    if fewer():
        return tiled_if_needed(net, work, fewer)
    _LOG.info("memory ran out in the autoencoder: from here on it works in tiles")
    net.tiled = True
    return work()
