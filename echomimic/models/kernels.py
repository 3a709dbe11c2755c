"""What decides the speed on a CPU, convolutions, linear layers and attention, in the fastest form there.

On other devices, and inside ``torch.compile``, they are PyTorch's own.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SCORES = 2**20
"""Attention scores per head held at once: 2 MB in bfloat16, about what a core's cache takes."""


TILES = 512
"""Tiles of a convolution worked on at once: few enough for the cache, enough rows for a matrix product."""


def portions(x: Tensor, count: int, step: int) -> list[slice]:
    """``count`` entries cut into slices of at most ``step`` on a CPU, one slice elsewhere and inside
    ``torch.compile``.

    Small tensors stay in the cache and in memory the process already has: three times faster on a CPU, no use
    on a GPU.
    """
    step = max(1, step) if on_cpu(x) else max(1, count)
    return [slice(start, min(start + step, count)) for start in range(0, count, step)]


def on_cpu(x: Tensor) -> bool:
    """Whether the CPU's own forms apply to ``x``."""
    return x.device.type == "cpu" and not torch.compiler.is_compiling()


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


def attend(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """softmax(q kᵀ / √d) v per head: (n, L, C) queries over (n, K, C) keys and values → (n, L, C)."""
    if q.dtype == torch.bfloat16 and k.shape[1] >= 512 and on_cpu(q):
        out = _attend_blockwise(q, k, v, heads)
        if out.isfinite().all():
            return out
    q, k, v = (t.reshape(*t.shape[:2], heads, -1).transpose(1, 2) for t in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


def _attend_blockwise(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """The same in plain matrix products, which beat the fused CPU kernel in bfloat16; not finite if it
    overflows.

    Each thread takes one head of one image at a time, queries in blocks whose scores stay in its cache.
    Inside the product every query's scores are shifted by the maximum over some of the keys: those that
    matter come to lie near zero, where bfloat16 is fine, and exponentials need no maximum of their own. They
    overflow only where a key beats all sampled ones by e⁸⁸. A column of ones behind the values sums the
    weights.
    """
    width = q.shape[-1] // heads
    q, k, v = (
        torch.cat(torch.split(t, width, -1)) for t in (q * (math.log2(math.e) / math.sqrt(width)), k, v)
    )
    top = torch.bmm(q, k[:, ::32].transpose(1, 2)).amax(-1, keepdim=True)
    out = torch.empty_like(q)
    q, k = torch.cat([q, -top], -1), F.pad(k, (0, 1), value=1.0).transpose(1, 2)
    v = F.pad(v, (0, 16 - width % 16), value=1.0)
    rows, together = max(64, SCORES // k.shape[2]), torch.get_num_threads()
    for i in range(0, len(q), together):
        some = slice(i, i + together)
        for j in range(0, q.shape[1], rows):
            weighed = torch.bmm(torch.bmm(q[some, j : j + rows], k[some]).exp2_(), v[some])
            out[some, j : j + rows] = weighed[..., :width] / weighed[..., width : width + 1]
    return torch.cat(torch.chunk(out, heads), -1)
