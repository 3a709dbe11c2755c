"""Every fused operation beside PyTorch's own, at the sizes of a window: time, and distance from float64.

A part of ``benchmarks/gpu.py``. Where nothing is fused (a CPU, or no Triton) the plain forms stand alone.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from echomimic.models import kernels
from echomimic.models.kernels import forms, norms, softmax

Case = tuple[str, Callable[..., Any], tuple[Any, ...]]
Timer = Callable[[Callable[[], object]], float]

SMALL_SIDE = 8
"""Latents up to which results are compared with float64."""


def compared(
    device: torch.device, dtype: torch.dtype, side: int, images: int, time: Timer
) -> Iterator[dict[str, Any]]:
    """A row per operation; ``side`` is that of a latent, ``time`` gives milliseconds of a call."""
    for name, run, given in cases(device, dtype, side, images):
        plain, chosen = functools.partial(_plain, run, *given), functools.partial(run, *given)
        row: dict[str, Any] = {"operation": name, "plain ms": time(plain)}
        if kernels.fused(_first(given)):
            row["fused ms"] = time(chosen)
            row["works"] = {"attend": "attend_apart"}.get(run.__name__, run.__name__) not in forms._broken
        if side <= SMALL_SIDE:
            exact = _last(_plain(run, *tree_map(_wide, given)))
            row["from float64"] = float((_last(chosen()) - exact).abs().max() / exact.abs().max())
        yield row


def _last(made: Any) -> Tensor:
    """What is wanted of a result, the norm behind the sum."""
    return torch.as_tensor(tree_leaves(made)[-1]).double()


def _wide(x: Any) -> Any:
    return x.double() if isinstance(x, Tensor) else x


def _first(given: tuple[Any, ...]) -> Tensor:
    return next(x for x in given if isinstance(x, Tensor))


def _nothing_fused(_: Tensor) -> str:
    return "plain"


def _plain(run: Callable[..., Any], *given: Any) -> Any:
    """The same without Triton."""
    with mock.patch.object(forms, "form_for", _nothing_fused):
        return run(*given)


def cases(device: torch.device, dtype: torch.dtype, side: int, images: int) -> Iterator[Case]:
    """The operations of the first stage, where nearly all bytes are moved: 320 channels."""
    channels, heads, tokens = 320, 8, side * side

    def drawn(*shape: int) -> Tensor:
        return torch.randn(shape, device=device).to(dtype)

    def image(width: int = channels) -> Tensor:
        return drawn(images, width, side, side).contiguous(memory_format=torch.channels_last)

    x, line = image(), drawn(channels)
    yield "group norm, SiLU", norms.group_norm, (x, None, None, None, line, line, 32, 1e-5, True)
    yield (
        "addition, bias, group norm",
        norms.group_norm,
        (x, image(), line, None, line, line, 32, 1e-6, False),
    )
    wide = drawn(2 * channels)
    yield "joined, group norm, SiLU", norms.group_norm, (x, x, line, image(), wide, wide, 32, 1e-5, True)
    rows = drawn(images, tokens, channels)
    yield (
        "addition, layer norm",
        norms.add_layer_norm,
        (rows, drawn(images, tokens, channels), None, line, line, None, 1e-5, 1.0, 0, 0),
    )
    yield "gate", norms.geglu, (drawn(images // 2 or 1, tokens, 8 * channels),)
    q, k, v = torch.split(drawn(images, tokens, 3 * channels), channels, -1)
    yield "attention over frames", softmax.attend_frames, (q, k, v, heads, images // 2 or 1)
    extra = drawn(1, tokens, channels), drawn(1, tokens, channels)
    yield "attention with the reference", softmax.attend, (q, k, v, heads, extra, images // 2)
