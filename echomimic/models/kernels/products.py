"""Products with weights: convolutions and linear layers, on a CPU in the fastest form there.

On other devices, and inside ``torch.compile``, they are PyTorch's own.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from echomimic.models.kernels import forms
from echomimic.models.kernels.forms import on_cpu, portions

TILES = 512
"""Tiles of a convolution worked on at once: few enough for the cache, enough rows for a matrix product."""


def as_tokens(x: Tensor) -> Tensor:
    """(N, C, h, w) → (N, h·w, C); a view of channels-last memory."""
    return x.flatten(2).transpose(1, 2)


def as_image(tokens: Tensor, size: torch.Size) -> Tensor:
    """(N, h·w, C) → (N, C, h, w) for ``size`` (h, w), in channels-last memory."""
    return tokens.transpose(1, 2).reshape(len(tokens), -1, *size)


class Linear(nn.Linear):
    """``nn.Linear``, on a CPU as a 1×1 convolution: those are faster than the BLAS behind ``F.linear``."""

    def forward(self, x: Tensor) -> Tensor:
        """(…, in) → (…, out)."""
        rows = x.numel() // self.in_features
        if rows % 64 or not on_cpu(x):
            return F.linear(x, self.weight, self.bias)
        # 64 rows pose as an 8×8 image in channels-last memory, the tile oneDNN blocks best.
        image = x.reshape(-1, 8, 8, self.in_features).permute(0, 3, 1, 2)
        y = F.conv2d(image, self.weight[:, :, None, None], self.bias)
        return y.permute(0, 2, 3, 1).reshape(*x.shape[:-1], self.out_features)


class Pointwise(nn.Conv2d):
    """A 1×1 convolution; where element-wise work is fused it is a linear layer, which adds its bias."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__(before, after, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) → (N, O, h, w)."""
        if not forms.fused(x):
            return super().forward(x)
        return as_image(F.linear(as_tokens(x), self.weight.flatten(1), self.bias), x.shape[2:])


def convolve(conv: nn.Conv2d, x: Tensor) -> tuple[Tensor, Tensor | None]:
    """A convolution and the bias that is still to be added, None except where the next norm adds it."""
    if not forms.fused(x):
        return conv(x), None
    return F.conv2d(x, conv.weight, None, conv.stride, conv.padding), conv.bias


def arrange_convolutions(net: nn.Module) -> None:
    """Puts the weights of convolutions in channels-last order, one after the other; names and values stay.

    On an H200 a 3×3 convolution is 5 to 9 % faster for it, with activations of the same order.
    """
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.data = module.weight.data.contiguous(memory_format=torch.channels_last)


def join_weights(*layers: nn.Linear) -> None:
    """Puts the weights of layers with the same input side by side: :func:`products_of` is one product then.

    Names, shapes and values stay, and so does the memory taken; nothing happens if they lie so already.
    """
    if _side_by_side([layer.weight for layer in layers]) is None:
        together = torch.cat([layer.weight.detach() for layer in layers])
        rows = [layer.out_features for layer in layers]
        for layer, part in zip(layers, torch.split(together, rows), strict=True):
            layer.weight = nn.Parameter(part, requires_grad=False)


def products_of(x: Tensor, *layers: nn.Linear) -> list[Tensor]:
    """What layers without bias make of ``x``: one product where :func:`join_weights` was, each its own
    elsewhere."""
    together = None
    if not on_cpu(x) and not torch.compiler.is_compiling():
        together = _side_by_side([layer.weight for layer in layers])
    if together is None:
        return [layer(x) for layer in layers]
    return list(torch.split(F.linear(x, together), [layer.out_features for layer in layers], -1))


def _side_by_side(weights: list[Tensor]) -> Tensor | None:
    """The matrix that the weights (rows, C) are parts of, if they are, in this order."""
    storage, first = weights[0].untyped_storage().data_ptr(), weights[0]
    place = first.storage_offset()
    for weight in weights:
        if (weight.untyped_storage().data_ptr(), weight.storage_offset()) != (storage, place):
            return None
        if not weight.is_contiguous() or weight.shape[1] != first.shape[1]:
            return None
        place += weight.numel()
    rows = sum(len(weight) for weight in weights)
    return first.as_strided((rows, first.shape[1]), (first.shape[1], 1))


