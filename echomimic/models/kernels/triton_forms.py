"""The fusible operations of ``norms`` and ``softmax`` on CUDA, each in one to three of Triton's kernels.

Contracts are those of the plain forms. Images are taken and given in channels-last memory.
"""

import math

import torch
from torch import Tensor

from echomimic.models.kernels import triton_kernels as kernels

BLOCK_PIXELS, BLOCK_CHANNELS = 128, 64
"""Block of a pass over an image: 128 bytes in a row in half precision, and chunks large enough that their
statistics (8 bytes a channel) are 3 % of what they are taken from."""

CHUNKS = 32
"""Chunks whose statistics are joined at once."""

ROW_BLOCK = 2048
"""Entries a program of the layer norm holds: sixteen per thread of four warps."""


class TritonForms:
    """The forms, by the names of the operations."""

    @staticmethod
    def group_norm(
        x: Tensor,
        add: Tensor | None,
        offset: Tensor | None,
        skip: Tensor | None,
        weight: Tensor,
        bias: Tensor,
        groups: int,
        eps: float,
        silu: bool,
    ) -> tuple[Tensor, Tensor]:
        """Three kernels: add, join and count; finish the statistics; scale, shift and SiLU."""
        given = x
        x, add, skip = _last(x), None if add is None else _last(add), None if skip is None else _last(skip)
        n, own, height, width = x.shape
        channels, pixels = own + (0 if skip is None else skip.shape[1]), height * width
        keep = add is not None or skip is not None
        total = _images(x, channels) if keep else x
        rows = min(BLOCK_PIXELS, _power(pixels))
        chunks, columns = _blocks(pixels, rows), min(BLOCK_CHANNELS, _power(channels))
        means, squares = x.new_empty(2, n, chunks, channels, dtype=torch.float32)
        grid = (n * chunks, _blocks(channels, columns))
        kernels.gather_statistics[grid](
            x, add, offset, skip, total, means, squares, pixels, own, channels, chunks,
            add is not None, offset is not None, skip is not None, keep, rows, columns, num_warps=8,
        )  # fmt: skip
        scale, shift = x.new_empty(2, n, channels, dtype=torch.float32)
        group, missing = channels // groups, offset if not keep else None
        kernels.finish_statistics[(n * groups,)](
            means, squares, weight, bias, missing, scale, shift, pixels, channels, chunks, rows, eps,
            missing is not None, group, _power(group), CHUNKS, num_warps=2,
        )  # fmt: skip
        normed = _images(x, channels)
        kernels.scale_shift[grid](
            total, scale, shift, normed, pixels, channels, chunks, silu, rows, columns, num_warps=8
        )
        return total if keep else given, normed

    @staticmethod
    def add_layer_norm(
        x: Tensor,
        add: Tensor | None,
        constant: Tensor | None,
        weight: Tensor,
        bias: Tensor,
        after: Tensor | None,
        eps: float,
        gain: float,
        first: int,
        wanted: int,
    ) -> tuple[Tensor, Tensor]:
        """One kernel."""
        x, add = x.contiguous(), None if add is None else add.contiguous()
        (n, tokens, channels), wide = x.shape, _power(x.shape[2])
        summing = add is not None or constant is not None
        total = torch.empty_like(x) if summing else x
        normed = x.new_empty(n - wanted, tokens, channels)
        rows = max(1, ROW_BLOCK // wide)
        kernels.layer_norm_rows[(_blocks(n * tokens, rows),)](
            x, add, constant, weight, bias, after, total, normed,
            n * tokens, channels, first * tokens, wanted * tokens, tokens, 1 if after is None else len(after),
            gain, eps, add is not None, constant is not None, after is not None, rows, wide, num_warps=4,
        )  # fmt: skip
        return total, normed

    @staticmethod
    def geglu(x: Tensor) -> Tensor:
        """One kernel."""
        x, hidden = x.contiguous(), x.shape[-1] // 2
        out = x.new_empty(*x.shape[:-1], hidden)
        rows, columns = 8, min(256, _power(hidden))
        count = x.numel() // x.shape[-1]
        grid = (_blocks(count, rows), _blocks(hidden, columns))
        kernels.gate_rows[grid](x, out, count, hidden, rows, columns, num_warps=4)
        return out

    @staticmethod
    def merge_attentions(
        own: Tensor, own_weight: Tensor, far: Tensor, far_weight: Tensor, heads: int, first: int
    ) -> Tensor:
        """One kernel; ``own`` is overwritten."""
        own, far = own.contiguous(), far.contiguous()
        own_weight, far_weight = _rows_dense(own_weight), _rows_dense(far_weight)
        (m, tokens, channels), columns = far.shape, min(128, _power(far.shape[2]))
        rows = 32
        kernels.merge_rows[(_blocks(m * tokens, rows), _blocks(channels, columns))](
            own, own_weight, far, far_weight, m * tokens, tokens, channels, first,
            *own_weight.stride()[:2], *far_weight.stride()[:2],
            channels // heads, rows, columns, num_warps=4,
        )  # fmt: skip
        return own

    @staticmethod
    def attend_frames(q: Tensor, k: Tensor, v: Tensor, heads: int, frames: int) -> Tensor:
        """One kernel; q, k and v may be columns of one matrix."""
        q, k, v = (_rows_evenly_apart(t) for t in (q, k, v))
        n, tokens, channels = q.shape
        width = channels // heads
        wide = max(16, _power(width))
        out = q.new_empty(q.shape)
        kernels.attend_pixels[(n // frames * tokens * heads,)](
            q, k, v, out, tokens, heads, q.stride(1), k.stride(1), v.stride(1), frames, 1 / math.sqrt(width),
            width, max(16, _power(frames)), wide, num_warps=max(1, min(4, wide // 64)),
        )  # fmt: skip
        return out


def _last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def _images(like: Tensor, channels: int) -> Tensor:
    n, _, height, width = like.shape
    return torch.empty(
        n, channels, height, width, dtype=like.dtype, device=like.device, memory_format=torch.channels_last
    )


def _rows_dense(x: Tensor) -> Tensor:
    return x if x.stride(2) == 1 else x.contiguous()


def _rows_evenly_apart(x: Tensor) -> Tensor:
    """``x`` (n, L, C) if its rows are dense and lie at one distance from each other, else a copy."""
    even = x.stride(2) == 1 and x.stride(0) == x.shape[1] * x.stride(1)
    return x if even else x.contiguous()


def _blocks(count: int, size: int) -> int:
    return -(-count // size)


def _power(count: int) -> int:
    """The next power of two."""
    return 1 << (count - 1).bit_length()
