"""Latents become pictures: through the autoencoder, in tiles where memory is short,
in float32 where half overflows."""

import contextlib
import copy
import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

from echomimic.diffusion import pictures
from echomimic.diffusion.batching import free_memory
from echomimic.diffusion.crew import cores_each, lane
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
    """The autoencoder's decoder at work on one video, on one device or on several.

    ``nets`` are copies of one autoencoder, each with the ``device`` where it computes. They take turns, piece
    by piece, and the pictures come in the video's order: those of one such device, bit for bit.
    """

    def __init__(self, nets: Sequence[tuple[Autoencoder, torch.device]], report: Report = silent) -> None:
        self.nets, self.devices, self.report = [n for n, _ in nets], [d for _, d in nets], report
        self.at_once = 0
        self._half = torch.float32

    def frames(self, latents: Tensor, wanted: Sequence[int]) -> Iterator[Picture]:
        """The pictures of the ``wanted`` latents of (F, 4, h, w), one by one.

        On a GPU some are decoded together, and while they are written the next are on their way. Raises
        :class:`SettingsError` when a picture is not finite, in float32 either.
        """
        self.at_once = self.at_once or latents_at_once(latents, self.devices[0], self.nets[0].dtype)
        with contextlib.ExitStack() as stack:
            lanes = [stack.enter_context(pool) for pool in self._lanes()]
            ahead = len(lanes) or int(self.devices[0].type == "cuda")
            flying = deque[Flying]()
            for turn, start in enumerate(range(0, len(wanted), self.at_once)):
                part = latents[list(wanted[start : start + self.at_once])]
                flying.append(self._launched(part, turn % len(self.nets), lanes))
                if len(flying) > ahead:
                    yield from self._landed(flying, lanes)
            while flying:
                yield from self._landed(flying, lanes)

    def _lanes(self) -> list[ThreadPoolExecutor]:
        """A thread per device; none for one device, which is given its work by the reader's thread."""
        count = len(self.nets)
        return [lane(f"decoder-{i}", cores_each(self.devices)) for i in range(count)] if count > 1 else []

    def _launched(self, latents: Tensor, turn: int, lanes: Sequence[ThreadPoolExecutor]) -> "Flying":
        if not lanes:
            done: Future[Decoded] = Future()
            done.set_result(self._decoded(latents, turn))
            return Flying(latents, turn, done)
        return Flying(latents, turn, lanes[turn].submit(self._decoded, latents, turn))

    @torch.inference_mode()
    def _decoded(self, latents: Tensor, turn: int) -> "Decoded":
        """Set on its way: the device may still be busy with it when this returns."""
        net, device = self.nets[turn], self.devices[turn]
        put = latents.to(device, net.dtype)
        decoded = tiled_if_needed(net, lambda: vae.decode(net, put, self.at_once), self._fewer)
        finite, shown = downloaded(decoded.isfinite().all()), downloaded(pictures.eight_bits(decoded))
        return Decoded(finite, shown, mark(device))

    def _landed(self, flying: "deque[Flying]", lanes: Sequence[ThreadPoolExecutor]) -> Iterator[Picture]:
        """Waits for the first pictures; if they overflowed, they and all behind them are decoded in
        float32."""
        decoded = flying[0].decoded.result()
        if decoded.ready is not None:
            decoded.ready.synchronize()
        if not bool(decoded.finite):
            self._widen()
            again = [self._launched(piece.latents, piece.turn, lanes) for piece in flying]
            flying.clear()
            flying.extend(again)
            yield from self._landed(flying, lanes)
            return
        flying.popleft()
        yield from decoded.bytes.numpy()

    def _fewer(self) -> bool:
        """Halves what is decoded together; False when it is one already."""
        self.at_once, before = max(1, self.at_once // 2), self.at_once
        return self.at_once < before

    def _widen(self) -> None:
        """From now on copies of the autoencoder in float32, for this video only."""
        if self.nets[0].dtype == torch.float32:
            raise overflow(self._half)
        self._half = self.nets[0].dtype
        name = str(self._half).removeprefix("torch.")
        say(self.report, f"the autoencoder overflows in {name}: this video is decoded in float32")
        self.nets = [copy.deepcopy(net).float() for net in self.nets]


@dataclass(frozen=True)
class Flying:
    """Latents (n, 4, h, w) whose pictures are being made by device number ``turn``."""

    latents: Tensor
    turn: int
    decoded: "Future[Decoded]"


@dataclass(frozen=True)
class Decoded:
    """Pictures (n, H, W, 3) on their way to main memory, and whether they are finite;
    there when ``ready`` has come."""

    finite: Tensor
    bytes: Tensor
    ready: torch.cuda.Event | None = None


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
    free = free_memory(device)
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