class Conv3x3(nn.Conv2d):
    """A 3×3 convolution with a border of one pixel; on a CPU, where no gradient is wanted, Winograd's."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__(before, after, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        if self.bias is None or torch.is_grad_enabled() or not on_cpu(x):
            return super().forward(x)
        return winograd(x, self.weight, self.bias)


def winograd(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The convolution (N, C, h, w) → (N, O, h, w) with 2.25 times fewer products: F(2×2, 3×3) of Lavin and
    Gray, 2015.

    A 2×2 tile of the result needs a 4×4 patch of ``x``. Sums and differences of the patch (16 per channel)
    are multiplied by as many of the weights, channel by channel; sums and differences of the products are the
    tile.
    """
    n, _, h, w = x.shape
    down, across = (h + 1) // 2, (w + 1) // 2
    rows = min(down, max(1, TILES // across))
    mixed = _mixed_weights(weight)
    x = x.permute(0, 2, 3, 1)
    result = x.new_empty(n, down, 2, across, 2, len(weight))
    for images in portions(x, n, TILES // across // rows):
        for some in portions(x, down, rows):
            top, bottom = 2 * some.start - 1, 2 * some.stop + 1
            border = (0, 0, 1, 2 * across + 1 - w, int(top < 0), max(0, bottom - h))
            patches = _mixed_patches(F.pad(x[images, max(0, top) : bottom], border))
            products = torch.bmm(patches.flatten(2, 4).flatten(0, 1), mixed)
            _combine(products.view(*patches.shape[:-1], -1), bias, result[images, some])
    return result.view(n, 2 * down, 2 * across, -1)[:, :h, :w].permute(0, 3, 1, 2)


def _mixed_weights(weight: Tensor) -> Tensor:
    """(O, C, 3, 3) → (16, C, O)."""
    mix = torch.tensor([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
    both = torch.kron(mix, mix).to(weight.dtype)
    return (both @ weight.flatten(2).flatten(0, 1).t()).view(16, *weight.shape[:2]).transpose(1, 2)


def _mixed_patches(x: Tensor) -> Tensor:
    """(n, 2r + 2, 2s + 2, C) → (4, 4, n, r, s, C) for the r × s tiles."""
    n, height, width, c = x.shape
    mixed = x.new_empty(4, 4, n, height // 2 - 1, width // 2 - 1, c)
    even, odd = x[:, 0::2], x[:, 1::2]
    above, below, between, beneath = even[:, :-1], even[:, 1:], odd[:, :-1], odd[:, 1:]
    for row, into in zip(
        (above - below, between + below, below - between, between - beneath), mixed, strict=True
    ):
        even, odd = row[:, :, 0::2], row[:, :, 1::2]
        torch.sub(even[:, :, :-1], even[:, :, 1:], out=into[0])
        torch.add(odd[:, :, :-1], even[:, :, 1:], out=into[1])
        torch.sub(even[:, :, 1:], odd[:, :, :-1], out=into[2])
        torch.sub(odd[:, :, :-1], odd[:, :, 1:], out=into[3])
    return mixed


def _combine(products: Tensor, bias: Tensor, result: Tensor) -> None:
    """(4, 4, n, r, s, O) and (O,) → (n, r, 2, s, 2, O), written to ``result``."""
    columns = (
        (products[:, 1] + products[:, 2]).add_(products[:, 0]),
        (products[:, 1] - products[:, 2]).sub_(products[:, 3]),
    )
    for i, column in enumerate(columns):
        torch.add((column[1] + column[2]).add_(column[0]), bias, out=result[:, :, 0, :, i])
        torch.add((column[1] - column[2]).sub_(column[3]), bias, out=result[:, :, 1, :, i])
