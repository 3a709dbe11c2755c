"""The two operations that decide the speed on a CPU, linear layers and attention, in the form its libraries do best.

On other devices, and inside ``torch.compile``, both are PyTorch's own.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SCORES = 2**20
"""Attention scores per head held at once: 2 MB in bfloat16, about what a core's cache takes."""


def portions(x: Tensor, count: int, step: int) -> list[slice]:
    """``count`` entries cut into slices of at most ``step`` on a CPU, one slice elsewhere and inside ``torch.compile``.

    Small tensors stay in the cache and in memory the process already has: three times faster on a CPU, no use on a GPU.
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


def attend(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """softmax(q kᵀ / √d) v per head: (n, L, C) queries over (n, K, C) keys and values → (n, L, C)."""
    if q.dtype == torch.bfloat16 and k.shape[1] >= 512 and on_cpu(q):
        out = _attend_blockwise(q, k, v, heads)
        if out.isfinite().all():
            return out
    q, k, v = (t.reshape(*t.shape[:2], heads, -1).transpose(1, 2) for t in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


def _attend_blockwise(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """The same in plain matrix products, which beat the fused CPU kernel in bfloat16; not finite if it overflows.

    Each thread takes one head of one image at a time, queries in blocks whose scores stay in its cache. Inside the
    product every query's scores are shifted by the maximum over some of the keys: those that matter come to lie near
    zero, where bfloat16 is fine, and exponentials need no maximum of their own. They overflow only where a key beats
    all sampled ones by e⁸⁸. A column of ones behind the values sums the weights.
    """
    width = q.shape[-1] // heads
    q, k, v = (torch.cat(torch.split(t, width, -1)) for t in (q * (math.log2(math.e) / math.sqrt(width)), k, v))
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
