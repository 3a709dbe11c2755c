"""Attention: over own and reference tokens, over frames, on a CPU in plain matrix products.

Shapes: n = images, L = tokens of an image, K = keys, C = heads × width.
"""

import math
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend

from echomimic.models.kernels import forms
from echomimic.models.kernels.forms import fusible, on_cpu
from echomimic.models.kernels.norms import rejoined

SCORES = 2**20
"""Attention scores per head held at once: 2 MB in bfloat16, about what a core's cache takes."""


def attend(
    q: Tensor, k: Tensor, v: Tensor, heads: int, extra: tuple[Tensor, Tensor] | None = None, uncond: int = 0
) -> Tensor:
    """softmax(q kᵀ / √d) v per head: (n, L, C) queries over (n, K, C) keys and values → (n, L, C).

    ``extra`` are keys and values (1, R, C) that all images but the first ``uncond`` see behind their own.
    """
    if extra is None or uncond == len(q):
        return _attend(q, k, v, heads)
    joined = partial(_attend_joined, q, k, v, heads, extra, uncond)
    if not forms.fused(q):
        return joined()
    use, apart = (q.device, q.dtype, q.shape[2], heads), partial(_attend_apart, q, k, v, heads, extra, uncond)
    return forms.prefer("attend_apart", use, q, apart, joined)


def _attend_joined(
    q: Tensor, k: Tensor, v: Tensor, heads: int, extra: tuple[Tensor, Tensor], uncond: int
) -> Tensor:
    """Attention over own tokens and the reference's behind them."""
    alone = [_attend(q[:uncond], k[:uncond], v[:uncond], heads)] if uncond else []
    further = (t.expand(len(q) - uncond, -1, -1) for t in extra)
    k, v = (torch.cat([own[uncond:], there], 1) for own, there in zip((k, v), further, strict=True))
    return rejoined([*alone, _attend(q[uncond:], k, v, heads)])


def _attend(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    if q.dtype == torch.bfloat16 and k.shape[1] >= 512 and on_cpu(q):
        out = _attend_blockwise(q, k, v, heads)
        if out.isfinite().all():
            return out
    q, k, v = (_heads_first(t, heads) for t in (q, k, v))
    return _tokens_first(F.scaled_dot_product_attention(q, k, v))


def _heads_first(x: Tensor, heads: int) -> Tensor:
    """(n, L, C) → (n, heads, L, d)."""
    return x.reshape(*x.shape[:2], heads, -1).transpose(1, 2)


def _tokens_first(x: Tensor) -> Tensor:
    """(n, heads, L, d) → (n, L, C)."""
    return x.transpose(1, 2).flatten(2)


def _attend_apart(
    q: Tensor, k: Tensor, v: Tensor, heads: int, extra: tuple[Tensor, Tensor], uncond: int
) -> Tensor | None:
    """Attention over own and over reference tokens, each by itself, merged by the weight of either.

    The reference is one for all images, so their queries are one long sequence over it: nothing is repeated
    or joined. None where PyTorch has no kernel that tells the weights.
    """
    own = _with_weight(*(_heads_first(t, heads) for t in (q, k, v)))
    one = q[uncond:].reshape(1, -1, q.shape[2])
    further = _with_weight(*(_heads_first(t, heads) for t in (one, *extra))) if own else None
    if own is None or further is None:
        return None
    seen = _tokens_first(further[0]).view(-1, *q.shape[1:])
    weight = further[1].view(heads, -1, q.shape[1]).transpose(0, 1)
    return merge_attentions(_tokens_first(own[0]), own[1], seen, weight, heads, uncond)


def _with_weight(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor] | None:
    """Attention (n, heads, L, d) by the kernel that PyTorch would choose, and log Σ exp of its scores.

    The latter is (n, heads, L), float32. None where that is no fused kernel, or the width would need padding.
    """
    ops, chosen = torch.ops.aten, SDPBackend(torch._fused_sdp_choice(q, k, v))
    if q.shape[-1] % 8 or chosen == SDPBackend.MATH:
        return None
    if chosen == SDPBackend.CUDNN_ATTENTION:
        out, weight = ops._scaled_dot_product_cudnn_attention(q, k, v, None, True)[:2]
    elif chosen == SDPBackend.EFFICIENT_ATTENTION:
        out, weight = ops._scaled_dot_product_efficient_attention(q, k, v, None, True)[:2]
    elif q.device.type == "cpu":
        out, weight = ops._scaled_dot_product_flash_attention_for_cpu(q, k, v)
    elif chosen == SDPBackend.FLASH_ATTENTION:
        out, weight = ops._scaled_dot_product_flash_attention(q, k, v)[:2]
    else:
        return None
    # cuDNN keeps a fourth dimension of one, the efficient kernel fills rows up to a multiple of 32
    return out, weight.reshape(*q.shape[:2], -1)[..., : q.shape[2]]


@fusible
def merge_attentions(
    own: Tensor, own_weight: Tensor, further: Tensor, further_weight: Tensor, heads: int, first: int
) -> Tensor:
    """Two attentions of the same queries become the one over both sets of keys; may overwrite ``own``.

    ``own`` (n, L, C) with log Σ exp (n, heads, L); ``further`` (m, L, C) with (m, heads, L) for the images
    from ``first`` on.
    """
    share = torch.sigmoid(own_weight[first:] - further_weight).transpose(1, 2)[..., None]
    here, there = (t.reshape(*further.shape[:2], heads, -1).float() for t in (own[first:], further))
    both = torch.lerp(there, here, share).flatten(2).to(own.dtype)
    return torch.cat([own[:first], both]) if first else both


@fusible
def attend_frames(q: Tensor, k: Tensor, v: Tensor, heads: int, frames: int) -> Tensor:
    """Self-attention over the frames of a clip, separately at every token: (n, L, C) → (n, L, C).

    Images lie clip by clip, ``frames`` each.
    """
    done = []
    for clip in zip(*(torch.split(t, frames) for t in (q, k, v)), strict=True):
        some_q, some_k, some_v = (t.transpose(0, 1) for t in clip)
        done.append(_attend(some_q, some_k, some_v, heads).transpose(0, 1))
    return rejoined(done)


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
